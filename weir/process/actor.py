"""Who acts, for the log: the user of this process."""

import getpass


def this_user() -> str:
    """The user's name, or ``unknown``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
