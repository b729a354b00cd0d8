"""``weir topics``: make the topics that are missing, and hold the others against the settings."""

from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli.output import AsJson, print_columns, print_json

if TYPE_CHECKING:
    from stream.topics import TopicPlan, Topics
    from weir.settings import Settings


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
    """Make the topics that are missing. One that exists is never altered, but told where it differs."""
    from stream.topics import add_partitions, provision
    from stream.topics import check as look
    from weir.cli.services import located
    from weir.settings import read

    settings = located(read(), kafka=True)
    plans = planned_topics(settings)
    if partitions is not None:
        add_partitions(settings.kafka_bootstrap, named_topics(settings).interactions, partitions)
    states = (look if check else provision)(settings.kafka_bootstrap, plans)
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


def named_topics(settings: "Settings") -> "Topics":
    """The names of the topics under the prefix of the settings."""
    from stream.topics import Topics

    plain = Topics()
    names = (plain.interactions, plain.dead, plain.importance, plain.models)
    return Topics(*(settings.topic_prefix + name for name in names))


def planned_topics(settings: "Settings") -> "tuple[TopicPlan, ...]":
    """What the topics should be by the settings."""
    from stream.topics import planned

    return planned(named_topics(settings), settings.partitions, settings.replication)
