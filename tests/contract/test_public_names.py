"""What users depend on by name: settings, commands, routes, metrics, events. A name that is public once stays.

`public_names.txt` lists them; a new name is added there with the change that makes it.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec
import typer
from typer.main import get_command

from importance.events import ACTION_EVENTS, REASONS, Heartbeat, Impression
from stream.dead_letters import HEADERS
from stream.publishing import Importance
from stream.topics import Topics
from tests.unit.monitoring.test_metrics import defined
from weir import settings
from weir.api.limits import Limits
from weir.api.routes import create_routers
from weir.cli import create_app

PUBLIC = Path(__file__).with_name("public_names.txt")


def commands(command: Any, name: str = "") -> Iterator[str]:
    """Every command, and each with its options and arguments."""
    if isinstance(command, typer.core.TyperGroup):
        for word, child in command.commands.items():
            yield from commands(child, f"{name} {word}".strip())
        return
    yield f"command {name}"
    for parameter in command.params:
        for option in parameter.opts:
            yield f"command {name} {option if option.startswith('-') else option.upper()}"


def events() -> Iterator[str]:
    """Every field of every type of event."""
    for struct in (Impression, Heartbeat, *ACTION_EVENTS):
        for field in msgspec.structs.fields(struct):
            yield f"event {struct.kind} {field.encode_name}"


def found() -> set[str]:
    """The names that there are now."""
    context = MagicMock(limits=Limits())  # a route asks for the rest only when it is called
    routes = [route for router in create_routers(context).by_role.values() for route in router.routes]
    return {
        *(f"setting {name}" for name in settings.VARIABLES),
        *commands(get_command(create_app())),
        *(f"route {method} {route.path}" for route in routes for method in route.methods),
        *(f"metric {metric}" for metric in defined()),
        *events(),
        *(f"reason {reason}" for reason in REASONS),
        *(f"header {header}" for header in HEADERS),
        *(f"importance {field.encode_name}" for field in msgspec.structs.fields(Importance)),
        *(f"topic {getattr(Topics(), field.name)}" for field in fields(Topics)),
    }


def test_every_public_name_is_still_there() -> None:
    assert set(PUBLIC.read_text().split("\n")[:-1]) - found() == set()


def test_every_name_is_listed_as_public() -> None:
    assert found() - set(PUBLIC.read_text().split("\n")[:-1]) == set()
