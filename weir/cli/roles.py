"""``weir worker``, ``weir trainer``, ``weir api``: run one role in the foreground until a signal ends it."""

import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from weir.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("trainer")(trainer)
    app.command("api")(api)


def worker() -> int:
    """Read interactions, join, score, and keep the most instructive. As many as there are partitions may run."""
    # Read when numpy is imported: its threads would wait for each other, burning CPU, on matrices as small as a race's.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from weir.roles import run_worker

    return run_worker(_settings(kafka=True))


def trainer() -> int:
    """Fine-tune, evaluate, promote. One is active at a time; a second one waits and takes over."""
    from weir.roles import run_trainer

    return run_trainer(_settings())


def api() -> int:
    """Serve the HTTP interface: scores, rankings, models, the buffer, and the metrics that all roles share."""
    from weir.roles import run_api

    return run_api(_settings(kafka=True))


def _settings(*, kafka: bool = False) -> "Settings":
    from weir.demo.addresses import located
    from weir.settings import read

    return located(read(), kafka=kafka, database=True)
