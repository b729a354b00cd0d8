"""A small workbook as the original is made: shared strings, numbers, dates as days."""

import hashlib
from datetime import datetime
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from datasets.download import Source

NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
ROWS: list[tuple[object, ...]] = [
    (536366, 22633, "HAND WARMER <UNION & JACK>", 6, datetime(2010, 12, 1, 8, 28), 1.85, 17850, "United Kingdom"),
    (536365, "85123A", "WHITE HANGING HEART ", 6, datetime(2010, 12, 1, 8, 26), 2.55, 17850, "United Kingdom"),
    ("C536379", "85123A", "WHITE HANGING HEART ", -1, datetime(2010, 12, 1, 9, 41), 2.55, 17850, "United Kingdom"),
    ("C536380", "85123A", "WHITE HANGING HEART ", -1, datetime(2010, 12, 1, 9, 42), 2.55, None, "United Kingdom"),
    (536381, "POST", "POSTAGE", 1, datetime(2010, 12, 1, 9, 45), 18, 12583, "France"),
    (536382, 22633, None, -10, datetime(2010, 12, 1, 9, 50), 0, None, "United Kingdom"),
    (536383, 22633, 20713, 1, datetime(2010, 12, 1, 9, 51), 2.1, None, "United Kingdom"),
    (536384, 22633, "AFTER AUGUST", 1, datetime(2011, 9, 1), 2.1, None, "United Kingdom"),
]


def workbook(rows: list[tuple[object, ...]] | None = None, header: tuple[str, ...] = HEADER) -> bytes:
    """The bytes of an .xlsx file."""
    strings: dict[str, int] = {}
    lines = []
    for number, row in enumerate([header, *(ROWS if rows is None else rows)], start=1):
        cells = [_cell(f"{chr(65 + column)}{number}", value, strings) for column, value in enumerate(row)]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    # The original wraps some strings into runs of rich text.
    shared = "".join(f"<si><r><t>{escape(text[:3])}</t></r><r><t>{escape(text[3:])}</t></r></si>" for text in strings)
    sheet = f"<worksheet {NAMESPACE}><sheetData>{''.join(lines)}</sheetData></worksheet>"
    strings_xml = f"<sst {NAMESPACE}>{shared}</sst>"
    return archive({"xl/sharedStrings.xml": strings_xml.encode(), "xl/worksheets/sheet1.xml": sheet.encode()})


def _cell(cell: str, value: object, strings: dict[str, int]) -> str:
    if value is None:
        return f'<c r="{cell}"/>'
    if isinstance(value, str):
        return f'<c r="{cell}" t="s"><v>{strings.setdefault(value, len(strings))}</v></c>'
    if isinstance(value, datetime):
        value = (value - datetime(1899, 12, 30)).total_seconds() / 86_400
    return f'<c r="{cell}"><v>{value}</v></c>'


def archive(members: dict[str, bytes]) -> bytes:
    """The bytes of a zip file."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


def download() -> bytes:
    """The workbook in a zip, as the original source sends it."""
    return archive({"Online Retail.xlsx": workbook()})


def source(url: str, content: bytes) -> Source:
    """Where a server of the test has it, and what it must be."""
    return Source(url, hashlib.sha256(content).hexdigest(), len(content))


def write(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
