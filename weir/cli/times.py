"""Parse a time given by a user."""

from datetime import datetime

from importance.errors import InvalidInput


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
