"""Addresses of services and files."""

from pathlib import Path

import pytest

from tests.support.settings import refusal
from weir import settings


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_KAFKA_BOOTSTRAP", "a:9092,b:99999", "at most 65535"),
        ("WEIR_DATABASE_URL", "postgresql://db:port/weir", "postgresql://user:password@host:port/name"),
        ("WEIR_DATABASE_URL", "postgresql://[db/weir", "postgresql://user:password@host:port/name"),
        ("WEIR_KAFKA_BOOTSTRAP", "kafka", "host:port"),
        ("WEIR_DATABASE_URL", "mysql://db/weir", "postgresql://"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


def test_model_files_go_below_the_home_folder_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIR_HOME", "elsewhere")
    assert settings.read().artifacts_url == str(tmp_path / "elsewhere" / "artifacts")
    monkeypatch.setenv("WEIR_ARTIFACTS_URL", "s3://bucket/models")
    assert settings.read().artifacts_url == "s3://bucket/models"
