"""Parse a time given by a user."""

import re
from datetime import datetime, timedelta

from importance.errors import InvalidInput

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=3_650)


def moment(text: str) -> datetime:
    """Return a time with its offset from UTC; raise InvalidInput for anything else.

    >>> moment("2026-01-01T08:53:00Z").isoformat()
    '2026-01-01T08:53:00+00:00'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidInput(f"{text!r} is not a time of RFC 3339 with offset: write it as 2026-01-01T08:53:00Z")
    return time


def lifetime(option: str, text: str) -> timedelta:
    """Return a length of time of at most ten years; raise InvalidInput, which names the option, for anything else.

    >>> lifetime("--expires", "90d"), lifetime("--expires", "12h")
    (datetime.timedelta(days=90), datetime.timedelta(seconds=43200))
    """
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", text)
    length = None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length is None or not timedelta() < length <= _LONGEST:
        raise InvalidInput(f"{option} is {text!r}; it must be up to ten years in m, h, d or w, such as 90d, or never")
    return length
