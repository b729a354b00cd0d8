"""The table of scores: ``id``, a column a mixture, and ``model``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.table_writer import writing as writing_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Take = Callable[[Sequence[str], "Mapping[str, NDArray[np.float64]]"], None]
"""Writes the next rows: their ids, and their scores [n] by column."""


@contextmanager
def writing(output: Path, columns: Sequence[str], model: str) -> Iterator[Take]:
    """Write scores to ``output``, completely or not at all, in the format of its suffix."""
    import pyarrow as pa

    schema = pa.schema([("id", pa.string()), *((name, pa.float64()) for name in columns), ("model", pa.string())])
    with writing_table(output, schema) as take:

        def write(ids: Sequence[str], scores: "Mapping[str, NDArray[np.float64]]") -> None:
            named = pa.array([model]).take(pa.array([0] * len(ids)))
            take(pa.record_batch([pa.array(ids), *(scores[name] for name in columns), named], schema))

        yield write
