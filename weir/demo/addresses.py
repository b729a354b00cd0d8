"""Addresses of Kafka and Postgres: by the settings, else those in the stack.json of a running ``weir up``."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from importance.errors import InvalidInput, Unavailable
from weir.local.lock import holder
from weir.settings import Settings

STACK_FILE = "stack.json"


@dataclass(frozen=True)
class Stack:
    """The addresses of a running ``weir up``; ``metrics`` are the URLs of its roles' metrics endpoints."""

    kafka: str
    database_url: str
    api: str
    metrics: tuple[str, ...] = ()


@contextmanager
def announced(settings: Settings, stack: Stack) -> Iterator[Stack]:
    """Write ``stack.json`` for the length of a block, readable by this user only: the URL may hold a password."""
    path = settings.home / STACK_FILE
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(stack)), encoding="utf-8")
    partial.replace(path)
    try:
        yield stack
    finally:
        withdraw(settings)


def withdraw(settings: Settings) -> None:
    """Remove ``stack.json``, if there is one."""
    (settings.home / STACK_FILE).unlink(missing_ok=True)


def running_stack(settings: Settings) -> Stack | None:
    """Return the stack that ``weir up`` runs under ``WEIR_HOME``; None when there is none, or it has not started yet.

    The ``stack.json`` of a killed stack is ignored.
    """
    if holder(settings.home) is None:
        return None
    path = settings.home / STACK_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Stack(found["kafka"], found["database_url"], found["api"], tuple(found.get("metrics", ())))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}); remove it, or start weir up again") from error


def located(settings: Settings, *, kafka: bool = False, database: bool = False) -> Settings:
    """Return the settings with the addresses of the services a command needs; raise Unavailable when one is missing."""
    stack = running_stack(settings)
    addresses = {
        "kafka_bootstrap": settings.kafka_bootstrap or (stack.kafka if stack else ""),
        "database_url": settings.database_url or (stack.database_url if stack else ""),
    }
    for name, field, needed in (("Kafka", "kafka_bootstrap", kafka), ("Postgres", "database_url", database)):
        if needed and not addresses[field]:
            raise Unavailable(f"no {name} is known: WEIR_{field.upper()} is not set, and {_no_stack(settings)}")
    return settings.model_copy(update=addresses)


def _no_stack(settings: Settings) -> str:
    """Return why no running stack is known, and the remedy."""
    path, process = settings.home / STACK_FILE, holder(settings.home)
    if process is not None:
        return f"weir up (process {process}) is still starting: wait until there is {path}"
    if path.exists():
        return f"the weir up that wrote {path} has ended: start weir up again, or set it"
    return f"there is no {path} of a running stack; set it, or start weir up"


def remedy(settings: Settings) -> Callable[[str], str]:
    """Return the remedy by missing role: a ``weir up`` on the database of these settings starts it."""
    stack, process = running_stack(settings), holder(settings.home)
    if process is None or (stack is not None and stack.database_url != settings.database_url):
        return start_it
    return lambda role: f"weir up (process {process}) starts it: wait, or see {settings.home / 'logs' / role}.log"


def start_it(role: str) -> str:
    """Return the remedy for a role that nothing starts automatically."""
    return f"start weir {role}"
