"""Which rows of the package's tables are lines, and what the stream is made of."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets import complete_journey
from datasets.shop import Line
from importance.errors import InvalidInput

PRODUCTS = [
    (1, "PRODUCE", "APPLES", "APPLES GALA (BULK&BAG)", None),
    (2, "PRODUCE", "APPLES", "APPLES GALA (BULK&BAG)", None),
    (3, "GROCERY", "CANDY", "CANDY BARS", "1 OZ"),
    (4, "FLORAL", "ROSES", "MIXED, LONG", "12 CT"),
    (5, "PRODUCE", None, None, None),
]
ROWS = [  # basket, product, household, quantity, value, second
    (20, 4, 8, 1, 9.99, 61),
    (10, 2, 7, 2, 3.0, 5),
    (11, 3, 7, 1, 1.0, 20),
    (12, 5, 7, 1, 1.0, 20),
    (13, 1, 7, 0, 1.0, 20),
    (14, 1, 7, 1, 0.0, 20),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables as the package has them, with few rows."""
    ids, departments, categories, types, sizes = zip(*PRODUCTS, strict=True)
    products = {
        "product_id": ids,
        "department": departments,
        "product_category": categories,
        "product_type": types,
        "package_size": sizes,
    }
    parquet.write_table(
        pa.table({name: list(column) for name, column in products.items()}), tmp_path / "products.parquet"
    )
    write_sales(tmp_path, ROWS)
    return tmp_path


def write_sales(folder: Path, rows: list[tuple[int, int, int, int, float, int]]) -> None:
    names = ("basket_id", "product_id", "household_id", "quantity", "sales_value")
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    moments = pa.array([datetime(2017, 1, 1, 9, row[5] // 60, row[5] % 60) for row in rows], pa.timestamp("ns"))
    parquet.write_table(pa.table(columns | {"transaction_timestamp": moments}), folder / "transactions.parquet")


def test_sales_of_fresh_goods_become_lines_in_order_of_time(folder: Path) -> None:
    """No other department, nothing without a type, without quantity or for nothing; equal texts are one product."""
    nine = int(datetime(2017, 1, 1, 9, tzinfo=UTC).timestamp()) * 1_000
    assert list(complete_journey.lines(folder)) == [
        Line("10", "1", "apples gala (bulk&bag)", 1.5, nine, "7", "", category="apples"),
        Line("20", "4", "roses mixed long 12 ct", 9.99, nine + 60_000, "8", "", category="roses"),
    ]


def test_the_order_within_a_basket_does_not_depend_on_the_order_of_rows(folder: Path) -> None:
    """Nor does it follow the products' numbers, which a context would then give away."""
    rows = [(basket, product, 7, 1, 1.0, basket) for basket in range(40) for product in (1, 4)]
    write_sales(folder, rows)
    found = list(complete_journey.lines(folder))
    write_sales(folder, rows[::-1])
    assert list(complete_journey.lines(folder)) == found
    firsts = Counter(line.item for line in found[::2])
    assert min(firsts["1"], firsts["4"]) > 5


@pytest.mark.parametrize("name", ["products.parquet", "transactions.parquet"])
def test_a_table_that_cannot_be_read_is_refused_in_one_line(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"no table")
    with pytest.raises(
        InvalidInput, match=rf"^.*{name} cannot be read as order lines \(.*\): pip install .*$"
    ) as caught:
        list(complete_journey.lines(folder))
    assert "\n" not in str(caught.value)


def test_the_tables_come_with_the_packages() -> None:
    assert (complete_journey.locate() / "transactions.parquet").is_file()
