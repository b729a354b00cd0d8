"""Online Retail (UCI id 352): the order lines of a British gift shop, December 2010 to August 2011.

Knows where the file may lie, how to fetch the original, and which of its rows are sales.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from importance.errors import NotFound, Unavailable
from stream.datasets import workbook
from stream.datasets.download import Source, fetch
from stream.datasets.shop import Line, Mapping

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
STREAM_END = datetime(2011, 9, 1, tzinfo=UTC)  # published figures are of these months; the original goes on to December
TABLES = ("transactions_dev.parquet", "transactions.parquet")
ORIGINALS = ("online+retail.zip", "online_retail.zip", "Online Retail.xlsx")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it goes (0: unknown)."""


def mapping(seed: int) -> Mapping:
    """December 2010 is history; the stream begins with January 2011."""
    return Mapping(prefix=NAME, seed=seed, stream_start_ms=_milliseconds(STREAM_START))


def locate(data_dir: Path | None, home: Path, progress: Progress | None = None, source: Source = SOURCE) -> Path:
    """The table's path, made from the original where only that is at hand, which is downloaded where it is not.

    Looks into ``data_dir`` or, without one, into data/ and ../shared/data of the working folder; then into
    ``home``/data, where a download lands.
    """
    own = home / "data" / NAME
    places = [*([data_dir / NAME] if data_dir else [Path("data") / NAME, Path("../shared/data") / NAME]), own]
    for place in places:
        for name in TABLES:
            if (place / name).is_file():
                return place / name
    table = own / "transactions.parquet"
    for place in places:
        for name in ORIGINALS:
            if (place / name).is_file():
                workbook.convert(place / name, table, progress)
                return table
    try:
        original = fetch(source, own / ORIGINALS[0], progress)
    except Unavailable as error:
        looked = ", ".join(str(place) for place in places)
        raise NotFound(
            f"{NAME} is in none of {looked}, and {error}: put {source.url} there, or use the data set simulation"
        ) from error
    workbook.convert(original, table, progress)
    return table


def lines(table: Path) -> Iterator[Line]:
    """Sales (a positive quantity and price, a product's code) and cancellations by a known customer, in file order.

    The shop's clock is read as UTC.
    """
    from pyarrow import parquet

    end_ms = _milliseconds(STREAM_END)
    for batch in parquet.ParquetFile(table).iter_batches(batch_size=16_384, columns=list(workbook.COLUMNS)):
        columns = {name: batch.column(name) for name in workbook.COLUMNS}
        columns["InvoiceDate"] = columns["InvoiceDate"].cast("timestamp[ms]").cast("int64")
        for row in zip(*(columns[name].to_pylist() for name in workbook.COLUMNS), strict=True):
            order, item, text, quantity, time_ms, price, customer, country = row
            if time_ms >= end_ms:
                return
            cancels = order.startswith("C")
            is_sale = not cancels and quantity > 0 and price > 0
            if item[:5].isdigit() and (is_sale or (cancels and customer)):  # the rest is postage and corrections
                text = " ".join((text or item).split())
                yield Line(order, item, text, price, time_ms, customer or "", country, cancels)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000
