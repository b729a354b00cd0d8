"""Write the chart's README.md: its fixed text, and a table of all values from the comments of values.yaml.

`python helm/readme.py` writes it; with `--check` it changes nothing and exits 1 where the file is not up to date.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import yaml

CHART = Path(__file__).parent / "weir"
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]\w*):")
_INDENT = 2
_HEAD = """# Weir on Kubernetes

Worker, trainer and api of Weir as Deployments, with their jobs, monitoring and network policy. Kafka and Postgres are
not part of it. [Install](../../docs/operations/install.md) goes through it step by step; `ci/` has complete examples.

Written from `values.yaml` by `python helm/readme.py`.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Value:
    """A value by its dotted path, with the comment above it, and its default unless the values below it have theirs."""

    path: str
    default: object | None
    meaning: str


def documented(text: str) -> list[Value]:
    """Return the values of a values.yaml that have a comment, in the order of the file."""
    comments = dict(_comments(text))
    values = yaml.safe_load(text)
    return [
        Value(
            ".".join(path),
            None if any(other[:-1] == path for other in comments) else reduce(dict.__getitem__, path, values),
            meaning,
        )
        for path, meaning in comments.items()
    ]


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each key right below a comment, and the comment."""
    path: tuple[str, ...] = ()
    comment: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
            continue
        if found := _KEY.match(line):
            path = (*path[: len(found["indent"]) // _INDENT], found["key"])
            if comment:
                yield path, " ".join(comment)
        comment = []


def readme() -> str:
    """Return the whole text."""
    rows = []
    for value in documented((CHART / "values.yaml").read_text(encoding="utf-8")):
        default = "" if value.default is None else f"`{json.dumps(value.default, ensure_ascii=False)}`"
        rows.append(f"| `{value.path}` | {default} | {value.meaning} |\n")
    return _HEAD + "".join(rows)


def main(arguments: list[str]) -> int:
    """Write or check the file; return the exit status."""
    file, text = CHART / "README.md", readme()
    if arguments == ["--check"]:
        return int(file.read_text(encoding="utf-8") != text)
    file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
