"""What a table's columns and lines may be, before anything asks what its rows mean."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets.table_files import LONGEST_BYTES, columns_of, opened
from importance.errors import InvalidInput

LONG = "t" * (LONGEST_BYTES + 1)


def read(file: Path) -> dict[str, list[object]]:
    """The columns text and label, whole."""
    found: dict[str, list[object]] = {"text": [], "label": []}
    with opened(file) as source:
        for batch in columns_of(source, tuple(found))[1]:
            for name, values in batch.items():
                found[name] += values
    return found


def kept(folder: Path, text: pa.Array) -> Path:
    """A Parquet file with one column of that name."""
    parquet.write_table(pa.table({"text": text}), folder / "rows.parquet")
    return folder / "rows.parquet"


def refused(file: Path) -> str:
    with pytest.raises(InvalidInput) as refusal:
        read(file)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def _texts(*values: bytes) -> pa.Array:
    """A column of strings, which nobody has asked whether they are."""
    ends = [sum(map(len, values[:count])) for count in range(len(values) + 1)]
    offsets = b"".join(end.to_bytes(4, "little") for end in ends)
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_named_with_the_remedy(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes("\ufeff".encode(encoding)[:2] + "text\na\n".encode(encoding))
    assert refused(tmp_path / name).endswith("starts with the byte order mark of UTF-16; it must be UTF-8: save it so")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (_texts(b"good", b"\xff\xfe"), "string"),
        (pa.array([1_000, 1], pa.timestamp("ns")), "timestamp[ns]"),
        (pa.array([0, 1 << 62], pa.timestamp("us")), "timestamp[us]"),
        (pa.array([0, 1 << 30], pa.date32()), "date32[day]"),
    ],
    ids=["not UTF-8", "nanoseconds", "a far time", "a far day"],
)
def test_a_value_that_python_cannot_hold_is_one_line_with_its_row(tmp_path: Path, text: pa.Array, kind: str) -> None:
    line = f"row 2: text cannot be read as {kind}: write the column as UTF-8 texts or as numbers"
    assert line in refused(kept(tmp_path, text))


def test_a_time_zone_that_is_none_is_one_line(tmp_path: Path) -> None:
    assert "row 1: text cannot be read as timestamp[us, tz=Mars/X]" in refused(
        kept(tmp_path, pa.array([1], pa.timestamp("us", tz="Mars/X")))
    )


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.json_(pa.string()),
    ],
    ids=str,
)
def test_a_value_that_is_too_long_is_refused_whatever_its_type(tmp_path: Path, kind: pa.DataType) -> None:
    values = ["short", None, LONG, "short"]
    if isinstance(kind, pa.BaseExtensionType):
        text = pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    elif pa.types.is_dictionary(kind):
        text = pa.array(values).dictionary_encode()
    else:
        text = pa.array(values, kind)
    assert f"row 3: text is longer than {LONGEST_BYTES:,} bytes: cut it" in refused(kept(tmp_path, text))


def test_texts_of_any_type_that_are_short_enough_are_read(tmp_path: Path) -> None:
    for kind in (pa.string(), pa.string_view(), pa.large_string()):
        assert read(kept(tmp_path, pa.array(["a", None, "ä"], kind)))["text"] == ["a", None, "ä"]
    assert read(kept(tmp_path, pa.array(["a", None, "a"]).dictionary_encode()))["text"] == ["a", None, "a"]
    assert read(kept(tmp_path, pa.array([1, 2]).dictionary_encode()))["text"] == [1, 2]


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    assert "text holds list<element: string>; it must hold texts" in refused(kept(tmp_path, pa.array([["a", "b"]])))


def test_a_line_of_csv_is_not_read_further_than_a_line_may_be_long(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\na,1\n" + "b," * (LONGEST_BYTES // 2) + "\n")
    assert f"line 3: it is longer than {LONGEST_BYTES:,} characters: cut its texts" in refused(file)


def test_a_field_of_csv_may_have_lines_and_commas_in_quotes(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes('\ufefftext,label\r\n"a, ""b""\r\n\nc",1\r\nä,0'.encode())
    assert read(file) == {"text": ['a, "b"\r\n\nc', "ä"], "label": ["1", "0"]}


def test_a_line_is_numbered_as_an_editor_does(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('text,label\n"a\nb",1\n"c"d,0\n')
    assert "line 4: " in refused(file)


def test_the_longest_line_of_json_is_read(tmp_path: Path) -> None:
    line = json.dumps({"text": ""})
    text = "t" * (LONGEST_BYTES - len(line))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": text}))
    assert read(tmp_path / "rows.jsonl")["text"] == [text]


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label,text\na,1,b\n")
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        assert refused(tmp_path / name) == f"{tmp_path / name} has 2 columns 'text': rename all but one"


def test_a_table_in_another_encoding_is_refused_near_its_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("text,label\nca,1\ncafé,0\n".encode("latin-1"))
    assert "is not UTF-8: save it so" in refused(tmp_path / "rows.csv")


def test_values_that_are_nested_without_end_are_refused_with_their_line(tmp_path: Path) -> None:
    deep = '{"text": "b", "label": 1, "z": ' + "[" * 50_000 + "]" * 50_000 + "}"
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": 1}\n' + deep + "\n")
    assert "line 2" in refused(tmp_path / "rows.jsonl")
