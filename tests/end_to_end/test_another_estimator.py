"""A worker is started again with another estimator: no migration, and no two estimators meet in a stratum."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from importance.strata import NEGATIVE, POSITIVE
from storage.engine import create_engine
from tests.support.waiting import until
from weir import settings
from weir.cli import run

FIRST, SECOND = 2_500, 5_000  # events


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The built-in model, trained for a moment."""
    from datasets import open_dataset
    from importance.sample import label
    from trainer.bootstrap import FirstTraining, train_first
    from trainer.labelled import Labelled

    history = list(islice(open_dataset("simulation", 0, None, tmp_path, lambda *_: None).history(), 900))
    labelled = Labelled(history, np.array([label(sample.actions) for sample in history]))
    return train_first(labelled, tmp_path / "model", labelled, FirstTraining(epochs=1))


@pytest.fixture
def weir(
    kafka: str,
    postgres: Any,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Any]:
    """Runs one command, with --json, on topics and a database of its own."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    name = f"estimator-{secrets.token_hex(4)}"
    for variable, value in {
        "HOME": tmp_path, "KAFKA_BOOTSTRAP": kafka, "DATABASE_URL": postgres.database(), "TOPIC_PREFIX": f"{name}.",
        "CONSUMER_GROUP": name, "MODEL": model, "PARTITIONS": 2, "BUFFER_CAPACITY": 400, "IDLE_SECONDS": 1,
        "HOLDOUT_CAPACITY_SHARE": 0.25,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"WEIR_{variable}", str(value))
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Any:
        capsys.readouterr()
        assert run([*words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return command


@pytest.fixture
def engine(weir: Callable[..., Any]) -> Iterator[sa.Engine]:
    """That database, with its tables."""
    weir("migrate")
    engine = create_engine(os.environ["WEIR_DATABASE_URL"])
    yield engine
    engine.dispose()


@contextmanager
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A worker with the settings of now, told to stop at the end."""
    process = subprocess.Popen([sys.executable, "-m", "weir", "worker"], env=os.environ, stderr=subprocess.PIPE)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, process.communicate()[1].decode()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timeout(600)  # two workers and three commands load torch, on whatever the machine has left
def test_another_estimator_needs_no_migration_and_never_meets_the_first(
    weir: Callable[..., Any], engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(statement: str) -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(statement)).all())

    def decided() -> int:
        return int(found("SELECT coalesce(sum(samples), 0) FROM progress")[0][0])

    def by_stratum(column: str) -> dict[str, set[str]]:
        joined = "buffer_keys JOIN buffer_samples USING (id) JOIN buffer_strata USING (stratum)"
        rows = found(f"SELECT stratum, {column} FROM {joined}")
        return {name: {str(value) for stratum, value in rows if stratum == name} for name in (POSITIVE, NEGATIVE)}

    weir("topics")
    weir("models", "init", "--untrained")
    weir("replay", "simulation", "--limit", str(FIRST))
    with worker():
        until("decisions of the first worker", lambda: decided() > FIRST / 4)
    before = decided()
    assert by_stratum("estimator") == {POSITIVE: {"last_layer_norm"}, NEGATIVE: {"last_layer_norm"}}

    monkeypatch.setenv("WEIR_ESTIMATOR", "entropy")
    weir("replay", "simulation", "--limit", str(SECOND))
    with worker():
        until("decisions of the second worker", lambda: decided() > before + FIRST / 4)
    migrated = weir("migrate", "--check")
    assert migrated["now"] == migrated["head"]
    assert by_stratum("estimator") == {POSITIVE: {"entropy"}, NEGATIVE: {"entropy"}}
    assert {rule.split(",")[0] for rules in by_stratum("rule").values() for rule in rules} == {"entropy"}
    assert found("SELECT DISTINCT epoch FROM buffer_strata WHERE stratum IN ('positive', 'negative')") == [(1,)]

    entries = weir("audit")
    assert {(x["actor"], x["via"], x["target"]) for x in entries if x["action"] == "buffer.rescore"} == {
        ("worker", "worker", POSITIVE),
        ("worker", "worker", NEGATIVE),
    }
    again = weir("buffer", "rescore", "--scored-by", "v1")
    assert again["version"] == "v1"
    assert again["rows"]["scored by v1"] > 0
    told = weir("buffer", "stats")
    assert told["items"] <= told["capacity"] == 400
    figures = {each["figure"]: each for each in told["estimates"]}
    assert figures["samples"]["stream"] == decided()
    for each in figures.values():
        spread = each["high"] - each["low"]
        assert each["low"] - spread < each["stream"] < each["high"] + spread
