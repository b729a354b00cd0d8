"""The actor for the promotion log: the user of this process."""

import getpass


def this_user() -> str:
    """Return the user's name, or ``unknown``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
