"""The tables of Open Bandit, and how its CSV files (a directory a policy, in it one a campaign) are put into them.

Depends on columns and files; independent of interactions.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from importance.errors import InvalidInput

IMPRESSIONS, ITEMS = TABLES = ("impressions.parquet", "items.parquet")
POLICIES = ("bts", "random")
CAMPAIGNS = ("men", "women")
_LOGS = {(policy, campaign): f"{policy}/{campaign}/{campaign}.csv" for policy in POLICIES for campaign in CAMPAIGNS}
_CATALOGUES = {campaign: f"random/{campaign}/item_context.csv" for campaign in CAMPAIGNS}
ORIGINALS = (*_LOGS.values(), *_CATALOGUES.values())


def convert(originals: Path, into: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Write the two tables (Parquet) to ``into``; impressions are sorted by time. Raises InvalidInput."""
    import pyarrow as pa
    from pyarrow import parquet

    if progress:
        progress("converting", 0, 0)
    shown = [
        _csv(originals / name, IMPRESSIONS, policy=policy, campaign=campaign)
        for (policy, campaign), name in _LOGS.items()
    ]
    items = [_csv(originals / name, ITEMS, campaign=campaign) for campaign, name in _CATALOGUES.items()]
    order = [(name, "ascending") for name in ("timestamp", "policy", "campaign", "row")]
    into.mkdir(parents=True, exist_ok=True)
    for name, table in ((ITEMS, pa.concat_tables(items)), (IMPRESSIONS, pa.concat_tables(shown).sort_by(order))):
        unfinished = into / f"{name}.part"
        parquet.write_table(table, unfinished)
        unfinished.replace(into / name)


def read(table: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with the used columns. Raises InvalidInput for another file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = _schema(table.name)
        found = parquet.read_table(table, columns=schema.names).select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _refused(table, error) from error
    for batch in found.to_batches(max_chunksize=8_192):
        yield from batch.to_pylist()


def _csv(file: Path, table: str, **constants: str) -> Any:
    """Return a CSV file as a part of a table, whose other columns are the same in every row."""
    import pyarrow as pa
    from pyarrow import csv

    schema = _schema(table)
    try:
        found = csv.read_csv(file)
        found = found.rename_columns([name or "row" for name in found.column_names])  # the first has no name
        for name, value in constants.items():
            found = found.append_column(name, pa.array([value] * len(found), pa.string()))
        return found.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _refused(file, error) from error


def _schema(table: str) -> Any:
    """Return names and types of a table's columns, none of which may lack a value."""
    import pyarrow as pa

    text, number, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        IMPRESSIONS: {
            "policy": text,
            "campaign": text,
            "row": number,
            "timestamp": pa.timestamp("us", "UTC"),
            "item_id": number,
            "position": number,
            "click": number,
            "propensity_score": real,
            **{f"user_feature_{feature}": text for feature in range(4)},
        },
        ITEMS: {"campaign": text, "item_id": number, **{f"item_feature_{feature}": text for feature in (1, 2, 3)}},
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds[table].items()])


def _refused(file: Path, error: Exception) -> InvalidInput:
    reason = " ".join(str(error).split())
    return InvalidInput(f"{file} cannot be read as a log of Open Bandit ({reason}): replace or remove it")
