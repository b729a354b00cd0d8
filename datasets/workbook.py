"""Convert the original workbook (one sheet of Office Open XML, bare or in a zip) into a table sorted by time.

Reads only what that workbook uses: shared strings, numbers, and dates as days since 1899-12-30.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

from importance.errors import InvalidInput

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
ROWS = 541_909  # of the original; only the progress shown needs it
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DAY_ZERO = datetime(1899, 12, 30)

Row = tuple[str, str, str | None, int, datetime, float, str | None, str]


def convert(workbook: Path, table: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Write the workbook's rows to ``table`` (Parquet), sorted by time; rows of the same minute keep their order."""
    import pyarrow as pa
    from pyarrow import parquet

    rows: list[Row] = []
    try:
        for row in _rows(workbook):
            rows.append(row)
            if progress and len(rows) % 10_000 == 0:
                progress("converting", len(rows), ROWS)
    except (BadZipFile, KeyError, ValueError, IndexError, ElementTree.ParseError) as error:
        raise InvalidInput(f"{workbook} is not the workbook of Online Retail ({error}): remove it") from error
    rows.sort(key=lambda row: row[4])
    text = pa.string()
    kinds = (text, text, text, pa.int64(), pa.timestamp("us"), pa.float64(), text, text)
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    table.parent.mkdir(parents=True, exist_ok=True)
    unfinished = table.with_name(table.name + ".part")
    parquet.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), unfinished)
    unfinished.replace(table)


def _rows(workbook: Path) -> Iterator[Row]:
    with _open(workbook) as archive, closing(_cells(archive, list(_strings(archive)))) as cells:
        header = next(cells, {})
        if tuple(header.get(letter) for letter in "ABCDEFGH") != COLUMNS:
            raise ValueError(f"its columns are {', '.join(map(str, header.values()))}")
        for row in cells:
            yield (
                str(row["A"]),
                str(row["B"]),
                None if row.get("C") is None else str(row["C"]),
                int(row["D"]),
                _minute(float(row["E"])),
                float(row["F"]),
                None if row.get("G") is None else str(row["G"]),
                str(row["H"]),
            )


def _open(workbook: Path) -> ZipFile:
    """Open the workbook, which is a zip itself; the download wraps it in another one."""
    archive = ZipFile(workbook)
    inner = [name for name in archive.namelist() if name.endswith(".xlsx")]
    if not inner:
        return archive
    with archive:
        return ZipFile(BytesIO(archive.read(inner[0])))


def _strings(archive: ZipFile) -> Iterator[str]:
    with archive.open("xl/sharedStrings.xml") as file:
        for _, element in ElementTree.iterparse(file):  # noqa: S314 - a file of a compared sha256, or the user's own
            if element.tag == f"{_SHEET}si":
                yield "".join(text.text or "" for text in element.iter(f"{_SHEET}t"))
                element.clear()


def _cells(archive: ZipFile, strings: list[str]) -> Generator[dict[str, str]]:
    """Yield each row as column letter → text; numbers stay as written."""
    with archive.open("xl/worksheets/sheet1.xml") as file:
        for _, element in ElementTree.iterparse(file):  # noqa: S314 - a file of a compared sha256, or the user's own
            if element.tag != f"{_SHEET}row":
                continue
            row: dict[str, str] = {}
            for cell in element.iter(f"{_SHEET}c"):
                value = cell.findtext(f"{_SHEET}v")
                if value is not None:
                    letter = cell.attrib["r"].rstrip("0123456789")
                    row[letter] = strings[int(value)] if cell.get("t") == "s" else value
            element.clear()
            yield row


def _minute(days: float) -> datetime:
    """Round to the shop's minutes, which a binary fraction of a day does not represent exactly."""
    return _DAY_ZERO + timedelta(minutes=round(days * 24 * 60))
