"""The choice of a tracking tool."""

from pathlib import Path

import pytest

from experiments.tracking import tracker
from importance.errors import InvalidInput


def test_a_tool_that_is_not_installed_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"pip install 'weirstream\[wandb\]'"):
        tracker("wandb", tmp_path)


def test_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it must be one of tensorboard, wandb, mlflow"):
        tracker("notebook", tmp_path)
