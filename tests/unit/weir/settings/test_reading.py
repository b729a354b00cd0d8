"""Where a value comes from, what is refused, and what is secret."""

from pathlib import Path

import pytest

from tests.support.settings import refusal, source_of
from weir import settings


def test_the_environment_goes_before_the_env_file_which_goes_before_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert source_of("WEIR_BUFFER_CAPACITY") == ("10000", "default")
    (tmp_path / ".env").write_text("WEIR_BUFFER_CAPACITY=500\nPATH_OF_SOMEONE_ELSE=1\n")
    assert source_of("WEIR_BUFFER_CAPACITY") == ("500", ".env")
    monkeypatch.setenv("WEIR_BUFFER_CAPACITY", "600")
    assert source_of("WEIR_BUFFER_CAPACITY") == ("600", "environment")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TRAIN_AFTER_SAMPLES", "")
    assert settings.read().train_after_samples is None
    assert source_of("WEIR_TRAIN_AFTER_SAMPLES") == ("", "default")


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_API_PORT", "x")
    monkeypatch.setenv("WEIR_SEED", "-1")
    monkeypatch.setenv("WEIR_SEEED", "1")
    text = refusal()
    assert all(part in text for part in ("WEIR_API_PORT is 'x'", "WEIR_SEED is '-1'", "WEIR_SEEED is not a setting"))


def test_an_unknown_setting_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIR_BUFER_CAPACITY", "7")
    assert refusal() == "WEIR_BUFER_CAPACITY is not a setting of Weir: did you mean WEIR_BUFFER_CAPACITY?"
    monkeypatch.delenv("WEIR_BUFER_CAPACITY")
    (tmp_path / ".env").write_text("WEIR_ZZZ=7\n")
    assert refusal() == "WEIR_ZZZ is not a setting of Weir: unset it; docs/settings.md lists them all"


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", "mysql://ann:hunter22@db/weir")
    monkeypatch.setenv("WEIR_SALT", "s3cret" * 20)
    text = refusal()
    assert "WEIR_DATABASE_URL is a mysql URL; only postgresql is supported" in text
    assert "hunter22" not in text
    assert "s3cret" not in text


def test_secrets_are_masked_where_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://ann:hunter22@db:5432/weir?sslmode=require")
    monkeypatch.setenv("WEIR_ARTIFACTS_URL", "s3://key:hunter23@bucket/models")
    monkeypatch.setenv("WEIR_SALT", "pepper and salt")
    assert source_of("WEIR_DATABASE_URL")[0] == "postgresql://ann:***@db:5432/weir?sslmode=require"
    assert source_of("WEIR_ARTIFACTS_URL")[0] == "s3://key:***@bucket/models"
    assert source_of("WEIR_SALT")[0] == "***"
    assert "hunter" not in repr(settings.read())
    assert "pepper" not in repr(settings.read())


def test_the_secrets_are_known_in_plain_and_as_the_url_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://ann:p%40ss@db/weir")
    monkeypatch.setenv("WEIR_SALT", "pepper")
    assert set(settings.secrets(settings.read())) == {"p%40ss", "p@ss", "pepper"}
    monkeypatch.delenv("WEIR_SALT")
    assert "weir" not in settings.secrets(settings.read())


def test_settings_cannot_be_changed() -> None:
    found = settings.read()
    with pytest.raises(ValueError, match="frozen"):
        found.seed = 3
