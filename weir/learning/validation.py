"""The holdout in two: what an early stop is decided by, and what the gate judges by. No subject is in both. Pure."""

import numpy as np

from importance.hashing import uniforms
from storage.buffer_reader import Draw
from weir.settings import Settings

SHARE = 0.25
"""Of the holdout's subjects: the gate's bound is then wider by 15 %, 1 / √(1 − share)."""
MAX_ROWS = 2_000
"""The mean of losses that scatter by half a nat is then right within .011 (one sigma), differences far more."""


def split_holdout(holdout: Draw, settings: Settings) -> tuple[Draw, Draw]:
    """Return what an early stop is decided by, nothing where there is none, and what versions are judged by."""
    if not settings.train_validation_steps:
        return holdout.rows(np.empty(0, np.int64)), holdout
    return divide(holdout, settings.salt)


def divide(holdout: Draw, salt: str) -> tuple[Draw, Draw]:
    """Return the validation samples, at most `MAX_ROWS` evenly spread, and those that the gate judges by.

    By a hash of the subject, the same in every run: what chose one version never judges a later one, while every run
    divides the holdout, by the same salt. One that is judged by the whole holdout, or by another salt's part, is judged
    by samples that chose an earlier version too, which favours that version.
    """
    chosen = uniforms(holdout.subject, salt, "validation") < SHARE
    rows = np.flatnonzero(chosen)
    some = np.linspace(0, len(rows) - 1, min(MAX_ROWS, len(rows))).round().astype(np.int64)
    return holdout.rows(rows[some]), holdout.rows(np.flatnonzero(~chosen))
