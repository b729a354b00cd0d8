"""Export the buffer as a table to train on: one snapshot, in constant memory, written completely or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from datasets.table_writer import check_output, writing
from importance.callbacks import OnProgress
from importance.errors import NotFound
from storage.buffer_reader import BufferReader, Explained

if TYPE_CHECKING:
    import pyarrow as pa


def export(reader: BufferReader, output: Path, holdout: bool, progress: OnProgress) -> int:
    """Write the samples of the buffer in the order of ids, the holdout only on demand; return their number."""
    path, done = check_output(output), 0
    schema = columns()
    with reader.snapshot(holdout=holdout) as held, writing(path, schema) as write:
        if not held.items:
            raise NotFound("the buffer holds no sample to export yet: see 'weir buffer stats'")
        for found in held.batches:
            write(batch(found, schema))
            done += len(found)
            progress(f"writing {output.name}", done, held.items)
    return done


def columns() -> "pa.Schema":
    """Return the columns. ``weight`` is 1 / ``probability``, of being held; ``attributes`` is a JSON object."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return pa.schema(
        {
            "id": text, "time": pa.timestamp("ms", "UTC"), "subject": text, "surface": text, "query": text,
            "item": text, "text": text, "position": pa.int32(), "propensity": number, "value": number,
            "attributes": text, "label": pa.int8(), "outcome": text, "rating": number, "stratum": text,
            "importance": number, "estimator": text, "model": text, "prediction": number, "probability": number,
            "weight": number,
        }
    )  # fmt: skip


def batch(found: Sequence[Explained], schema: "pa.Schema") -> "pa.RecordBatch":
    """Convert samples to rows of the table."""
    import pyarrow as pa

    rows = [_row(each) for each in found]
    return pa.record_batch(
        [pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names], schema
    )


def _row(found: Explained) -> dict[str, object]:
    sample = found.sample
    return {
        "id": sample.id, "time": sample.time_ms, "subject": sample.subject, "surface": sample.surface,
        "query": sample.query, "item": sample.item, "text": sample.text, "position": sample.position,
        "propensity": sample.propensity, "value": sample.value,
        "attributes": msgspec.json.encode(sample.attributes).decode(),
        "label": found.label, "outcome": found.outcome.value, "rating": sample.rating and sample.rating.value,
        "stratum": found.stratum, "importance": found.importance, "estimator": found.estimator, "model": found.model,
        "prediction": found.prediction, "probability": found.probability, "weight": 1 / found.probability,
    }  # fmt: skip
