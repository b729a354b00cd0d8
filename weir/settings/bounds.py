"""What pydantic found wrong with one value, in the words of an error line: what the value must be."""

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


def bound(detail: ErrorDetails) -> str | None:
    """What the value must be; None where only pydantic has words for it.

    >>> bound({"type": "greater_than_equal", "loc": (), "msg": "", "input": 0, "ctx": {"ge": 1}})
    'at least 1'
    """
    words = _BOUNDS.get(detail["type"])
    return words and words.format(**detail.get("ctx", {}))
