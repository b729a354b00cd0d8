"""What ``weir benchmark importance`` refuses before it reads any data."""

from pathlib import Path

import pytest

from weir import settings
from weir.cli import run


@pytest.mark.parametrize("data", ["home_depot", "complete_journey", "online_retail"])
@pytest.mark.parametrize("words", [["--column", "text=title"], ["--positive", "yes"], ["--delimiter", ";"]])
def test_names_of_columns_and_labels_are_refused_where_the_data_are_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: str, words: list[str]
) -> None:
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    monkeypatch.setenv("WEIR_DATA_DIR", str(tmp_path))
    assert run(["benchmark", "importance", "--data", data, "--output", str(tmp_path / "out"), *words]) == 2
    complaint = capsys.readouterr().err
    assert f"{words[0]} is for a file of your own; {data} has its columns and labels: leave it out" in complaint
    assert complaint.count("\n") == 1
