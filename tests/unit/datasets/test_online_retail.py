"""Where the data set is looked for, and how the original becomes lines."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets import online_retail, workbook
from datasets.shop import Line
from importance.errors import InvalidInput, NotFound
from tests.unit.datasets import originals
from tests.unit.datasets.server import serving


def moment(hour: int, minute: int) -> int:
    return int(datetime(2010, 12, 1, hour, minute, tzinfo=UTC).timestamp()) * 1_000


SEPTEMBER = int(datetime(2011, 9, 1, tzinfo=UTC).timestamp()) * 1_000

# Sorted by time; postage, corrections and unknown customers' cancellations are left out.
LINES = [
    Line("536365", "85123A", "WHITE HANGING HEART", 2.55, moment(8, 26), "17850", "United Kingdom"),
    Line("536366", "22633", "HAND WARMER <UNION & JACK>", 1.85, moment(8, 28), "17850", "United Kingdom"),
    Line("C536379", "85123A", "WHITE HANGING HEART", 2.55, moment(9, 41), "17850", "United Kingdom", cancels=True),
    Line("536383", "22633", "20713", 2.1, moment(9, 51), "", "United Kingdom"),
    Line("536384", "22633", "AFTER AUGUST", 2.1, SEPTEMBER, "", "United Kingdom"),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data in the usual directories."""
    folder = tmp_path / "somewhere" / "checkout"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", ["online+retail.zip", "Online Retail.xlsx"])
def test_an_original_put_into_the_folder_is_converted_once(tmp_path: Path, name: str) -> None:
    content = originals.download() if name.endswith(".zip") else originals.workbook()
    original = originals.write(tmp_path / "mine" / "online_retail" / name, content)
    table = online_retail.locate(tmp_path / "mine", tmp_path / "home")
    assert table == tmp_path / "home" / "data" / "online_retail" / "transactions.parquet"
    assert list(online_retail.lines(table)) == LINES
    original.unlink()
    assert online_retail.locate(tmp_path / "mine", tmp_path / "home") == table


def test_a_download_becomes_lines(tmp_path: Path) -> None:
    told: list[str] = []
    content = originals.download()
    with serving(content, 503) as server:
        source = originals.source(server.url, content)
        table = online_retail.locate(None, tmp_path / "home", lambda what, *_: told.append(what), source)
        assert online_retail.locate(None, tmp_path / "home", None, source) == table
        assert len(server.asked) == 2
    assert list(online_retail.lines(table)) == LINES
    assert "downloading" in told


def test_the_usual_places_are_looked_at_before_the_network(tmp_path: Path, empty_folder: Path) -> None:
    for directory in (empty_folder / "../shared/data", empty_folder / "data"):
        workbook.convert(
            originals.write(tmp_path / "original", originals.workbook()),
            directory / "online_retail/transactions_dev.parquet",
        )
        found = online_retail.locate(None, tmp_path / "home")
        assert found.resolve() == (directory / "online_retail/transactions_dev.parquet").resolve()


def test_without_data_and_network_one_line_names_the_places_and_the_simulation(tmp_path: Path) -> None:
    with serving(b"", 404) as server, pytest.raises(NotFound) as caught:
        online_retail.locate(tmp_path / "mine", tmp_path / "home", source=originals.source(server.url, b"x"))
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(tmp_path / "mine"), str(tmp_path / "home"), "404", server.url, "simulation"):
        assert part in text


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no zip", id="no zip"),
        pytest.param(originals.archive({"other": b""}), id="another zip"),
        pytest.param(originals.workbook(header=("A", *originals.HEADER[1:])), id="other columns"),
        pytest.param(originals.workbook([("1", "2", "3", "many", 1, 1, 1, "UK")]), id="a quantity in words"),
        pytest.param(originals.workbook([(1,)]), id="a short row"),
        pytest.param(originals.archive({"xl/sharedStrings.xml": b"<a", "xl/worksheets/sheet1.xml": b""}), id="no XML"),
    ],
)
def test_another_workbook_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    original = originals.write(tmp_path / "mine" / "online_retail" / "Online Retail.xlsx", content)
    with pytest.raises(
        InvalidInput, match=r"^.*Online Retail.xlsx is not the workbook of Online Retail \(.*\): remove it$"
    ) as caught:
        online_retail.locate(tmp_path / "mine", tmp_path / "home")
    assert "\n" not in str(caught.value)
    assert original.exists()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda table: table.write_bytes(b"no table"), id="no table"),
        pytest.param(lambda table: table.write_bytes(table.read_bytes()[: -table.stat().st_size // 2]), id="cut off"),
        pytest.param(lambda table: parquet.write_table(pa.table({"InvoiceNo": ["1"]}), table), id="other columns"),
        pytest.param(lambda table: (table.unlink(), table.mkdir()), id="a folder"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    table = tmp_path / "transactions.parquet"
    workbook.convert(originals.write(tmp_path / "original", originals.workbook()), table)
    damage(table)
    said = r"^.*transactions.parquet cannot be read as order lines \(.*\): replace or remove it$"
    with pytest.raises(InvalidInput, match=said) as caught:
        list(online_retail.lines(table))
    assert "\n" not in str(caught.value)


def test_what_is_on_this_machine_is_found_and_nothing_is_fetched(tmp_path: Path) -> None:
    assert online_retail.find(tmp_path / "mine", tmp_path / "home") is None
    original = originals.write(tmp_path / "mine" / "online_retail" / "online+retail.zip", originals.download())
    assert online_retail.find(tmp_path / "mine", tmp_path / "home") == original
    table = online_retail.locate(tmp_path / "mine", tmp_path / "home")
    assert online_retail.find(tmp_path / "mine", tmp_path / "home") == table


def test_rows_of_the_same_minute_keep_their_order(tmp_path: Path) -> None:
    rows = [(number, "22633", "X", 1, datetime(2010, 12, 1, 9), 1.0, None, "UK") for number in (3, 1, 2)]
    original = originals.write(tmp_path / "file", originals.workbook([*rows]))
    workbook.convert(original, tmp_path / "table.parquet")
    assert [line.order for line in online_retail.lines(tmp_path / "table.parquet")] == ["3", "1", "2"]


def test_the_stream_begins_with_january_2011_and_published_figures_end_with_august() -> None:
    assert online_retail.mapping(0).stream_start_ms == int(datetime(2011, 1, 1, tzinfo=UTC).timestamp()) * 1_000
    assert datetime(2011, 9, 1, tzinfo=UTC) == online_retail.PUBLISHED_END


def test_the_source_is_the_original_one() -> None:
    assert online_retail.SOURCE.url.startswith("https://archive.ics.uci.edu/")
    assert len(online_retail.SOURCE.sha256) == 64
