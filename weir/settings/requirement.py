"""What a value must be, by an error of pydantic, as the text of an error line."""

from pydantic_core import ErrorDetails

_BOUNDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt:g}",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "literal_error": "one of {expected}",
    "string_too_short": "at least {min_length} long",
    "string_too_long": "at most {max_length} long",
}


def requirement(detail: ErrorDetails) -> str | None:
    """Return what the value must be; None for an error that this text does not cover.

    >>> requirement({"type": "greater_than_equal", "loc": (), "msg": "", "input": 0, "ctx": {"ge": 1}})
    'at least 1'
    """
    words = _BOUNDS.get(detail["type"])
    return words and words.format(**detail.get("ctx", {}))
