"""Online Retail (UCI id 352): the order lines of a British gift shop, from December 2010 to December 2011.

Finds the file or fetches the original, and selects the rows that are sales.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets import workbook
from datasets.directories import home_path, missing, search_paths
from datasets.download import Source, fetch
from datasets.shop import Line, Mapping
from importance.callbacks import OnProgress
from importance.errors import InvalidInput, Unavailable

NAME = "online_retail"
ABOUT = (
    "Online Retail, D. Chen, UCI 352, doi:10.24432/C5BW33, CC BY 4.0. An order line is a purchase that answers an "
    "impression a moment before; products not bought are drawn from the catalogue; a cancellation is a return"
)
SOURCE = Source(
    url="https://archive.ics.uci.edu/static/public/352/online+retail.zip",
    sha256="f5385cbb54bbebf7196389109c6b0621faab0c304e3702548165e71c84aede8b",
    size_bytes=23_715_478,
)
STREAM_START = datetime(2011, 1, 1, tzinfo=UTC)
PUBLISHED_END = datetime(2011, 9, 1, tzinfo=UTC)  # of the months that published results cover
TABLES = ("transactions_dev.parquet", "transactions.parquet")
ORIGINALS = ("online+retail.zip", "online_retail.zip", "Online Retail.xlsx")


def mapping(seed: int) -> Mapping:
    """Open the data set: December 2010 is history, the stream starts with January 2011."""
    return Mapping(prefix=NAME, seed=seed, stream_start_ms=_milliseconds(STREAM_START))


def locate(data_dir: Path | None, home: Path, progress: OnProgress | None = None, source: Source = SOURCE) -> Path:
    """Return the table's path; the table is made from the original, which is downloaded where it is missing."""
    found = find(data_dir, home)
    if found is not None and found.name in TABLES:
        return found
    own = home_path(NAME, home)
    try:
        original = found or fetch(source, own / ORIGINALS[0], progress)
    except Unavailable as error:
        raise missing(NAME, search_paths(NAME, data_dir, home), error, source.url) from error
    table = own / "transactions.parquet"
    workbook.convert(original, table, progress)
    return table


def find(data_dir: Path | None, home: Path) -> Path | None:
    """Return the table, or else the original, where one is on this machine."""
    directories = search_paths(NAME, data_dir, home)
    paths = (directory / name for names in (TABLES, ORIGINALS) for directory in directories for name in names)
    return next((path for path in paths if path.is_file()), None)


def lines(table: Path) -> Iterator[Line]:
    """Yield sales (positive quantity and price, a product's code) and cancellations by a known customer, in file order.

    The shop's clock is read as UTC. Raises InvalidInput for a file without such a table.
    """
    for order, item, text, quantity, time_ms, price, customer, country in _rows(table):
        cancels = order.startswith("C")
        is_sale = not cancels and quantity > 0 and price > 0
        if item[:5].isdigit() and (is_sale or (cancels and customer)):  # the rest is postage and corrections
            yield Line(order, item, " ".join((text or item).split()), price, time_ms, customer or "", country, cancels)


def _rows(table: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the columns of the workbook, row by row; the date as milliseconds."""
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(table) as file:
            for batch in file.iter_batches(batch_size=16_384, columns=list(workbook.COLUMNS)):
                columns = {name: batch.column(name) for name in workbook.COLUMNS}
                columns["InvoiceDate"] = columns["InvoiceDate"].cast("timestamp[ms]").cast("int64")
                yield from zip(*(columns[name].to_pylist() for name in workbook.COLUMNS), strict=True)
    except (ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"{table} cannot be read as order lines ({reason}): replace or remove it") from error


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000
