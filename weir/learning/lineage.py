"""The lineage of a candidate, from the rows that were drawn and what the fine-tune made of them."""

from collections.abc import Sequence

import numpy as np

from importance.arrays import Floats, Integers
from importance.lineage import Lineage
from importance.pseudonyms import Pseudonyms
from importance.sample import Sample
from storage.buffer_reader import Draw
from trainer.memory import measured_rows

HISTORY = "history"
"""What the lineage of a first version has for a stratum: its samples were never in the buffer."""


def lineage(drawn: Draw, weights: Floats, rows: Integers, uniform: Draw, pseudonyms: Pseudonyms) -> Lineage:
    """Return the lineage of a candidate: of ``drawn`` what was in batches, of ``uniform`` what it was measured on.

    ``rows`` are the numbers of all batches' rows among those drawn. The two draws were made one after the other, so a
    uniform sample may be in both or in either.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(drawn.ids)}
    samples, strata = list(drawn.samples), list(drawn.stratum)
    measured: set[int] = set()
    for sample in (uniform.samples[row] for row in measured_rows(len(uniform)).tolist()):
        if (row := row_of.get(sample.id)) is None:
            row = len(samples)
            samples.append(sample)
            strata.append("uniform")
        measured.add(row)
    more = np.zeros(len(samples) - len(drawn), np.int64)
    return Lineage.of(
        samples,
        strata,
        np.concatenate([weights, more]),
        np.concatenate([np.bincount(rows, minlength=len(drawn)), more]),
        np.isin(np.arange(len(samples)), list(measured)),
        pseudonyms,
    )


def first_lineage(samples: Sequence[Sample], epochs: int, uniform: Sequence[Sample], pseudonyms: Pseudonyms) -> Lineage:
    """Return the lineage of a first version, trained on all ``samples`` in every epoch, with weight 1.

    ``uniform`` are those of them that its estimators were measured on.
    """
    measured = {uniform[row].id for row in measured_rows(len(uniform)).tolist()}
    return Lineage.of(
        samples,
        [HISTORY] * len(samples),
        np.ones(len(samples)),
        np.full(len(samples), epochs),
        np.array([sample.id in measured for sample in samples], dtype=np.bool_),
        pseudonyms,
    )
