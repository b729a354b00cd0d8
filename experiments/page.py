"""A report as blocks of text, tables and plots, written as Markdown or as one self-contained page of HTML."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from experiments.results import replace_file

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows of cells, all text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: its file's name without ending, what it shows, and its bytes (PNG)."""

    name: str
    caption: str
    png: bytes


Block = Heading | Text | Table | Plot


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown; plots are links to files in the same directory.

    >>> print(markdown("Title", [Table(("a", "b"), [("1", "2")])]))
    # Title
    <BLANKLINE>
    | a | b |
    |---|---|
    | 1 | 2 |
    <BLANKLINE>
    """
    return "\n\n".join([f"# {title}", *map(_as_markdown, blocks)]) + "\n"


def _as_markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Text(text):
            return text
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return (
                "\n".join(f"| {' | '.join(line)} |" for line in lines)
                .replace("| --- ", "|---")
                .replace("|--- |", "|---|")
            )
        case Plot(name, caption, _):
            return f"![{caption}]({name}.png)"


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return the blocks as one self-contained page with embedded plots and without scripts."""
    body = "\n".join(map(_as_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def _as_html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Table(header, rows):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
            lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
            body = "".join(f"<tr>{line}</tr>" for line in lines)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        case Plot(_, caption, png):
            return f'<img alt="{escape(caption)}" src="data:image/png;base64,{b64encode(png).decode()}">'


def save(title: str, blocks: Sequence[Block], directory: Path) -> None:
    """Write report.md, report.html and the plots, each atomically."""
    replace_file(directory / "report.md", markdown(title, blocks).encode())
    replace_file(directory / "report.html", html(title, blocks).encode())
    for block in blocks:
        if isinstance(block, Plot):
            replace_file(directory / f"{block.name}.png", block.png)
