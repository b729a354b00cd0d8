"""How a file of one's own is laid out: what its columns are called, which label is positive, what separates its fields.

Does not validate rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from importance.errors import InvalidInput

TAB = "\t"
_TABS = ("tab", "\\t")
_OTHER_DELIMITERS = f";{TAB}|"


@dataclass(frozen=True, slots=True)
class Layout:
    """``columns``: what ours are called in the file, where they are called otherwise.

    ``positive``: the label that counts as 1, else labels are 0 or 1. ``delimiter`` of a CSV, else a comma.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    positive: str | None = None
    delimiter: str | None = None

    def called(self, name: str) -> str:
        """Return what one of our columns is called in the file."""
        return self.columns.get(name, name)

    def lacks(self, file: object, name: str, names: Sequence[str]) -> InvalidInput:
        """Return the error of a file with the columns ``names`` that lacks one of ours.

        >>> str(Layout().lacks("rows.csv", "text", ["query", "title"]))
        "rows.csv has no column 'text'; it has query, title: name it, e.g. with --column text=title"
        >>> str(Layout().lacks("rows.csv", "text", ["query;title"]))
        "rows.csv has no column 'text'; it has query;title: its fields need --delimiter ';'"
        """
        problem = f"{file} has no column {self.called(name)!r}; it has {', '.join(names) or 'none'}"
        is_csv = str(file).lower().endswith(".csv") and len(names) == 1
        sign = next((sign for sign in _OTHER_DELIMITERS if is_csv and sign in names[0]), None)
        if sign is not None:
            return InvalidInput(f"{problem}: its fields need --delimiter {'tab' if sign == TAB else repr(sign)}")
        taken = {self.called(other) for other in ("text", "query", "label", "id")}
        guess = next((column for column in names if column not in taken), "COLUMN")
        return InvalidInput(f"{problem}: name it, e.g. with --column {name}={guess}")

    def lacks_positive(self, file: object, labels: Iterable[str]) -> InvalidInput:
        """Return the error of a file none of whose labels is the positive one."""
        shown = ", ".join(label[:40] for label in islice(labels, 10)) or "none"
        return InvalidInput(f"{file}: no label is {self.positive!r}, named by --positive; there are {shown}")


DEFAULT: Final = Layout()
"""Columns by our names, labels 0 and 1, commas."""


def read_layout(columns: Sequence[str], known: Sequence[str], positive: str | None, delimiter: str | None) -> Layout:
    """Return the layout that the options describe; ``known`` are the columns that may be named.

    >>> read_layout(["text=title"], ["text", "label"], None, ";")
    Layout(columns={'text': 'title'}, positive=None, delimiter=';')
    """
    named: dict[str, str] = {}
    for pair in columns:
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise InvalidInput(f"--column is {pair!r}; it must be NAME=COLUMN, such as text=title")
        if name not in known:
            raise InvalidInput(f"--column names {name!r}; it must be {', '.join(known)}")
        if name in named:
            raise InvalidInput(f"--column names {name} twice: name it once")
        named[name] = column
    return Layout(named, positive, None if delimiter is None else _delimiter(delimiter))


def _delimiter(text: str) -> str:
    sign = TAB if text in _TABS else text
    if len(sign) != 1 or sign in '"\r\n\0':
        raise InvalidInput(f"--delimiter is {text!r}; it must be one character other than a quote or line end, or tab")
    return sign
