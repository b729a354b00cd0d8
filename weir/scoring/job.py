"""Score a file: rows in, scores out, in the rows' order. Does not load torch, so a wrong file is refused at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from datasets.layout import Layout
from datasets.table_files import columns_of, opened
from datasets.table_writer import check_output
from importance.arrays import Floats
from importance.callbacks import OnProgress
from importance.errors import InvalidInput
from importance.mixture import LABEL_FREE, Mixture, parse
from weir.scoring.rows import COLUMNS, Rows, check_columns, checked, ours
from weir.scoring.writing import writing


class Scorer(Protocol):
    """A named model that scores rows."""

    name: str

    def __call__(self, rows: Rows) -> tuple[Mapping[str, Floats], int]:
        """Return scores [n] by mixture, and the number of rows with a non-finite score, which is replaced by 0."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """The result: ``rows`` in all, of which ``non_finite`` had a non-finite score, replaced by 0."""

    model: str
    rows: int
    non_finite: int


def read_mixtures(text: str) -> list[Mixture]:
    """Parse a list of estimators, or sums of them, separated by commas; each becomes a column of its name.

    >>> [str(mixture) for mixture in read_mixtures("loss, rho+entropy")]
    ['loss', 'rho+entropy']
    """
    mixtures = [parse(piece) for piece in text.split(",")]
    names = [str(mixture) for mixture in mixtures]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"--estimators names {twice} twice: name it once")
    return mixtures


def score_file(
    file: Path,
    layout: Layout,
    mixtures: Sequence[Mixture],
    output: Path,
    find: Callable[[], Scorer],
    progress: OnProgress,
) -> Done:
    """Write ``output`` with a row for each row of ``file``; see `weir.scoring.rows` for what is refused.

    ``find`` loads the model; it is called once the first rows are valid.
    """
    if output.resolve() == file.resolve():
        raise InvalidInput(f"--output is {output}, the file that is read: name another one")
    path = check_output(output)
    needs_label = next((name for mixture in mixtures for name in mixture.columns if name not in LABEL_FREE), None)
    done = non_finite = 0
    with opened(file, layout.delimiter) as source:
        names, every = columns_of(source, [*dict.fromkeys(map(layout.called, COLUMNS))])
        check_columns(names, needs_label, layout, file)
        raws = ours(every, layout, file)
        first = next(raws, None)
        if first is None or not len(first["text"]):
            raise InvalidInput(f"{file} has no rows: there is nothing to score")
        checked(first, 1, needs_label)
        scorer = find()
        progress(f"scoring {file.name}", 0, 0)
        with writing(path, [str(mixture) for mixture in mixtures], scorer.name) as write:
            for raw in chain([first], raws):
                rows = checked(raw, done + 1, needs_label)
                scores, bad = scorer(rows)
                write(rows.ids, scores)
                done, non_finite = done + len(rows.ids), non_finite + bad
                progress(f"scoring {file.name}", done, 0)
            source.refuse_changed()
    return Done(scorer.name, done, non_finite)
