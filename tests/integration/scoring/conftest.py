"""A small version that can serve every estimator, and the command, in this process or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from importance.sample import Action, Sample
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, train_first
from trainer.device import use_threads
from trainer.labelled import Labelled
from trainer.memory import measured, weights_of
from weir import cli, settings

THINGS = ("red lantern", "blue mug", "green cushion", "white ribbon", "old clock")
Run = Callable[..., subprocess.CompletedProcess[str]]


def query_and_text(number: int) -> tuple[str, str]:
    return THINGS[number % 3], f"{THINGS[number % 5]} {number % 7}"


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    use_threads(1)
    samples = [sample(number) for number in range(300)]
    history = Labelled(samples, np.array([int(each.actions > 0) for each in samples], np.int64))
    directory = tmp_path_factory.mktemp("version")
    training = FirstTraining(epochs=1, vocabulary=120)
    model = versions.load(train_first(history, directory / "first", history, training))
    model = replace(model, average=weights_of(model), earlier=weights_of(model))
    return versions.save(measured(model, history), directory / "small")


def sample(number: int) -> Sample:
    query, text = query_and_text(number)
    bought = int(Action.PURCHASE) if number % 3 == number % 5 else 0
    return Sample(f"i{number}", f"s{number}", "search", query, "x", text, 0, 0, number, actions=bought)


@pytest.fixture
def weir_score(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Run ``weir score`` to its end in ``tmp_path``, with the small version unless another is named."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: object, model: Path | None = version) -> subprocess.CompletedProcess[str]:
        chosen = [] if model is None else ["--model", str(model)]
        arguments = ["score", *map(str, words), *chosen]
        status = cli.run(arguments)
        told = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return run


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "weir", "score", *map(str, words)]


def environment() -> dict[str, str]:
    """That of the tests, without any setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[3])}
