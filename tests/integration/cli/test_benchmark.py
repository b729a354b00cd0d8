"""``weir benchmark importance`` from a file to a report, small; stopped in the middle, and told nonsense."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from pyarrow import parquet

from tests.support.waiting import until
from weir import settings
from weir.cli import run

COLOURS, THINGS = ("red", "blue", "green"), ("lantern", "mug", "clock")
GRID = """
learner = "head"
policies = ["last_layer_norm", "rho_top", "gradient_norm"]
keep_ratios = [0.1, 1.0]
noise = [[0.0, "uniform"], [0.2, "confusable"]]
seeds = 2
epochs = 1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sentence vectors are kept between the tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def arguments(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command on a file of a made-up shop, with a small grid."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIR_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "grid.toml").write_text(GRID)
    random, rows = Random(0), []
    for number in range(400):
        colour, wanted = random.choice(COLOURS), random.choice(COLOURS)
        row = {
            "id": number,
            "text": f"{colour} {random.choice(THINGS)}",
            "query": f"{wanted} {random.choice(THINGS)}",
            "label": int(random.random() < (0.9 if colour == wanted else 0.1)),
            "group": f"c{number % 80}",
        }
        rows.append(json.dumps(row))
    (tmp_path / "shop.jsonl").write_text("\n".join(rows))
    words = ["benchmark", "importance", "--grid", str(tmp_path / "grid.toml"), "--output", str(tmp_path / "out")]
    return [*words, "--data", str(tmp_path / "shop.jsonl")]


def _records(folder: Path) -> list[dict[str, object]]:
    """All that does not depend on the machine."""
    rows = parquet.read_table(folder / "results.parquet").to_pylist()
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def test_a_file_of_texts_becomes_results_plots_and_a_report(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 0
    out = tmp_path / "out"
    assert "shop: 52 runs; read" in capsys.readouterr().out  # 2 noises · 2 seeds · (3 + 2 random · 4 ratios)
    assert len(_records(out)) == 52
    report = (out / "report.html").read_text()
    for word in (
        "last_layer_norm",
        "rs2",
        "Holm",
        "ndcg",
        "20 % confusable",
        "rank alike",
        "worse in",
        "Of the policies that score",
    ):
        assert word in report
    for plot in ("steps", "compute", "noise", "scores", "ranks"):
        assert (out / f"{plot}.png").read_bytes().startswith(b"\x89PNG")
    before = (out / "results.parquet").stat().st_mtime_ns
    assert run(arguments) == 0
    assert (out / "results.parquet").stat().st_mtime_ns == before  # nothing was run again
    next((out / "predictions").iterdir()).unlink()
    capsys.readouterr()
    assert run(arguments) == 2
    assert ".npy is gone or broken, and results.parquet has its run: take another --output" in capsys.readouterr().err


def test_a_benchmark_killed_in_the_middle_goes_on_and_ends_as_if_nothing_had_happened(
    arguments: list[str], tmp_path: Path
) -> None:
    whole = [*arguments[:-3], str(tmp_path / "whole"), *arguments[-2:]]
    assert run(whole) == 0
    out = tmp_path / "out"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "weir", *arguments], stderr=log, env=os.environ)
        until("results", lambda: (out / "results.parquet").exists() or process.poll() is not None)
        process.kill()
        process.wait()
    done = len(_records(out))
    assert 0 < done < 52, (tmp_path / "log").read_text()
    assert run(arguments) == 0
    assert _records(out) == _records(tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--grid", "medium"], "unknown grid 'medium', and no such file: name quick or full"),
        (["--data", "nowhere.csv"], "no such file: nowhere.csv"),
        (["--column", "txt=title"], "--column names 'txt'"),
        (["--column", "label=mark"], "has no column 'mark'"),
        (["--positive", "7"], "no label is '7', named by --positive; there are 0, 1"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_leaves_nothing_behind(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    assert run([*arguments, *words]) == 2
    complaint = capsys.readouterr().err
    assert problem in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_one_line_and_stays(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert run(arguments) == 2
    complaint = capsys.readouterr().err
    assert "out is not a usable results directory: File exists; take another --output" in complaint
    assert complaint.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("keep_ratios = [0.0]", "a keep ratio is 0; it must be above 0 and at most 1"),
        ("keep_ratios = [2.0]", "a keep ratio is 2; it must be above 0 and at most 1"),
        ('policies = ["enthropy"]', "unknown estimator 'enthropy'; did you mean entropy?"),
        ('policies = ["forgetting"]', "policy forgetting needs forgotten, pairs, which the learner head has not"),
    ],
)
def test_a_grid_that_cannot_be_run_is_one_line_and_leaves_nothing_behind(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    name = line.partition(" ")[0]
    kept = [each for each in GRID.splitlines() if not each.startswith(name)]
    (tmp_path / "grid.toml").write_text("\n".join([*kept, line]))
    assert run(arguments) == 2
    complaint = capsys.readouterr().err
    assert problem in complaint
    assert not (tmp_path / "out").exists()
