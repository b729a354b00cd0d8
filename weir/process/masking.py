"""Mask passwords in any text: in URLs and in connection strings."""

import re

_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/]*(?=@)", re.IGNORECASE)
_QUERY_PASSWORD = re.compile(r"(?P<before>[?&\s](?:password|sslpassword|secret|token)=)[^&\s]+", re.IGNORECASE)


def masked_url(text: str) -> str:
    """Return ``text`` with the password of every URL or connection string in it masked.

    >>> masked_url("postgresql://weir:secret@db:5432/weir?sslmode=require&password=other")
    'postgresql://weir:***@db:5432/weir?sslmode=require&password=***'
    """
    return _QUERY_PASSWORD.sub(r"\g<before>***", _URL_PASSWORD.sub(r"\g<before>***", text))
