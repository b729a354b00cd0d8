"""The data of a training run, in a file: what a trainer needs to make the batches of another one again. No pickle.

Columns are written as the bytes that they are in memory, so that every weight made of them is the same to the bit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np

from importance.errors import BadArtifact
from storage.buffer_reader import Draw

FILE = "snapshot.msgpack"


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """What a run trains on: rows that were ``drawn`` of all strata, or of the uniform one.

    They are fresh where they were stored after ``watermark``. An early stop is decided by ``validation``.
    ``configuration`` describes all else that the weights of the candidate depend on.
    """

    configuration: str
    watermark: int
    drawn: Draw
    uniform: Draw
    validation: Draw


def save(snapshot: Snapshot, directory: Path) -> Path:
    """Write a snapshot into ``directory``, which is created: about 200 bytes a row and its texts."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE).write_bytes(msgspec.msgpack.encode(snapshot, enc_hook=lambda column: column.tobytes()))
    return directory


def load(directory: Path) -> Snapshot:
    """Read a snapshot; `BadArtifact` when it is missing or damaged."""
    file = directory / FILE
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=Snapshot, dec_hook=_column)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise BadArtifact(f"{file} does not load: {error}") from error


def _column(kind: Any, content: bytes) -> Any:
    """Return an array of the type that a field of `Draw` has: ``ndarray[shape, dtype[number]]``."""
    return np.frombuffer(content, get_args(get_args(kind)[1])[0]).copy()
