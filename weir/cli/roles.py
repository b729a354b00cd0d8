"""``weir worker``, ``weir trainer``, ``weir api``: one role each, in the foreground, until it is told to end."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("trainer")(trainer)
    app.command("api")(api)


def worker() -> int:
    """Read interactions, join, score, and keep the most instructive. As many as there are partitions may run."""
    from weir.cli.services import located
    from weir.roles import run_worker
    from weir.settings import read

    return run_worker(located(read(), kafka=True, database=True))


def trainer() -> int:
    """Fine-tune, evaluate, promote. One is active at a time; a second one waits and takes over."""
    from weir.cli.services import located
    from weir.roles import run_trainer
    from weir.settings import read

    return run_trainer(located(read(), database=True))


def api() -> int:
    """Serve the HTTP interface: scores, rankings, models, the buffer, and the figures that all roles share."""
    from weir.cli.services import located
    from weir.roles import run_api
    from weir.settings import read

    return run_api(located(read(), database=True))
