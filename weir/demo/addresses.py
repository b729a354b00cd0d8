"""Where Kafka and Postgres are: named by the settings, else those of a running ``weir up``, told by its stack.json."""

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
    """What a running ``weir up`` says of itself; ``metrics`` are the pages of its roles."""

    kafka: str
    database_url: str
    api: str
    metrics: tuple[str, ...] = ()


@contextmanager
def announced(settings: Settings, stack: Stack) -> Iterator[Stack]:
    """Keep ``stack.json`` for as long as the stack runs; for this user only, because the URL may hold a password."""
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
    """The stack that ``weir up`` keeps under ``WEIR_HOME`` now; None when there is none, or it has not started yet.

    What one left behind that was killed says nothing.
    """
    if holder(settings.home) is None:
        return None
    path = settings.home / STACK_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Stack(told["kafka"], told["database_url"], told["api"], tuple(told.get("metrics", ())))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}); remove it, or start weir up again") from error


def located(settings: Settings, *, kafka: bool = False, database: bool = False) -> Settings:
    """The settings with the places of the services that a command needs; Unavailable when one is not known."""
    stack = running_stack(settings)
    places = {
        "kafka_bootstrap": settings.kafka_bootstrap or (stack.kafka if stack else ""),
        "database_url": settings.database_url or (stack.database_url if stack else ""),
    }
    for name, field, needed in (("Kafka", "kafka_bootstrap", kafka), ("Postgres", "database_url", database)):
        if needed and not places[field]:
            raise Unavailable(f"no {name} is known: WEIR_{field.upper()} is not set, and {_no_stack(settings)}")
    return settings.model_copy(update=places)


def _no_stack(settings: Settings) -> str:
    """Why no stack tells its places, and what to do."""
    path, process = settings.home / STACK_FILE, holder(settings.home)
    if process is not None:
        return f"weir up (process {process}) is still starting: wait until there is {path}"
    if path.exists():
        return f"the weir up that wrote {path} has ended: start weir up again, or set it"
    return f"there is no {path} of a running stack; set it, or start weir up"


def remedy(settings: Settings) -> Callable[[str], str]:
    """What to do about a role that does not run on the database of these settings: a ``weir up`` there starts it."""
    stack, process = running_stack(settings), holder(settings.home)
    if process is None or (stack is not None and stack.database_url != settings.database_url):
        return start_it
    return lambda role: f"weir up (process {process}) starts it: wait, or see {settings.home / 'logs' / role}.log"


def start_it(role: str) -> str:
    """What to do about a role that nothing starts by itself."""
    return f"start weir {role}"
