"""The address of a database: what a URL may be, and what makes the role and database that it names.

Independent of drivers. No error repeats any part of a URL: it may hold a password.
"""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
FORM = "postgresql://user:password@host:port/name"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_ENCODED = "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25 in user and password"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{,30}")
_AUTHORITY_END = re.compile("[/?#]")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_NO_DATABASE = re.compile(r'database "(?P<name>.+)" does not exist')
_NO_ROLE = re.compile(r'role "(?P<name>.+)" does not exist')
_NO_LOGIN = re.compile(r'password authentication failed for user "(?P<name>.+)"')


def problem(url: str) -> str | None:
    """Return what is wrong with a URL, and the remedy; None when nothing is.

    >>> problem("postgres://ann:p%40ss@db:5432/weir?sslmode=require") is None
    True
    >>> problem("postgresql://ann:p@ss@db/weir").startswith("has an @ too many: write @ as %40")
    True
    >>> problem("postgresql://db/weir?sslmode=on")
    'has an unknown sslmode; it must be disable, allow, prefer, require, verify-ca or verify-full'
    """
    return next(_problems(url), None)


def _problems(url: str) -> Iterator[str]:
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        named = f"is a {scheme} URL; only postgresql is supported" if _SCHEME.fullmatch(scheme) and rest else None
        yield f"{named or 'is of another kind'}: it must be {FORM}"
    if rest.count("@") > ("@" in _AUTHORITY_END.split(rest)[0]):
        yield f"has an @ too many: {_ENCODED}"
    if "#" in rest:
        yield f"has a #: {_ENCODED}"
    try:
        parts = urlsplit(url)
        readable = parts.port != 0
    except ValueError:
        readable = False
    if not readable:
        yield f"has no host or port that can be read: write {FORM}"
        return
    if _BROKEN_PERCENT.search(url):
        yield f"has a % that two hexadecimal digits do not follow: {_ENCODED}"
    elif not _is_text(parts):
        yield "has percent-encoded bytes that are not UTF-8 text: encode it again"
    modes = parse_qs(parts.query, keep_blank_values=True).get("sslmode", [])
    if len(modes) > 1 or any(mode not in SSL_MODES for mode in modes):
        yield f"has an unknown sslmode; it must be {', '.join(SSL_MODES[:-1])} or {SSL_MODES[-1]}"


def _is_text(parts: SplitResult) -> bool:
    try:
        return unquote("".join(parts), errors="strict").isprintable()
    except UnicodeDecodeError:
        return False


def recipe(failure: str, user: str | None, database: str | None) -> str | None:
    """Return what a superuser runs to make what a refused connection lacks; None for a failure of another kind.

    >>> recipe('FATAL:  database "shop" does not exist', "ann", "shop")
    'run as a superuser: CREATE DATABASE shop OWNER ann;'
    >>> recipe('FATAL:  role "ann" does not exist', "ann", "shop")
    "run as a superuser: CREATE ROLE ann LOGIN PASSWORD '...'; CREATE DATABASE shop OWNER ann;"
    >>> recipe('FATAL:  password authentication failed for user "a"', "a", "shop")
    "if there is no such role, run as a superuser: CREATE ROLE a LOGIN PASSWORD '...'; CREATE DATABASE shop OWNER a;"
    """
    if found := _NO_DATABASE.search(failure):
        return f"run as a superuser: {_create_database(found['name'], user or found['name'])}"
    for pattern, condition in ((_NO_ROLE, ""), (_NO_LOGIN, "if there is no such role, ")):
        if found := pattern.search(failure):
            role = found["name"]
            create = f"CREATE ROLE {_quoted(role)} LOGIN PASSWORD '...'; {_create_database(database or role, role)}"
            return f"{condition}run as a superuser: {create}"
    return None


def _create_database(name: str, owner: str) -> str:
    return f"CREATE DATABASE {_quoted(name)} OWNER {_quoted(owner)};"


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'
