"""Mask passwords and tokens in any text: in URLs and in connection strings."""

import re

_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/]*(?=@)", re.IGNORECASE)
_HTTP_USER = re.compile(r"(?P<before>https?://)[^\s/]*(?=@)", re.IGNORECASE)  # a user alone may be a token
_QUERY_PASSWORD = re.compile(r"(?P<before>[?&\s](?:password|sslpassword|secret|token)=)[^&\s]+", re.IGNORECASE)


def masked_url(text: str) -> str:
    """Return ``text`` with the password of every URL or connection string in it masked; of HTTP the user as well.

    >>> masked_url("postgresql://weir:secret@db:5432/weir?sslmode=require&password=other")
    'postgresql://weir:***@db:5432/weir?sslmode=require&password=***'
    >>> masked_url("https://token@mlflow.example/api")
    'https://***@mlflow.example/api'
    """
    for secret in (_HTTP_USER, _URL_PASSWORD, _QUERY_PASSWORD):
        text = secret.sub(r"\g<before>***", text)
    return text
