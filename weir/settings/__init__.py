"""Every ``WEIR_*`` setting: its default, its bound, its meaning. Read once, here; handed on as plain values.

A value comes from the environment, else from the file ``.env`` of the working folder, else it is the default. An empty
variable counts as not set. All that is wrong is reported in one line, before anything starts.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from importance.errors import InvalidInput
from importance.fields import Fields
from importance.mixture import parse
from importance.segments import parse as parse_segments
from storage.address import problem as url_problem
from weir.api.limits import MAX_BODY_BYTES
from weir.process.masking import masked_url
from weir.settings.bounds import bound

PREFIX = "WEIR_"
ENV_FILE = ".env"

Source = Literal["default", "environment", ".env"]

Folder = Annotated[Path, AfterValidator(lambda folder: folder.expanduser().absolute())]
Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
TEN_YEARS = 10 * 365 * 86_400.0  # key arithmetic is tested that far
Seconds = Annotated[float, Field(ge=0, le=TEN_YEARS)]
EventSeconds = Annotated[float, Field(ge=0.001, le=TEN_YEARS)]  # event time counts milliseconds
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]

LEAST_SAMPLES = 200  # what training and gate ask for where the buffer has places enough


def _estimator(text: str) -> str:
    try:
        return str(parse(text))
    except InvalidInput as error:
        raise ValueError(str(error)) from error


EstimatorText = Annotated[str, AfterValidator(_estimator)]


def _fields(text: str) -> str:
    try:
        Fields.parse(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return text


FieldsText = Annotated[str, AfterValidator(_fields)]


TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Settings(BaseSettings):
    """All settings. Frozen; nothing outside ``weir`` sees this object."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    # Places
    home: Folder = Field(default=Path(".weir"), description="the local stack's data, logs and stack.json")
    kafka_bootstrap: str = Field(
        default="",
        pattern=r"^$|^[^\s:,/]+:\d+(,[^\s:,/]+:\d+)*$",
        description="host:port of an existing Kafka, several with commas; empty: a local one is started",
    )
    database_url: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "password"},
        description="postgresql://user:password@host:port/name of an existing Postgres; empty: a local one is started",
    )
    artifacts_url: str = Field(
        default_factory=lambda known: str(known["home"] / "artifacts") if "home" in known else "",
        repr=False,
        json_schema_extra={"secret": "password"},
        description="fsspec URL or folder of model files; default: a folder under WEIR_HOME",
    )
    data_dir: Folder | None = Field(default=None, description="folder of data sets; empty: the usual places")
    tools_dir: Folder | None = Field(
        default=None, description="folder of the local stack's programs; empty: .tools in the checkout"
    )

    # Pages and logs
    api_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="where the role api listens; loopback only, as there are no tokens yet",
    )
    api_port: Port = Field(default=8787, description="port of the role api; 0 takes a free one")
    api_origins: str = Field(
        default="",
        max_length=10_000,
        pattern=r"^$|^https?://[^\s,/]+(,https?://[^\s,/]+)*$",
        description="origins of pages that may ask beside the interface's own, with commas: http://localhost:3000",
    )
    api_bodies_bytes: int = Field(
        default=4 * MAX_BODY_BYTES,
        ge=MAX_BODY_BYTES,
        le=2**40,
        description="bytes of large request bodies that are held at once; what is more is answered 429",
    )
    api_scorings: int = Field(
        default=8, ge=1, le=32, description="requests that are scored at once; what is more is answered 429"
    )
    api_header_seconds: Seconds = Field(
        default=10.0, gt=0, description="time a client has to send the headers of a request, then 408"
    )
    api_body_seconds: Seconds = Field(
        default=30.0, gt=0, description="time a client has to send the body of a request, then 408"
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="where worker and trainer serve /metrics, /healthz and /readyz"
    )
    metrics_port: Port = Field(default=0, description="port of that page; 0 takes a free one, and the log says which")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is logged"
    )

    # Kafka
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how WEIR_KAFKA_BOOTSTRAP is spoken to: with TLS (SSL), with a login (SASL)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="how the login is made; needed by the two SASL protocols"
    )
    kafka_username: str = Field(default="", description="user of the login, for PLAIN and SCRAM")
    kafka_password: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="password of that user; or give WEIR_KAFKA_PASSWORD_FILE",
    )
    kafka_password_file: Folder | None = Field(
        default=None, description="file that holds the password; read at each start"
    )
    kafka_token_command: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="command that prints a token for OAUTHBEARER; run without a shell at each connection",
    )
    kafka_token_file: Folder | None = Field(
        default=None, description="file that holds a token for OAUTHBEARER; read at each connection"
    )
    kafka_ca_file: Folder | None = Field(
        default=None, description="PEM file of the authorities that sign the brokers' certificates; empty: the system's"
    )
    kafka_certificate_file: Folder | None = Field(
        default=None, description="PEM file of our own certificate, for mutual TLS"
    )
    kafka_key_file: Folder | None = Field(
        default=None, description="PEM file of its unencrypted key; empty: the key is in the certificate's file"
    )
    partitions: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="partitions of a topic when it is made; an existing topic is never altered",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="put before the name of every topic that no setting names",
    )
    topic_interactions: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "interactions",
        description="topic that is read; default: prefix and interactions",
    )
    topic_dead: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "interactions.dead",
        description="topic of dead letters; default: prefix and interactions.dead",
    )
    topic_importance: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "importance",
        description="topic of scored samples; default: prefix and importance",
    )
    topic_models: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "models",
        description="topic of promotions; default: prefix and models",
    )
    replication: int = Field(default=1, ge=1, le=9, description="replicas of a topic when it is made")
    consumer_group: str = Field(
        default="weir", pattern=r"^[A-Za-z0-9._-]{1,200}$", description="consumer group of the workers"
    )
    importance_payload: Literal["on", "off"] = Field(
        default="on", description="whether records of the topic importance carry query, text and attributes"
    )

    fields: FieldsText = Field(
        default="",
        max_length=10_000,
        description="where messages of another form keep an event's fields, e.g. id=event_id, subject=user.id",
    )

    # The join
    attribution_window_seconds: EventSeconds = Field(
        default=1800.0, description="how long an impression waits for its actions, in event time"
    )
    deduplication_seconds: EventSeconds = Field(
        default_factory=lambda known: known.get("attribution_window_seconds", 1800.0),
        description="how long ids are remembered, in event time; default: the attribution window",
    )
    idle_seconds: Seconds = Field(
        default=30.0,
        gt=0,
        description="a partition read to its end for so long lets event time run with the wall clock",
    )
    late: Literal["dead_letter", "count"] = Field(
        default="dead_letter",
        description="what becomes of an impression that comes too late, and of what answers it; both are counted",
    )
    max_waiting: Count = Field(
        default=100_000,
        description="impressions that may wait in a partition; past it the oldest are decided early, and counted",
    )
    max_waiting_bytes: int = Field(
        default=268_435_456, ge=65_536, le=2**40, description="the same bound in bytes of what waits"
    )
    max_fetched_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        le=2**40,
        description="bytes that a worker holds fetched and not yet decoded, over all its partitions",
    )
    max_remembered: Count = Field(default=500_000, description="records of a partition that may stay unacknowledged")

    # The buffer
    buffer_capacity: int = Field(
        default=10_000, ge=4, le=1_000_000_000, description="samples the buffer holds, over all strata"
    )
    subject_share: float = Field(
        default=0.03, gt=0, le=1, description="most of a stratum's places that one subject may take; 1: no bound"
    )
    half_life_seconds: float = Field(
        default=14 * 86_400.0,
        ge=0,
        le=1e10,
        description="event time in which a sample's weight halves; 0: no decay, else at least 60",
    )
    holdout_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of subjects whose samples never train, chosen by hash"
    )
    uniform_share: float = Field(
        default=0.2, ge=0, lt=1, description="share of the other samples that are kept by chance alone, chosen by hash"
    )
    holdout_capacity_share: Share = Field(default=0.2, description="share of the capacity for the stratum holdout")
    uniform_capacity_share: Share = Field(default=0.2, description="share of the capacity for the stratum uniform")
    positive_capacity_share: Share = Field(
        default=0.3, description="share of the capacity for the stratum positive; negative gets the rest"
    )
    segment_attribute: str = Field(
        default="", max_length=128, description="attribute of impressions whose values are told apart"
    )
    segment_shares: str = Field(
        default="",
        max_length=10_000,
        description="values told apart, e.g. France=0.05,Spain=0; each has that share of the capacity to itself",
    )
    positive_from: Literal["rating", "click", "add_to_cart", "purchase"] = Field(
        default="click", description="weakest outcome that makes a label 1"
    )
    salt: str = Field(
        default="weir",
        min_length=1,
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="key of the sampling hashes; choose your own, or ids can be aimed at the buffer; never change it",
    )

    # Importance
    estimator: EstimatorText = Field(
        default="last_layer_norm",
        description="what a sample is worth: one estimator, or a sum like rho+entropy or 0.5*entropy+0.5*novelty",
    )
    noise_guard: Literal["none", "holdout"] = Field(
        default="none",
        description="holdout: worth is multiplied by what a last layer fitted to plain samples thinks of the label",
    )
    selection: Literal["proportional", "top_fraction"] = Field(
        default="proportional", description="how worth becomes a weight; top_fraction is biased on purpose"
    )
    top_fraction: float = Field(default=0.1, gt=0, le=1, description="the share of samples that top_fraction lets in")
    selection_floor: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="least weight of a sample, as a share of the mean; bounds training weights at about 1 / floor",
    )

    # The model
    model: str = Field(
        default="builtin", min_length=1, description="base model: builtin, minilm, a Hugging Face name, or a folder"
    )
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of a role's tensor arithmetic")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="seed of training, simulation and replay; never of the buffer's keys"
    )
    score_batch: int = Field(default=256, ge=1, le=65_536, description="samples of one forward pass")
    score_precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="what a network computes in when it scores; bfloat16 is for GPUs"
    )
    gradient_fallback: bool = Field(
        default=False,
        description="let version 1, and all that follow it, compute gradient norms sample by sample where no rule "
        "covers a layer of WEIR_MODEL: exact, and slow",
    )
    models_poll_seconds: Seconds = Field(
        default=2.0, gt=0, description="how often a worker looks for another active version by itself"
    )

    # Training
    train_after_samples: Count | None = Field(
        default=None, description="new samples that start a fine-tune; empty: by the base model"
    )
    train_after_seconds: Seconds = Field(
        default=86_400.0,
        gt=0,
        description="a fine-tune starts when so long has passed since the last one began, if there is anything new",
    )
    train_cooldown_seconds: Seconds = Field(default=5.0, description="least time between two fine-tunes")
    train_least_samples: Count = Field(
        default_factory=lambda known: max(1, min(LEAST_SAMPLES, _trainable_places(known) // 2)),
        description="samples that may train which the buffer must hold before any fine-tune; "
        "default: 200, or half of their places if that is less",
    )
    train_steps: int = Field(default=32, ge=1, le=1_000_000, description="optimizer steps of a fine-tune")
    train_batch: int = Field(default=64, ge=1, le=65_536, description="samples of one step")
    train_fresh_share: Share = Field(
        default=0.5,
        description="share of a batch from samples newer than the last cut; the rest is replay from the buffer",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="of AdamW; empty: by the base model, 0.001 for the built-in one and 0.0001 for another",
    )
    propensity_clip: float = Field(
        default=1.0,
        ge=1,
        le=1e6,
        description="most that 1 / propensity of an impression counts in its training weight; 1: it does not count",
    )

    # The gate
    gate_margin: float = Field(
        default=0.01, ge=0, le=0.5, description="AUC that a candidate may at most be worse than the serving model"
    )
    gate_alpha: float = Field(default=0.05, gt=0, lt=0.5, description="one-sided level of that test")
    gate_least_samples: int = Field(
        default_factory=lambda known: max(4, min(LEAST_SAMPLES, _holdout_places(known) // 2)),
        ge=4,
        le=1_000_000_000,
        description="holdout samples the test needs at least; default: 200, or half of their places if that is less",
    )

    # Patience
    watchdog_seconds: float = Field(
        default=120.0, ge=5, le=86_400, description="a worker ends when something is due and nothing moves for so long"
    )
    retry_first_seconds: Seconds = Field(
        default=0.2,
        gt=0,
        description="first pause before a dependency that does not answer is tried again; doubles each time",
    )
    retry_limit_seconds: Seconds = Field(default=10.0, gt=0, description="longest such pause")
    stop_seconds: Seconds = Field(
        default=20.0, gt=0, description="time a role has to end in order, before it ends at once"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(_disagreements(self)):
            raise ValueError("; ".join(problems))
        return self

    @cached_property  # a file that is away for a moment, or replaced, must not end what runs
    def kafka_login_password(self) -> str:
        """The password itself or what its file holds, less the line's end; InvalidInput when that cannot be read."""
        file = self.kafka_password_file
        if file is None:
            return self.kafka_password
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"WEIR_KAFKA_PASSWORD_FILE {file} cannot be read: {error}") from error

    @property
    def negative_capacity_share(self) -> float:
        """What the other strata leave of the capacity."""
        taken = self.holdout_capacity_share + self.uniform_capacity_share + self.positive_capacity_share
        segments = parse_segments(self.segment_attribute, self.segment_shares)
        taken += sum(segments.reserved.values()) if segments else 0.0
        return round(1 - taken, 12)  # 0.2 + 0.2 + 0.6 is not quite 1


def _disagreements(settings: Settings) -> Iterator[str]:
    """What no single bound can say: settings that are wrong together."""
    if not is_loopback(settings.api_host):
        yield f"WEIR_API_HOST is {settings.api_host!r}; without tokens it must be a loopback address: use 127.0.0.1"
    for address in settings.kafka_bootstrap.split(",") if settings.kafka_bootstrap else ():
        if int(address.rpartition(":")[2]) > 65_535:
            yield f"WEIR_KAFKA_BOOTSTRAP has {address!r}; a port must be at most 65535"
    yield from _kafka_access(settings)
    yield from _topic_names(settings)
    if settings.database_url and (what := url_problem(settings.database_url)):
        yield f"WEIR_DATABASE_URL {what}"
    if 0 < settings.half_life_seconds < 60:
        yield f"WEIR_HALF_LIFE_SECONDS is {settings.half_life_seconds:g}; it must be 0 (no decay) or at least 60"
    if (size := len(settings.salt.encode())) > blake2b.MAX_KEY_SIZE:
        yield f"WEIR_SALT has {size} bytes; it must have at most {blake2b.MAX_KEY_SIZE}: choose another one"
    try:
        if settings.negative_capacity_share <= 0:
            taken = f"{1 - settings.negative_capacity_share:g}; it must be less than 1: the rest is for negative"
            yield f"the shares WEIR_*_CAPACITY_SHARE and WEIR_SEGMENT_SHARES add up to {taken}"
    except InvalidInput as error:
        yield f"WEIR_SEGMENT_ATTRIBUTE and WEIR_SEGMENT_SHARES do not fit: {error}"
    if settings.retry_limit_seconds < settings.retry_first_seconds:
        bound = f"at least WEIR_RETRY_FIRST_SECONDS, {settings.retry_first_seconds:g}"
        yield f"WEIR_RETRY_LIMIT_SECONDS is {settings.retry_limit_seconds:g}; it must be {bound}"
    if settings.max_remembered < settings.max_waiting:
        bound = f"at least WEIR_MAX_WAITING, {settings.max_waiting}"
        yield f"WEIR_MAX_REMEMBERED is {settings.max_remembered}; it must be {bound}"
    yield from _never_learning(settings)


def _topic_names(settings: Settings) -> Iterator[str]:
    """Names that Kafka refuses, or takes for one: it tells ``.`` from ``_`` in no metric."""
    seen: dict[str, str] = {}
    for field in ("topic_interactions", "topic_dead", "topic_importance", "topic_models"):
        name = str(getattr(settings, field))
        if name in (".", ".."):
            yield f"{variable(field)} is {name!r}, which Kafka refuses: choose another name"
        if (other := seen.setdefault(name.replace(".", "_"), field)) != field:
            same = f"like {variable(other)}, {getattr(settings, other)!r}"
            yield f"{variable(field)} is {name!r}, {same}: each topic needs a name of its own, and . counts as _"


def _kafka_access(settings: Settings) -> Iterator[str]:
    """Credentials that are incomplete, that nothing would use, or that cannot be read."""
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    if protocol != "PLAINTEXT" and not settings.kafka_bootstrap:
        yield f"WEIR_KAFKA_SECURITY_PROTOCOL is {protocol}, but WEIR_KAFKA_BOOTSTRAP is not set: set it, or unset both"
    if protocol.startswith("SASL"):
        yield from _kafka_login(settings)
    else:
        yield from _unused(settings, "sasl_mechanism username password password_file token_command token_file", "SASL")
    if not protocol.endswith("SSL"):
        yield from _unused(settings, "ca_file certificate_file key_file", "SSL")
    if settings.kafka_key_file and not settings.kafka_certificate_file:
        yield "WEIR_KAFKA_KEY_FILE is set, but WEIR_KAFKA_CERTIFICATE_FILE is not: set both"
    if mechanism == "OAUTHBEARER":
        yield from _unused(settings, "username password password_file", "a mechanism with a password")
    for name in ("password_file", "token_file", "ca_file", "certificate_file", "key_file"):
        file: Path | None = getattr(settings, f"kafka_{name}")
        if file is not None and not (file.is_file() and os.access(file, os.R_OK)):
            yield f"{variable(f'kafka_{name}')} is {file}; it must be a file that can be read"


def _kafka_login(settings: Settings) -> Iterator[str]:
    mechanism = settings.kafka_sasl_mechanism
    protocol = f"WEIR_KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol}"
    if mechanism is None:
        yield f"{protocol} needs WEIR_KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    elif mechanism == "OAUTHBEARER":
        if bool(settings.kafka_token_command) == (settings.kafka_token_file is not None):
            yield "OAUTHBEARER needs exactly one of WEIR_KAFKA_TOKEN_COMMAND and WEIR_KAFKA_TOKEN_FILE"
    else:
        if not settings.kafka_username:
            yield f"WEIR_KAFKA_SASL_MECHANISM={mechanism} needs WEIR_KAFKA_USERNAME"
        if bool(settings.kafka_password) == (settings.kafka_password_file is not None):
            yield f"{mechanism} needs exactly one of WEIR_KAFKA_PASSWORD and WEIR_KAFKA_PASSWORD_FILE"
        yield from _unused(settings, "token_command token_file", "OAUTHBEARER")


def _unused(settings: Settings, names: str, needed: str) -> Iterator[str]:
    """Credentials given to a protocol that would not use them: more likely a forgotten switch than a wish."""
    for name in names.split():
        if getattr(settings, f"kafka_{name}"):
            yield f"{variable(f'kafka_{name}')} is set, and nothing uses it: it belongs to {needed}"


def _never_learning(settings: Settings) -> Iterator[str]:
    """A buffer too small for what training or gate ask of it: the service would run, and never learn."""
    known = dict(settings)
    if settings.train_least_samples > (places := _trainable_places(known)):
        yield (
            f"WEIR_TRAIN_LEAST_SAMPLES is {settings.train_least_samples}; it must be at most {places}, the places of "
            "samples that may train (WEIR_BUFFER_CAPACITY less WEIR_HOLDOUT_CAPACITY_SHARE of it), or no fine-tune "
            "would ever begin"
        )
    if settings.gate_least_samples > (places := _holdout_places(known)):
        yield (
            f"WEIR_GATE_LEAST_SAMPLES is {settings.gate_least_samples}; it must be at most {places}, the places of "
            "the holdout (WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be promoted"
        )


def _holdout_places(known: Mapping[str, Any]) -> int:
    """Places of the holdout in the buffer, rounded down."""
    return int(round(known["buffer_capacity"] * known["holdout_capacity_share"], 6))  # 100 * 0.29 is not quite 29


def _trainable_places(known: Mapping[str, Any]) -> int:
    """Places of all other samples."""
    return int(known["buffer_capacity"]) - _holdout_places(known)


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "db.example")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def variable(field: str) -> str:
    """The environment variable of a field.

    >>> variable("buffer_capacity")
    'WEIR_BUFFER_CAPACITY'
    """
    return PREFIX + field.upper()


def read() -> Settings:
    """The settings of this process; ``InvalidInput`` with one line that names all that is wrong."""
    given = _given()
    problems = [_unknown(name) for name in sorted(given) if name not in VARIABLES]
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    if settings is None or problems:
        raise InvalidInput("; ".join(problems))
    return settings


@dataclass(frozen=True)
class SettingSource:
    """One setting as ``weir settings`` shows it; ``value`` is masked where it is secret."""

    variable: str
    value: str
    source: Source
    meaning: str


def sources(settings: Settings) -> list[SettingSource]:
    """Every setting, its value, where it came from and what it means, in the order of this file."""
    given = _given()
    return [
        SettingSource(
            variable=variable(name),
            value=shown(name, getattr(settings, name)),
            source=given.get(variable(name), "default"),
            meaning=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def shown(name: str, value: object) -> str:
    """A field's value as text that may be printed: secrets and passwords inside a URL are ``***``."""
    if value is None:
        return ""
    match _secrecy(name):
        case "whole":
            return "***" if value != Settings.model_fields[name].default else str(value)
        case "password":
            return masked_url(str(value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def secrets(settings: Settings) -> list[str]:
    """The secret values themselves, for what has to keep them out of logs; an untouched default is none."""
    found = []
    for name, field in Settings.model_fields.items():
        value = str(getattr(settings, name))
        if _secrecy(name) == "whole" and value != field.default:
            found.append(value)
        elif _secrecy(name) == "password" and (password := urlsplit(value).password):
            found += [password, unquote(password)]
    with suppress(InvalidInput):  # a file that cannot be read holds nothing to hide; whoever needs it will say so
        found += filter(None, [settings.kafka_login_password])
    return found


VARIABLES = frozenset(variable(name) for name in Settings.model_fields)


def _secrecy(name: str) -> str | None:
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["secret"]) if isinstance(extra, dict) and "secret" in extra else None


def _given() -> dict[str, Source]:
    """Which ``WEIR_*`` variables are set and not empty, and where; the environment goes before the file."""
    found: dict[str, Source] = {}
    for name, value in dotenv_values(ENV_FILE).items():
        if name.upper().startswith(PREFIX) and value:
            found[name.upper()] = ".env"
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and value:
            found[name.upper()] = "environment"
    return found


def _unknown(name: str) -> str:
    close = get_close_matches(name.removeprefix(PREFIX).lower(), Settings.model_fields, n=1)
    hint = f"did you mean {variable(close[0])}?" if close else "unset it; docs/settings.md lists them all"
    return f"{name} is no setting of Weir: {hint}"


def _problem(detail: ErrorDetails) -> str:
    """One error of pydantic as a sentence: what, the value, the bound, the remedy."""
    if not detail["loc"]:  # from the validator of settings that are wrong together
        return str(detail["msg"]).removeprefix("Value error, ")
    name = str(detail["loc"][0])
    if detail["type"] == "value_error":  # from a validator of one setting: its own words say all
        return f"{variable(name)}: {str(detail['msg']).removeprefix('Value error, ')}"
    value = "***" if _secrecy(name) else repr(detail["input"])
    must = f"it must be {found}" if (found := bound(detail)) else "expected"
    return f"{variable(name)} is {value}; {must}: {Settings.model_fields[name].description}"
