"""Every ``WEIR_*`` setting: its default, its bound, its meaning. Read once, here; passed on as simple values.

A value comes from the environment, else from the file ``.env`` of the working directory, else it is the default. An
empty variable counts as not set. All problems are reported in one line, before anything starts.
"""

from weir.settings.reading import VARIABLES, SettingSource, Source, read, secrets, shown, sources
from weir.settings.sections.api import is_loopback
from weir.settings.sections.base import ENV_FILE, PREFIX, variable
from weir.settings.settings import Settings

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "VARIABLES",
    "SettingSource",
    "Settings",
    "Source",
    "is_loopback",
    "read",
    "secrets",
    "shown",
    "sources",
    "variable",
]
