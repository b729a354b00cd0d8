"""``weir check``: one line for each dependency, and whether it is usable. Changes nothing, fetches nothing."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from importance.errors import NotFound, WeirError
from weir.cli.output import AsJson, print_columns, print_json

if TYPE_CHECKING:
    from weir.settings import Settings
    from weir.status.service import Role

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One dependency. ``note``: missing, but created or fetched when it is needed. ``wrong``: must be fixed first."""

    name: str
    state: State
    detail: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(as_json: AsJson = False) -> int:
    """Look at everything that Weir needs, a line each. Exits 1 when something needed is wrong."""
    from weir.settings import read

    findings = list(inspect(read()))
    if as_json:
        print_json(findings)
    else:
        print_columns(
            ("dependency", "state", "detail"), [(found.name, found.state, found.detail) for found in findings]
        )
    return int(any(found.state == "wrong" for found in findings))


def inspect(settings: "Settings") -> Iterator[Finding]:
    """Yield every finding, in the order in which a run needs the dependencies."""
    from weir.demo.addresses import located

    yield _finding("packages", _packages)
    yield _finding("codecs", _codecs)
    try:
        resolved = located(settings)
    except WeirError as error:
        yield Finding("stack.json", "wrong", str(error))
        resolved = settings
    if not (resolved.kafka_bootstrap and resolved.database_url):
        yield from _local_programs(resolved)
    yield (
        _finding("kafka", lambda: _kafka(resolved))
        if resolved.kafka_bootstrap
        else _local("kafka", "KAFKA_BOOTSTRAP", resolved)
    )
    if resolved.kafka_bootstrap:
        yield _finding("topics", lambda: _topics(resolved))
    yield (
        _finding("postgres", lambda: _postgres(resolved))
        if resolved.database_url
        else _local("postgres", "DATABASE_URL", resolved)
    )
    if resolved.database_url:
        yield from _roles(resolved)
    yield _finding("artifacts", lambda: _artifacts(resolved))
    if resolved.mlflow_uri:
        yield _finding("mlflow", lambda: _mlflow(resolved))
    yield _finding("data set", _dataset)
    yield _finding("model", lambda: _model(resolved))
    yield _finding("device", lambda: _device(resolved))
    yield _finding("salt", lambda: _salt(resolved))


def _finding(name: str, examine: Callable[[], tuple[State, str]]) -> Finding:
    try:
        state, detail = examine()
    except WeirError as error:
        state, detail = "wrong", str(error)
    return Finding(name, state, " ".join(detail.split()))


def _local(name: str, setting: str, settings: "Settings") -> Finding:
    from weir.local.lock import holder

    if (process := holder(settings.home)) is not None:
        return Finding(name, "note", f"weir up (process {process}) is still starting a local one: wait")
    return Finding(name, "note", f"weir up starts a local one; WEIR_{setting} would name an existing one")


def _packages() -> tuple[State, str]:
    from importlib.metadata import PackageNotFoundError, distribution, version

    from packaging.requirements import Requirement

    package = distribution("weirstream")
    problems = []
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            problems.append(f"{requirement.name} is {found}, it must be {requirement.specifier}")
    if problems:
        return "wrong", f"{'; '.join(problems)}: run make setup"
    return "ok", f"weirstream {package.version} and {len(package.requires or ())} packages it needs"


def _codecs() -> tuple[State, str]:
    from stream.codecs import COMMAND_LIBRARY, WORKER_LIBRARY, unreadable

    lines = [*unreadable(WORKER_LIBRARY), *unreadable(COMMAND_LIBRARY)]
    return ("wrong", "; ".join(lines)) if lines else ("ok", ", ".join(("gzip", *WORKER_LIBRARY.packages)))


def _local_programs(settings: "Settings") -> Iterator[Finding]:
    from weir.local import install

    def would_fetch(text: str) -> None:
        raise NotFound(text)

    directory = settings.tools_dir or install.tools_directory()
    for name, find in (
        ("java", install.java),
        ("kafka jars", install.kafka_jars),
        ("postgres programs", install.postgres_programs),
    ):
        try:
            yield Finding(name, "ok", str(find(directory, would_fetch)))
        except NotFound as error:
            yield Finding(name, "note", f"make setup and weir up begin with {error}")
        except WeirError as error:
            yield Finding(name, "wrong", str(error))


def _kafka(settings: "Settings") -> tuple[State, str]:
    from stream.topics import check as check_topics
    from weir.settings.connection import kafka_connection

    check_topics(kafka_connection(settings), ())
    return "ok", f"answers at {settings.kafka_bootstrap}"


def _topics(settings: "Settings") -> tuple[State, str]:
    from stream.topics import check as check_topics
    from weir.settings.connection import kafka_connection
    from weir.settings.topics import planned_topics

    states = check_topics(kafka_connection(settings), planned_topics(settings))
    missing = [state.name for state in states if state.id is None]
    if missing:
        return "wrong", f"{', '.join(missing)} missing: run weir topics"
    differences = [line for state in states for line in state.differences]
    return ("note", "; ".join(differences)) if differences else ("ok", ", ".join(state.name for state in states))


def _postgres(settings: "Settings") -> tuple[State, str]:
    from storage.engine import address_of, create_engine
    from storage.migrate import current, head

    engine = create_engine(settings.database_url, pool_size=1)
    try:
        found, newest = current(engine), head()
    finally:
        engine.dispose()
    if found != newest:
        return "wrong", f"{address_of(engine)} is at migration {found}, not {newest}: run weir migrate"
    return "ok", f"{address_of(engine)} at migration {newest}"


def _roles(settings: "Settings") -> Iterator[Finding]:
    """Yield a line for each role that the service needs."""
    from storage.engine import create_engine
    from storage.heartbeats import Heartbeats
    from weir.demo.addresses import remedy
    from weir.status.service import NEEDED, roles

    engine = create_engine(settings.database_url, pool_size=1)
    try:
        heartbeats = Heartbeats(engine).all()
    except WeirError:
        yield from (Finding(role, "note", "not known: see postgres") for role in NEEDED)
        return
    finally:
        engine.dispose()
    known = roles(heartbeats)
    for role in NEEDED:
        here = [each for each in known if each.role == role]
        yield Finding(role, *_role(here, bool(heartbeats), remedy(settings)(role)))


def _role(known: "Sequence[Role]", ever: bool, remedy: str) -> tuple[State, str]:
    """Return state and detail of a role. ``ever``: any role has run on this database; before, none is missing."""
    from weir.status.service import describe

    alive = [role for role in known if role.state != "gone"]
    if not alive:
        gone = "; ".join(describe(role) for role in known)
        return "wrong" if ever else "note", f"none is running: {remedy}" + (f" ({gone})" if gone else "")
    troubled = [role for role in known if role.state != "working" and not role.stopped]
    if not troubled:
        return "ok", f"{len(alive)} working"
    is_wrong = any(role.state in ("gone", "not_ready") for role in troubled)
    return "wrong" if is_wrong else "note", "; ".join(describe(role) for role in troubled)


def _artifacts(settings: "Settings") -> tuple[State, str]:
    from fsspec import url_to_fs

    from weir.process.masking import masked_url

    address = masked_url(settings.artifacts_url)
    try:
        files, root = url_to_fs(settings.artifacts_url)
        there = files.exists(root)
    except Exception as error:  # each kind of store raises its own exceptions
        return "wrong", f"{address}: {type(error).__name__}: {error}; set WEIR_ARTIFACTS_URL"
    if "file" not in files.protocol:
        return _active_files(
            settings, ("ok", address) if there else ("note", f"{address} is empty; the first version fills it")
        )
    directory = Path(root)
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return "wrong", f"{existing} cannot be written to: set WEIR_ARTIFACTS_URL"
    return _active_files(settings, ("ok", address) if there else ("note", f"{address} is made when it is needed"))


def _active_files(settings: "Settings", store: tuple[State, str]) -> tuple[State, str]:
    """Check that the active version's files are as registered, by reading each. ``store``: result without a version."""
    from storage.artifacts import Artifacts
    from storage.engine import create_engine
    from storage.registry import Registry

    if not settings.database_url:
        return store
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        active = Registry(engine).active()
    except WeirError:
        return store  # the reason is in the line of postgres
    finally:
        engine.dispose()
    if active is None:
        return store
    Artifacts(settings.artifacts_url).check(active.artifact, active.sha256)
    return "ok", f"{store[1]}, version {active.version} intact"


def _mlflow(settings: "Settings") -> tuple[State, str]:
    from weir.learning.mlflow_client import has_model
    from weir.process.masking import masked_url

    address = masked_url(settings.mlflow_uri)
    if has_model(settings.mlflow_uri, settings.mlflow_model):
        return "ok", f"registered model {settings.mlflow_model} at {address}"
    return "note", f"{address} has no registered model {settings.mlflow_model}; the trainer makes it"


def _dataset() -> tuple[State, str]:
    from datasets import complete_journey

    try:
        return "ok", str(complete_journey.locate())
    except NotFound as error:
        return "wrong", str(error)


def _model(settings: "Settings") -> tuple[State, str]:
    from huggingface_hub import try_to_load_from_cache

    from trainer import minilm

    if settings.model == "builtin":
        return "ok", "builtin; weir models init trains version 1 on a data set's history"
    if settings.model == minilm.NAME:
        return "ok", f"{minilm.NAME}, {minilm.directory()}"
    directory = Path(settings.model)
    if directory.is_dir():
        lacking = [name for name in ("config.json",) if not (directory / name).is_file()]
        return (
            ("wrong", f"{directory} lacks {', '.join(lacking)}: set WEIR_MODEL") if lacking else ("ok", str(directory))
        )
    if isinstance(try_to_load_from_cache(settings.model, "config.json"), str):
        return "ok", f"{settings.model}, from the cache of Hugging Face"
    return "note", f"{settings.model} is not a directory here; it will be fetched from Hugging Face"


def _device(settings: "Settings") -> tuple[State, str]:
    from trainer.device import choose

    return "ok", f"{choose(settings.device)}, {settings.threads} CPU threads a role"


def _salt(settings: "Settings") -> tuple[State, str]:
    from weir.settings import shown

    if shown("salt", settings.salt) != "***":
        return "note", "the default, which everybody knows: set WEIR_SALT before real traffic comes, and keep it"
    return "ok", "your own"
