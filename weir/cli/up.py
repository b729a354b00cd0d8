"""``weir up``: the whole stack on this machine, with a replay."""

import sys
from typing import Annotated

import typer

from importance.errors import InvalidInput

DEFAULT_REPLAY = "complete_journey"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    replay: Annotated[str, typer.Option(metavar="NAME", help="Data set to replay.")] = DEFAULT_REPLAY,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="Replay nothing; wait for events.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Replay at most N events.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="X", help="X times the speed of life; default: as fast as it goes."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when the replay is drained and the last training has ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left under WEIR_HOME.")] = False,
) -> int:
    """Start Kafka, Postgres, a worker, a trainer and the api on this machine, and replay a real shop through them."""
    from weir.settings import read

    given = {"--replay": replay != DEFAULT_REPLAY, "--limit": limit is not None, "--speed": speed is not None}
    if no_replay and (vain := [name for name, is_given in given.items() if is_given]):
        raise InvalidInput(f"--no-replay and {vain[0]} are given; choose one")
    settings = read()  # before the heavy libraries and the servers, so that a wrong setting is reported at once
    from datasets import check_name

    if not no_replay:
        check_name(replay)
    named = [f"WEIR_{name.upper()}" for name in ("kafka_bootstrap", "database_url") if getattr(settings, name)]
    if fresh and named:
        raise InvalidInput(
            f"--fresh cannot empty the service that {' and '.join(named)} names, and would remove the model files that "
            "its versions need: leave --fresh out, or unset it"
        )
    from weir.demo.addresses import withdraw
    from weir.local.lock import locked
    from weir.local.ports import refuse_taken

    with locked(settings.home) as held:  # before the heavy libraries: another running stack is found at once
        withdraw(settings)  # the stack.json of a killed stack
        if settings.api_port:
            refuse_taken(settings.api_host, settings.api_port, "WEIR_API_PORT")
        print("loading the libraries", file=sys.stderr, flush=True)  # torch is slow to load, mostly the first time
        from weir.demo.run import UpOptions, run_up

        options = UpOptions(
            replay=None if no_replay else replay, limit=limit, speed=speed, once=once, json=as_json, fresh=fresh
        )
        return run_up(settings, options, held)
