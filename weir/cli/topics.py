"""``weir topics``: create the missing topics, and compare the others with the settings."""

from typing import Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.output import AsJson, print_columns, print_json
from weir.settings.topics import named_topics, planned_topics


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("topics")(topics)


def topics(
    check: Annotated[bool, typer.Option("--check", help="Make nothing; exit 1 when a topic is missing.")] = False,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Let the topic of interactions have N partitions. Keys move to others."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make the topics that are missing. Existing topics are never altered; differences are reported."""
    if check and partitions is not None:
        raise InvalidInput("--check and --partitions are given; choose one")
    from stream.topics import add_partitions, provision
    from stream.topics import check as check_topics
    from weir.demo.addresses import located
    from weir.settings import read
    from weir.settings.connection import kafka_connection

    settings = located(read(), kafka=True)
    plans = planned_topics(settings)
    if partitions is not None:
        add_partitions(kafka_connection(settings), named_topics(settings).interactions, partitions)
    states = (check_topics if check else provision)(kafka_connection(settings), plans)
    if as_json:
        print_json(states)
    else:
        print_columns(
            ("topic", "state", "differs"),
            [
                (
                    state.name,
                    "made" if state.created else "missing" if state.id is None else "there",
                    "; ".join(state.differences),
                )
                for state in states
            ],
        )
    return int(any(state.id is None for state in states))
