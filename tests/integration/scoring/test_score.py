"""``weir score``: files in three formats, and one clear line for each that is wrong."""

import csv
import json
import os
import shutil
import signal
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets.table_files import columns_of, opened
from importance import estimators
from importance.sample import Action, Sample
from tests.support.waiting import until
from trainer import version_directory as versions
from trainer.forward import run
from weir.scoring.rows import COLUMNS

from .conftest import Run, command, environment, query_and_text

SUFFIXES = (".parquet", ".csv", ".jsonl")
ROWS: list[dict[str, object]] = [
    {"id": f"row-{number}", "query": query, "text": text, "label": number % 2}
    for number, (query, text) in enumerate(map(query_and_text, range(1_100)))
]


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    """The rows in the format of the file's name."""
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".csv":
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def said(ended: subprocess.CompletedProcess[str], status: int = 2) -> str:
    """The one line that a command which failed has said."""
    assert ended.returncode == status, ended.stderr
    assert ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("scoring", "loading"))]
    assert len(lines) == 1, ended.stderr
    return lines[0]


def nothing_was_written(folder: Path) -> bool:
    return not [file for file in folder.iterdir() if "out" in file.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_scored_in_its_order_whatever_its_format(
    suffix: str, weir_score: Run, version: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / f"rows{suffix}", ROWS)
    ended = weir_score(file, "--estimators", "loss, gradient_norm,rho+entropy", "--output", "out.parquet", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"rows": 1_100, "model": str(version), "non_finite": 0}
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", "loss", "gradient_norm", "rho+entropy", "model"]
    assert table["id"].to_pylist() == [row["id"] for row in ROWS]
    assert set(table["model"].to_pylist()) == {str(version)}
    model = versions.load(version)
    samples = [
        Sample("", "", "search", row["query"], "", row["text"], 0, 0, 0, actions=int(Action.PURCHASE) * row["label"])
        for row in ROWS
    ]
    labels = np.array([row["label"] for row in ROWS])
    expected = run(model, model.tokens.encode(samples), labels, [estimators.get("loss")]).importance["loss"]
    np.testing.assert_allclose(table["loss"].to_numpy(), expected, rtol=1e-4)
    assert len(set(table["rho+entropy"].to_pylist())) > 10
    assert not list(tmp_path.glob(".*partial"))


def test_every_estimator_can_be_asked_for_at_once(weir_score: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", ROWS[:40])
    ended = weir_score(file, "--estimators", ",".join(estimators.names()), "--output", "out.parquet")
    assert ended.returncode == 0, ended.stderr
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", *estimators.names(), "model"]
    for name in estimators.names():
        scores = table[name].to_numpy()
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()


def test_without_ids_rows_have_their_numbers_and_without_labels_estimators_that_need_none(
    weir_score: Run, tmp_path: Path
) -> None:
    bare = [{"text": row["text"], "query": row["query"], "more": 1} for row in ROWS[:600]]
    file = write(tmp_path / "rows.parquet", bare)
    assert weir_score(file, "--estimators", "entropy,novelty", "--output", "out.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "out.parquet")["id"].to_pylist() == [str(n) for n in range(1, 601)]


def test_an_object_without_an_id_has_its_number_whatever_the_first_one_has(weir_score: Run, tmp_path: Path) -> None:
    bare = {"query": "lamp", "text": "a lamp"}
    file = write(tmp_path / "rows.jsonl", [bare, bare | {"id": "mine"}, bare])
    assert weir_score(file, "--estimators", "entropy", "--output", "out.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "out.parquet")["id"].to_pylist() == ["1", "mine", "3"]


def test_the_estimator_is_that_of_the_settings_where_none_is_named(
    weir_score: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "rows.csv", ROWS[:20])
    monkeypatch.setenv("WEIR_ESTIMATOR", "rho+entropy")
    assert weir_score(file, "--output", "out.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "out.parquet").column_names == ["id", "rho+entropy", "model"]


def test_columns_labels_and_fields_of_a_file_of_another_form_are_named(weir_score: Run, tmp_path: Path) -> None:
    """The scores are those of the same rows under our names."""
    own = write(tmp_path / "own.csv", ROWS[:600])
    assert weir_score(own, "--estimators", "loss", "--output", "own.parquet").returncode == 0
    lines = [f"{row['id']};{row['query']};{row['text']};{'yes' if row['label'] else 'no'}" for row in ROWS[:600]]
    (tmp_path / "other.csv").write_text("\n".join(["order;search;title;bought", *lines]))
    names = ("id=order", "query=search", "text=title", "label=bought")
    options = [word for name in names for word in ("--column", name)]
    ended = weir_score("other.csv", *options, "--positive", "yes", "--delimiter", ";", "--output", "other.parquet",
        "--estimators", "loss")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert parquet.read_table(tmp_path / "other.parquet").equals(parquet.read_table(tmp_path / "own.parquet"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--column", "text"], "--column is 'text'; it must be NAME=COLUMN, such as text=title"),
        (["--column", "group=x"], "--column names 'group'; it must be query, text, label, id"),
        (["--column", "text=a", "--column", "text=b"], "--column names text twice: name it once"),
        (["--column", "id=order"], "has no column 'order'; it has id, query, text, label: name it, e.g. with --column"),
        (["--positive", "yes"], "rows.csv: no label is 'yes', named by --positive; there are 0, 1"),
        (["--delimiter", "::"], "--delimiter is '::'; it must be one character"),
        (["--delimiter", ";"], "has no column 'query'; it has id,query,text,label"),
    ],
)
def test_a_layout_that_is_not_the_files_is_one_line(
    words: list[str], line: str, weir_score: Run, tmp_path: Path
) -> None:
    write(tmp_path / "rows.csv", ROWS[:600])
    assert line in said(weir_score("rows.csv", "--estimators", "entropy", "--output", "out.parquet", *words))
    assert nothing_was_written(tmp_path)


def test_a_delimiter_that_is_missing_or_has_no_use_is_said(weir_score: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("query\ttext\nq\tt\n")
    words = ("--estimators", "entropy", "--output", "out.parquet")
    assert "its fields need --delimiter tab" in said(weir_score("rows.csv", *words))
    assert weir_score("rows.csv", *words, "--delimiter", "tab").returncode == 0
    write(tmp_path / "rows.jsonl", ROWS[:3])
    line = "weir: --delimiter is for a .csv file, and rows.jsonl is none: leave it out"
    assert said(weir_score("rows.jsonl", *words, "--delimiter", ";")) == line


def test_the_name_that_was_printed_for_a_first_version_is_a_model(
    weir_score: Run, version: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "rows.csv", ROWS[:3])
    words = (file, "--estimators", "loss", "--output", "out.parquet", "--json")
    line = said(weir_score(*words, model=Path("first-0123abcd")), status=1)
    assert line.startswith(f"weir: no first-0123abcd was made under {tmp_path / '.weir'}: leave --model out to make")
    shutil.copytree(version, tmp_path / ".weir" / "models" / "first-0123abcd")
    ended = weir_score(*words, model=Path("first-0123abcd"))
    assert json.loads(ended.stdout)["model"] == "first-0123abcd"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(suffix: str, weir_score: Run, tmp_path: Path) -> None:
    (tmp_path / f"rows{suffix}").touch()
    ended = weir_score(f"rows{suffix}", "--estimators", "entropy", "--output", "out.parquet")
    assert said(ended) == f"weir: rows{suffix} is empty; it must have rows"
    assert nothing_was_written(tmp_path)


@pytest.mark.parametrize(
    ("rows", "estimators_", "line"),
    [
        (
            [{"query": "q", "title": "t"}],
            "entropy",
            "has no column 'text'; it has query, title: name it, e.g. with --column text=title",
        ),
        ([{"text": "t", "label": 1}], "entropy", "no column 'query'; it has text, label: name it, e.g. with --column"),
        (
            [*ROWS[:3], ROWS[3] | {"label": 2}],
            "loss",
            "row 4: label is {2}; it must be 0 or 1: name the one that counts as 1 with --positive",
        ),
        (
            [{"query": "q", "text": "t"}],
            "entropy,loss",
            "e.g. with --column label=COLUMN; loss needs it, and entropy does not",
        ),
        ([{"query": "q", "text": "t" * 10_485_760}], "entropy", "{long}"),
        ([{"query": "q", "text": ""}], "entropy", "row 1: text is empty; it must have a character at least"),
        ([{"query": "q", "text": "a\0b"}], "entropy", "row 1: text holds U+0000, which no text may: take it out"),
        ([{"query": "\0", "text": "t"}], "entropy", "row 1: query holds U+0000, which no text may: take it out"),
        ([{"query": "q", "text": "t", "id": "\0"}], "entropy", "row 1: id holds U+0000, which no text may: take it"),
        ([{"query": "q" * 2_049, "text": "t"}], "entropy", "row 1: query has 2,049 characters; it may have 2,048"),
    ],
    ids=[
        "no text",
        "no query",
        "unknown label",
        "no label",
        "10 MB text",
        "no words",
        "nul in text",
        "nul in query",
        "nul in id",
        "long query",
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_wrong_row_or_column_is_one_line_and_nothing_is_written(
    suffix: str, rows: list[dict[str, object]], estimators_: str, line: str, weir_score: Run, tmp_path: Path
) -> None:
    write(tmp_path / f"rows{suffix}", rows)
    text = said(weir_score(f"rows{suffix}", "--estimators", estimators_, "--output", "out.parquet"))
    long = {
        ".parquet": "row 1: text is longer than 1,048,576 bytes: cut it",
        ".csv": "line 2: it is longer than 1,048,576 characters: cut its texts",
        ".jsonl": "line 1: it is longer than 1,048,576 bytes: cut its texts",
    }[suffix]
    two = "'2'" if suffix == ".csv" else "2"
    assert line.replace("{long}", long).replace("{2}", two) in text
    assert nothing_was_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rows.csv", 'query,text\nq,"t\n', "line 2: unexpected end of data; correct it"),
        ("rows.csv", "query,text\nq,t,more\n", "a row has 3 fields; it must have 2, as the header has"),
        ("rows.csv", "query,text\n", "has no rows: there is nothing to score"),
        ("rows.jsonl", '{"query": "q", "text": "t"}\n{"query":\n', "line 2: Input data was truncated"),
        ("rows.jsonl", "[1]\n", "line 1: Expected `object`, got `array`"),
        ("rows.parquet", "PAR1 is how one begins", "cannot be read as Parquet; it is damaged, cut off or of another"),
        ("rows.xlsx", "query", "is of no known format; its name must end in .parquet, .csv, .jsonl"),
    ],
)
def test_a_broken_file_is_one_line(name: str, content: str, line: str, weir_score: Run, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert line in said(weir_score(name, "--estimators", "entropy", "--output", "out.parquet"))
    assert nothing_was_written(tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["gone.csv", "--estimators", "entropy", "--output", "out.parquet"], "gone.csv cannot be read: No such file"),
        (
            ["rows.csv", "--estimators", "entrpy", "--output", "out.parquet"],
            "'entrpy'; did you mean entropy",
        ),
        (["rows.csv", "--estimators", "loss,loss", "--output", "out.parquet"], "names loss twice"),
        (["rows.csv", "--estimators", "loss,", "--output", "out.parquet"], "has an empty part"),
        (["rows.csv", "--estimators", "loss", "--output", "rows.csv"], "the file that is read: name another one"),
        (["rows.csv", "--estimators", "loss", "--output", "none/out.parquet"], "none/out.parquet cannot be written"),
        (["rows.csv", "--estimators", "loss", "--output", "."], ". cannot be written: it is a directory; name a file"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], line: str, weir_score: Run, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", ROWS[:3])
    before = (tmp_path / "rows.csv").read_bytes()
    assert line in said(weir_score(*words))
    assert (tmp_path / "rows.csv").read_bytes() == before
    assert nothing_was_written(tmp_path)


def test_a_model_that_is_nowhere_is_one_line(weir_score: Run, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", ROWS[:3])
    words = ("rows.csv", "--estimators", "loss", "--output", "out.parquet")
    assert "model 'v7' is not a directory, and no database is known" in said(weir_score(*words, model=Path("v7")))
    (tmp_path / "hollow").mkdir()
    assert "cannot be loaded" in said(weir_score(*words, model=Path("hollow")), status=1)
    assert nothing_was_written(tmp_path)


def test_an_estimator_that_the_model_has_no_memory_for_is_named(weir_score: Run, version: Path, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", ROWS[:3])
    bare = versions.load(version)
    versions.save(versions.Model(bare.network, bare.tokens, bare.card), tmp_path / "bare")
    words = ("rows.csv", "--output", "out.parquet", "--estimators")
    assert "cannot score by rho: it has no holdout," in said(weir_score(*words, "rho", model=Path("bare")))
    assert "the means of its parts were not measured" in said(weir_score(*words, "loss+margin", model=Path("bare")))
    assert weir_score(*words, "loss", model=Path("bare")).returncode == 0


def test_a_file_that_changes_while_it_is_read_is_refused(version: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROWS * 8)
    words = command(file, "--estimators", "gradient_norm", "--output", "out.parquet", "--model", version)
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        until("a started output", lambda: running.poll() is not None or any(tmp_path.glob(".out.parquet.*.partial")))
        assert running.poll() is None
        with file.open("a") as more:
            more.write(json.dumps(ROWS[0]) + "\n")
        _, told = running.communicate(timeout=120)
    assert running.returncode == 2
    last = told.splitlines()[-1]
    assert last == f"weir: {file} changed while it was read: wait until it is written, and run again"
    assert nothing_was_written(tmp_path)


def test_what_stood_at_the_place_of_the_output_stays_until_the_new_file_is_whole(
    weir_score: Run, tmp_path: Path
) -> None:
    (tmp_path / "out.parquet").write_text("before")
    write(tmp_path / "rows.csv", [*ROWS[:600], ROWS[600] | {"label": "maybe"}])
    said(weir_score("rows.csv", "--estimators", "loss", "--output", "out.parquet"))
    assert (tmp_path / "out.parquet").read_text() == "before"


def test_an_output_that_is_no_plain_file_is_left_as_it_is(weir_score: Run, version: Path, tmp_path: Path) -> None:
    file, pipe = write(tmp_path / "rows.csv", ROWS[:5]), tmp_path / "out"
    os.mkfifo(pipe)
    ended = weir_score(file, "--estimators", "loss", "--output", pipe, "--model", version)
    assert said(ended) == f"weir: {pipe} cannot be written: it is not a regular file; name one"
    assert pipe.is_fifo()


def test_of_a_link_its_target_is_written(weir_score: Run, version: Path, tmp_path: Path) -> None:
    file, link = write(tmp_path / "rows.csv", ROWS[:5]), tmp_path / "out.parquet"
    link.symlink_to(tmp_path / "target.parquet")
    assert weir_score(file, "--estimators", "loss", "--output", link, "--model", version).returncode == 0
    assert link.is_symlink()
    assert parquet.read_table(tmp_path / "target.parquet").num_rows == 5


@pytest.mark.usefixtures("default_hangup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_half_written(number: signal.Signals, version: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", LONG_ROWS * 20)
    words = command(file, "--estimators", "loss", "--output", "out.parquet", "--model", version)
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("scoring"):
                break
        running.send_signal(number)
        assert running.stderr.read() == ""
    assert running.returncode == 130, "as after Ctrl-C"
    assert [name.name for name in tmp_path.iterdir()] == ["rows.csv"]


LONG_ROWS = [row | {"text": f"{row['text']} " * 140} for row in ROWS]


def read_peak_bytes(file: Path) -> int:
    """The most that Python and Arrow held at once while all rows were read."""
    pool = pa.system_memory_pool()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    arrow = 0
    try:
        with opened(file) as source:
            for _ in columns_of(source, COLUMNS)[1]:
                arrow = max(arrow, pool.bytes_allocated())
        return tracemalloc.get_traced_memory()[1] + arrow
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_that_were_read_are_let_go(suffix: str, tmp_path: Path) -> None:
    short = read_peak_bytes(write(tmp_path / f"short{suffix}", LONG_ROWS))
    long = read_peak_bytes(write(tmp_path / f"long{suffix}", LONG_ROWS * 8))
    assert long < short * 3 / 2


def peak_bytes(file: Path, version: Path, folder: Path) -> int:
    """The most memory that a run held."""
    words = command(file, "--estimators", "entropy", "--output", "out.parquet", "--model", version)
    code = f"import subprocess, resource; subprocess.run({words!r}, check=True, stdout=-3, stderr=-3);" \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # fmt: skip
    ended = subprocess.run(
        [words[0], "-c", code], cwd=folder, env=environment(), check=True, capture_output=True, text=True
    )
    return int(ended.stdout) * 1024


@pytest.mark.soak
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_file(suffix: str, version: Path, tmp_path: Path) -> None:
    """What a run holds rises and falls by a fifth, and the longer it runs the higher is its peak: the bound is what the
    texts of the long file have more, which are more than that as Python's own.
    """
    short = peak_bytes(write(tmp_path / f"short{suffix}", LONG_ROWS * 20), version, tmp_path)
    long = peak_bytes(write(tmp_path / f"long{suffix}", LONG_ROWS * 200), version, tmp_path)
    print(f"{suffix}: {short >> 20} MiB for 22,000 rows, {long >> 20} MiB for 220,000")
    assert long - short < 180 * sum(len(str(row["text"])) for row in LONG_ROWS)
