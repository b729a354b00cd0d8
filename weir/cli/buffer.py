"""``weir buffer``: its strata, its estimates of the stream, why it holds a sample, rescoring, export."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, counted, print_columns, print_facts, print_json
from weir.process.signals import handled, hangup, interrupt

if TYPE_CHECKING:
    from storage.engine import Engine
    from storage.history import History
    from storage.lineage import TrainedVersion
    from weir.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="The bounded buffer: its strata, its estimates of the stream, its samples."
)


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show each stratum, and the buffer's estimates of the stream next to the stream's own values."""
    from storage.buffer_reader import BufferReader
    from weir.status.stream_estimates import estimates

    with _database() as (settings, engine):
        found, stream = BufferReader(engine).stats(), estimates(settings, engine)
    if as_json:
        print_json(asdict(found) | asdict(stream))
        return
    rows: list[tuple[object, ...]] = [
        (
            each.name,
            each.capacity,
            each.items,
            each.threshold,
            each.effective_sample_size,
            each.largest_subject_share,
            each.rule,
        )
        for each in found.strata
    ]
    rows.append(("all", found.capacity, found.items, None, found.effective_sample_size, None, None))
    print_columns(
        ("stratum", "capacity", "items", "threshold", "effective sample size", "largest subject", "keys made by"), rows
    )
    typer.echo(f"\n{stream.note}")
    if not stream.estimates:
        return
    print_columns(
        ("figure", "estimate", "95 % from", "to", "the stream itself"),
        [
            (each.figure, each.estimate, *(("too few", None) if each.too_few else (each.low, each.high)), each.stream)
            for each in stream.estimates
        ],
    )


@app.command()
def rescore(
    scored_by: Annotated[
        str | None, typer.Option("--scored-by", metavar="VERSION", help="Only what this version scored.")
    ] = None,
    reason: Why = "asked for by hand",
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Score the buffer again, by the serving version and these settings. Estimates stay right, workers may run on."""
    from storage.artifacts import Artifacts
    from storage.audit import Author, Via
    from storage.registry import Registry
    from weir.demo.progress_bar import Progress
    from weir.process import logs
    from weir.process.actor import this_user
    from weir.roles.common import rescoring
    from weir.roles.serving import Serving
    from weir.settings import secrets

    with _database() as (settings, engine):
        logs.configure("warning", "rescore", secrets(settings))
        serving = Serving(settings, Registry(engine), Artifacts(settings.artifacts_url))
        serving.start()
        with closing(Progress(sys.stderr)) as progress:
            author = Author(actor or this_user(), Via.CLI, reason)
            shown = partial(progress.show, "scoring again")
            again = rescoring(settings, engine, serving.scorer.score, author, shown)
            scored = again.everything() if scored_by is None else {f"scored by {scored_by}": again.rows_of(scored_by)}
    if as_json:
        print_json({"version": serving.scorer.version, "rows": scored})
    else:
        print_columns(("stratum", "rows scored again"), scored.items())


@app.command()
def explain(
    sample: Annotated[str, typer.Argument(metavar="ID", help="The sample's id, which is its impression's.")],
    as_json: AsJson = False,
) -> None:
    """Show one sample: when it came, what it scored, why it is in the buffer or not, which versions learned from it."""
    from importance.errors import NotFound
    from storage.history import Histories, Standing
    from weir.settings import values

    with _database() as (settings, engine):
        found = Histories(engine, values.pseudonyms(settings)).of(sample)
    if found.standing is Standing.UNKNOWN:
        raise NotFound(f"sample {sample!r} is not in the buffer: {found.why}")
    facts = _facts(found)
    if as_json:
        print_json(facts | {"versions": found.versions})
        return
    print_facts(facts.items())
    typer.echo()
    if not found.versions:
        typer.echo("no version has learned from it")
        return
    print_columns(
        ("version", "state", "times", "weight", "fitted the estimators"), [_trained(each) for each in found.versions]
    )


def _facts(history: "History") -> dict[str, object]:
    """Return what is known of a sample: its row as far as there is one."""
    known: dict[str, object] = {"id": history.id}
    if history.row is not None:
        found = history.row
        known |= {
            "subject": found.sample.subject,
            "surface": found.sample.surface,
            "query": found.sample.query,
            "item": found.sample.item,
            "text": found.sample.text,
            "label": found.label,
            "outcome": str(found.outcome),
            "time": datetime.fromtimestamp(found.sample.time_ms / 1_000, UTC),
            "partition": found.sample.partition,
            "offset": found.sample.offset,
            "stored_at": history.stored_at,
            "importance": found.importance,
            "estimator": found.estimator,
            "model": found.model,
            "prediction": found.prediction,
            "stratum": found.stratum,
            "key": found.key,
            "threshold": found.threshold,
            "probability": found.probability,
        }
    in_buffer = history.row is not None and history.row.in_buffer
    return known | {"in_buffer": in_buffer, "standing": str(history.standing), "why": history.why}


def _trained(trained: "TrainedVersion") -> tuple[object, ...]:
    use = trained.use
    had = ("by a parent", None, None) if use is None else (use.draws, use.weight, use.measured > 0)
    return (trained.version, trained.state, *had)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The .parquet, .csv or .jsonl file to write.")],
    holdout: Annotated[bool, typer.Option("--holdout", help="Also the samples that never train.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the samples of the buffer with their weights to a file, to train on elsewhere, in constant memory."""
    from datasets.table_writer import check_output
    from storage.buffer_reader import BufferReader
    from weir.demo.progress_bar import Progress
    from weir.scoring.export import export

    check_output(output)
    ending = handled(interrupt, signal.SIGTERM, *hangup())
    with _database() as (_, engine), ending, closing(Progress(sys.stderr)) as progress:
        rows = export(BufferReader(engine), output, holdout, progress.show)
    if as_json:
        print_json({"rows": rows, "output": str(output)})
    else:
        typer.echo(f"{counted(rows, 'sample')} written: {output}")


@contextmanager
def _database() -> "Iterator[tuple[Settings, Engine]]":
    from storage.engine import create_engine
    from weir.demo.addresses import located
    from weir.settings import read

    settings = located(read(), database=True)
    engine = create_engine(settings.database_url, pool_size=2)
    try:
        yield settings, engine
    finally:
        engine.dispose()
