"""Where Kafka and Postgres are: named by the settings, else those of a running ``weir up``, told by its stack.json."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from importance.errors import InvalidInput, Unavailable
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
        path.unlink(missing_ok=True)


def running_stack(settings: Settings) -> Stack | None:
    """The stack that ``weir up`` keeps under ``WEIR_HOME`` now; None when there is none."""
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
            raise Unavailable(
                f"no {name} is known: WEIR_{field.upper()} is not set, and there is no {settings.home / STACK_FILE} "
                "of a running stack; set it, or start weir up"
            )
    return settings.model_copy(update=places)
