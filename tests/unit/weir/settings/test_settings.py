"""Settings: where a value comes from, what is refused, and that the docs say the same."""

import re
from pathlib import Path

import pytest

from importance.errors import InvalidInput
from stream.topics import Topics
from weir import settings
from weir.process.masking import masked_url
from weir.settings import Settings, training, values
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics

DOCS = Path(__file__).parents[4] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without settings, and a working folder without .env."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refused() -> str:
    with pytest.raises(InvalidInput) as caught:
        settings.read()
    text = str(caught.value)
    assert "\n" not in text
    return text


def source_of(variable: str) -> tuple[str, str]:
    found = {row.variable: row for row in settings.sources(settings.read())}[variable]
    return found.value, found.source


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


def test_ids_are_remembered_for_the_window_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ATTRIBUTION_WINDOW_SECONDS", "60")
    assert settings.read().deduplication_seconds == 60
    monkeypatch.setenv("WEIR_DEDUPLICATION_SECONDS", "90")
    assert settings.read().deduplication_seconds == 90


def test_model_files_go_below_the_home_folder_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIR_HOME", "elsewhere")
    assert settings.read().artifacts_url == str(tmp_path / "elsewhere" / "artifacts")
    monkeypatch.setenv("WEIR_ARTIFACTS_URL", "s3://bucket/models")
    assert settings.read().artifacts_url == "s3://bucket/models"


SASL = {"WEIR_KAFKA_BOOTSTRAP": "kafka:9093", "WEIR_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
SCRAM = SASL | {"WEIR_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_API_PORT", "65536", "at most 65535"),
        ("WEIR_METRICS_PORT", "-1", "at least 0"),
        ("WEIR_PARTITIONS", "0", "at least 1"),
        ("WEIR_BUFFER_CAPACITY", "many", "a whole number"),
        ("WEIR_BUFFER_CAPACITY", "1.5", "a whole number"),
        ("WEIR_ATTRIBUTION_WINDOW_SECONDS", "0.0004", "at least 0.001"),
        ("WEIR_DEDUPLICATION_SECONDS", "0", "at least 0.001"),
        ("WEIR_IDLE_SECONDS", "nan", "a finite number"),
        ("WEIR_HALF_LIFE_SECONDS", "59", "0 (no decay) or at least 60"),
        ("WEIR_HOLDOUT_CAPACITY_SHARE", "1.1", "at most 1"),
        ("WEIR_HOLDOUT_SHARE", "1", "less than 1"),
        ("WEIR_HOLDOUT_SHARE", "0", "more than 0"),
        ("WEIR_UNIFORM_SHARE", "1", "less than 1"),
        ("WEIR_BUFFER_CAPACITY", "3", "at least 4"),
        ("WEIR_GATE_LEAST_SAMPLES", "3", "at least 4"),
        ("WEIR_KAFKA_BOOTSTRAP", "a:9092,b:99999", "at most 65535"),
        ("WEIR_DATABASE_URL", "postgresql://db:port/weir", "postgresql://user:password@host:port/name"),
        ("WEIR_DATABASE_URL", "postgresql://[db/weir", "postgresql://user:password@host:port/name"),
        ("WEIR_POSITIVE_CAPACITY_SHARE", "0.6", "add up to 1; it must be less than 1"),
        ("WEIR_GATE_ALPHA", "0.5", "less than 0.5"),
        ("WEIR_GATE_MARGIN", "0.6", "at most 0.5"),
        ("WEIR_ESTIMATOR", "guess", "unknown estimator 'guess'; choose one of uniform, entropy"),
        ("WEIR_ESTIMATOR", "rho+", "has an empty part"),
        ("WEIR_NOISE_GUARD", "yes", "'none' or 'holdout'"),
        ("WEIR_SELECTION", "submodular", "'proportional' or 'top_fraction'"),
        ("WEIR_TOP_FRACTION", "0", "more than 0"),
        ("WEIR_SCORE_PRECISION", "float16", "'float32' or 'bfloat16'"),
        ("WEIR_POSITIVE_FROM", "none", "'click'"),
        ("WEIR_DEVICE", "gpu", "auto, cpu, cuda, cuda:N or mps"),
        ("WEIR_KAFKA_BOOTSTRAP", "kafka", "host:port"),
        ("WEIR_DATABASE_URL", "mysql://db/weir", "postgresql://"),
        ("WEIR_LOG_LEVEL", "loud", "'debug', 'info'"),
        ("WEIR_WATCHDOG_SECONDS", "1", "at least 5"),
        ("WEIR_RETRY_LIMIT_SECONDS", "0.1", "at least WEIR_RETRY_FIRST_SECONDS, 0.2"),
        ("WEIR_MAX_REMEMBERED", "10", "at least WEIR_MAX_WAITING, 100000"),
        ("WEIR_API_HOST", "0.0.0.0", "loopback"),
        ("WEIR_SALT", "é" * 33, "has 66 bytes; it must have at most 64"),
        ("WEIR_SEED", "-1", "at least 0"),
        ("WEIR_TOPIC_DEAD", "a b", "WEIR_TOPIC_DEAD is 'a b'"),
        ("WEIR_TOPIC_DEAD", "..", "which Kafka refuses"),
        ("WEIR_TOPIC_MODELS", "importance", "like WEIR_TOPIC_IMPORTANCE, 'importance': each topic needs a name"),
        ("WEIR_TOPIC_MODELS", "interactions_dead", "like WEIR_TOPIC_DEAD, 'interactions.dead'"),
        ("WEIR_TOPIC_PREFIX", "a/", "WEIR_TOPIC_PREFIX is 'a/'"),
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
    text = refused()
    assert bound in text
    assert name in text or "WEIR_*_CAPACITY_SHARE" in text


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
        (
            {"WEIR_TRAIN_LEAST_SAMPLES": "801", "WEIR_BUFFER_CAPACITY": "1000"},
            "WEIR_TRAIN_LEAST_SAMPLES is 801; it must be at most 800, the capacity for samples that may train "
            "(WEIR_BUFFER_CAPACITY less WEIR_HOLDOUT_CAPACITY_SHARE of it), or no fine-tune would ever start",
        ),
        (
            {"WEIR_GATE_LEAST_SAMPLES": "201", "WEIR_BUFFER_CAPACITY": "1000"},
            "WEIR_GATE_LEAST_SAMPLES is 201; it must be at most 200, the capacity of the holdout "
            "(WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be promoted",
        ),
        (
            {"WEIR_HOLDOUT_CAPACITY_SHARE": "0"},
            "WEIR_GATE_LEAST_SAMPLES is 4; it must be at most 0, the capacity of the holdout "
            "(WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be promoted",
        ),
    ],
)
def test_a_buffer_that_could_never_teach_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], line: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert refused() == line


def test_a_small_buffer_asks_for_fewer_samples_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def least(capacity: str) -> tuple[int, int]:
        monkeypatch.setenv("WEIR_BUFFER_CAPACITY", capacity)
        found = settings.read()
        return found.train_least_samples, found.gate_least_samples

    assert least("10000") == (200, 200)
    assert least("400") == (160, 40)
    assert least("20") == (8, 4)
    monkeypatch.setenv("WEIR_GATE_LEAST_SAMPLES", "80")
    assert least("400") == (160, 80)
    monkeypatch.setenv("WEIR_BUFFER_CAPACITY", "0")
    assert refused().startswith("WEIR_BUFFER_CAPACITY is '0'; it must be at least 4: ")


def test_what_passes_can_be_handed_to_every_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WEIR_BUFFER_CAPACITY": "20",
        "WEIR_UNIFORM_SHARE": "0",
        "WEIR_ATTRIBUTION_WINDOW_SECONDS": "0.001",
        "WEIR_SALT": "é" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    found = settings.read()
    assert values.join(found).window_ms == values.join(found).deduplication_ms == 1
    assert values.admission(found).salt == "é" * 32
    assert values.capacities(found)["holdout"] == training.gate(found).min_samples == 4


@pytest.mark.parametrize(
    ("attribute", "shares", "said"),
    [
        ("country", "", "need the name of an attribute and at least one value"),
        ("", "France=0.1", "need the name of an attribute"),
        ("country", "France", "'France' is not value=share: write e.g. France=0.05,Spain=0"),
        ("country", "France=much", "'France=much' is not value=share"),
        ("country", "France=0.1,France=0.2", "named twice"),
        ("country", "France=nan", "outside 0 to 1"),
        ("country", "France=0.2,Spain=0.2", "add up to 1.1; it must be less than 1: the rest is for negative"),
    ],
)
def test_segments_that_are_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, attribute: str, shares: str, said: str
) -> None:
    monkeypatch.setenv("WEIR_SEGMENT_ATTRIBUTE", attribute)
    monkeypatch.setenv("WEIR_SEGMENT_SHARES", shares)
    text = refused()
    assert said in text
    assert "WEIR_SEGMENT_SHARES" in text


def test_what_makes_the_keys_of_each_stratum_follows_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from weir.settings import values

    monkeypatch.setenv("WEIR_SEGMENT_ATTRIBUTE", "country")
    monkeypatch.setenv("WEIR_SEGMENT_SHARES", "France=0.1,Spain=0")
    monkeypatch.setenv("WEIR_HALF_LIFE_SECONDS", "3600")
    by_importance = "last_layer_norm, proportional, floor 0.25, half-life 3600 s"
    assert values.scoring_configs(settings.read()) == {
        "holdout": "uniform, half-life 3600 s", "uniform": "uniform, half-life 3600 s",
        "positive": by_importance, "negative": by_importance, "country=France": by_importance,
    }  # fmt: skip
    before = values.scoring_configs(settings.read())
    for variable, value in {
        "ESTIMATOR": "entropy", "NOISE_GUARD": "holdout", "SELECTION": "top_fraction", "SELECTION_FLOOR": "0.5",
        "HALF_LIFE_SECONDS": "0",
    }.items():  # fmt: skip
        with monkeypatch.context() as changed:
            changed.setenv(f"WEIR_{variable}", value)
            assert values.scoring_configs(settings.read())["positive"] != before["positive"], variable
    for variable in ("BUFFER_CAPACITY", "HOLDOUT_SHARE", "SCORE_BATCH"):
        with monkeypatch.context() as changed:
            changed.setenv(f"WEIR_{variable}", "0.3" if variable == "HOLDOUT_SHARE" else "500")
            assert values.scoring_configs(settings.read()) == before, variable


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_API_PORT", "x")
    monkeypatch.setenv("WEIR_SEED", "-1")
    monkeypatch.setenv("WEIR_SEEED", "1")
    text = refused()
    assert all(part in text for part in ("WEIR_API_PORT is 'x'", "WEIR_SEED is '-1'", "WEIR_SEEED is not a setting"))


def test_an_unknown_setting_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIR_BUFER_CAPACITY", "7")
    assert refused() == "WEIR_BUFER_CAPACITY is not a setting of Weir: did you mean WEIR_BUFFER_CAPACITY?"
    monkeypatch.delenv("WEIR_BUFER_CAPACITY")
    (tmp_path / ".env").write_text("WEIR_ZZZ=7\n")
    assert refused() == "WEIR_ZZZ is not a setting of Weir: unset it; docs/settings.md lists them all"


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", "mysql://ann:hunter22@db/weir")
    monkeypatch.setenv("WEIR_SALT", "s3cret" * 20)
    text = refused()
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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://ann@db/weir", "postgresql://ann@db/weir"),
        ("postgresql+psycopg://ann:a:b@db/weir", "postgresql+psycopg://ann:***@db/weir"),
        ("at http://host:80/a@b and postgresql://u:p@h", "at http://host:80/a@b and postgresql://u:***@h"),
        ("host=db password=hunter22 user=ann", "host=db password=*** user=ann"),
        ("a sentence: about nothing@all", "a sentence: about nothing@all"),
    ],
)
def test_passwords_are_masked_in_any_text(text: str, masked: str) -> None:
    assert masked_url(text) == masked


def test_a_topic_has_the_prefix_unless_its_name_is_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", "shop-b.")
    monkeypatch.setenv("WEIR_TOPIC_INTERACTIONS", "clickstream")
    names = named_topics(settings.read())
    assert names == Topics("clickstream", "shop-b.interactions.dead", "shop-b.importance", "shop-b.models")
    monkeypatch.delenv("WEIR_TOPIC_PREFIX")
    monkeypatch.delenv("WEIR_TOPIC_INTERACTIONS")
    assert named_topics(settings.read()) == Topics()


def test_settings_cannot_be_changed() -> None:
    found = settings.read()
    with pytest.raises(ValueError, match="frozen"):
        found.seed = 3


def test_an_estimator_may_be_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ESTIMATOR", " 0.5*entropy + 0.5 * novelty")
    assert settings.read().estimator == "0.5*entropy+0.5*novelty"


def documented_default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return (field.description or "").rpartition("default: ")[2]
    return "empty" if field.default in (None, "") else f"`{settings.shown(name, field.default)}`"


def test_every_setting_has_its_line_in_the_docs_and_every_line_its_setting() -> None:
    documented = re.findall(r"^\| `(WEIR_[A-Z_]+)` \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    assert documented == [
        (settings.variable(name), documented_default(name), field.description)
        for name, field in Settings.model_fields.items()
    ]


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
