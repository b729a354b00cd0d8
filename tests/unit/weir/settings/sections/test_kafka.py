"""The connection to Kafka and the names of its topics."""

from pathlib import Path

import pytest

from tests.support.settings import refusal
from weir import settings
from weir.settings.connection import kafka_connection

SASL = {"WEIR_KAFKA_BOOTSTRAP": "kafka:9093", "WEIR_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
SCRAM = SASL | {"WEIR_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_PARTITIONS", "0", "at least 1"),
        ("WEIR_TOPIC_DEAD", "a b", "WEIR_TOPIC_DEAD is 'a b'"),
        ("WEIR_TOPIC_DEAD", "..", "which Kafka refuses"),
        ("WEIR_TOPIC_MODELS", "importance", "like WEIR_TOPIC_IMPORTANCE, 'importance': each topic needs a name"),
        ("WEIR_TOPIC_MODELS", "interactions_dead", "like WEIR_TOPIC_DEAD, 'interactions.dead'"),
        ("WEIR_TOPIC_PREFIX", "a/", "up to 100 of A-Z a-z 0-9 . _ -"),
        ("WEIR_KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL'"),
        ("WEIR_KAFKA_SECURITY_PROTOCOL", "SSL", "WEIR_KAFKA_BOOTSTRAP is not set"),
        ("WEIR_KAFKA_SASL_MECHANISM", "PLAIN", "nothing uses it: it belongs to SASL"),
        ("WEIR_KAFKA_PASSWORD", "hush", "nothing uses it: it belongs to SASL"),
        ("WEIR_KAFKA_CA_FILE", "/nowhere/ca.pem", "it must be a file that can be read"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            SASL,
            "WEIR_KAFKA_SECURITY_PROTOCOL=SASL_SSL needs WEIR_KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256, "
            "SCRAM-SHA-512 or OAUTHBEARER",
        ),
        (SCRAM | {"WEIR_KAFKA_PASSWORD": "p"}, "WEIR_KAFKA_SASL_MECHANISM=SCRAM-SHA-512 needs WEIR_KAFKA_USERNAME"),
        (
            SCRAM | {"WEIR_KAFKA_USERNAME": "ann"},
            "SCRAM-SHA-512 needs exactly one of WEIR_KAFKA_PASSWORD and WEIR_KAFKA_PASSWORD_FILE",
        ),
        (
            SASL | {"WEIR_KAFKA_SASL_MECHANISM": "OAUTHBEARER"},
            "OAUTHBEARER needs exactly one of WEIR_KAFKA_TOKEN_COMMAND and WEIR_KAFKA_TOKEN_FILE",
        ),
    ],
)
def test_a_login_that_lacks_a_part_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], line: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert refusal() == line


def test_a_password_from_a_file_is_used_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush hush\n", encoding="utf-8")
    for name, value in (SCRAM | {"WEIR_KAFKA_USERNAME": "ann", "WEIR_KAFKA_PASSWORD_FILE": str(file)}).items():
        monkeypatch.setenv(name, value)
    chosen = settings.read()
    connection = kafka_connection(chosen)
    assert (connection.username, connection.password) == ("ann", "hush hush")
    assert "hush" not in repr(connection)
    assert "hush hush" in settings.secrets(chosen)
    assert not [row for row in settings.sources(chosen) if "hush" in row.value]


def test_a_password_is_read_once_so_that_a_file_that_goes_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("hunter22\n", encoding="utf-8")
    for name, value in (SCRAM | {"WEIR_KAFKA_USERNAME": "ann", "WEIR_KAFKA_PASSWORD_FILE": str(file)}).items():
        monkeypatch.setenv(name, value)
    chosen = settings.read()
    assert "hunter22" in settings.secrets(chosen)  # as each role does at its start
    file.unlink()
    assert kafka_connection(chosen).password == "hunter22"
