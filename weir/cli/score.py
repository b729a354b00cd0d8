"""``weir score``: compute the importance of every row of a file, by any estimators."""

import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from weir.cli.output import AsJson, counted, print_json
from weir.cli.reading import ColumnOption, DelimiterOption, PositiveOption
from weir.demo.progress_bar import Progress
from weir.process.signals import handled, hangup, interrupt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score")(score)


def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .parquet, .csv or .jsonl file.")],
    output: Annotated[Path, typer.Option(metavar="OUT", help="The .parquet, .csv or .jsonl file to write.")],
    names: Annotated[
        str | None,
        typer.Option(
            "--estimators",
            metavar="A,B",
            help="Estimators, or sums of them like rho+entropy; default: WEIR_ESTIMATOR.",
        ),
    ] = None,
    column: ColumnOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    positive: PositiveOption = None,
    delimiter: DelimiterOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A version, a directory, or first-…; default: the active version, else a first one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a file, in constant memory: id, a column an estimator, and model, in the rows' order."""
    from datasets.layout import read_layout
    from weir.scoring.job import Scorer, read_mixtures, score_file
    from weir.scoring.rows import COLUMNS
    from weir.settings import read

    settings, layout = read(), read_layout(column, COLUMNS, positive, delimiter)
    mixtures = read_mixtures(settings.estimator if names is None else names)
    with handled(interrupt, signal.SIGTERM, *hangup()), closing(Progress(sys.stderr)) as progress:

        def find_scorer() -> Scorer:
            print("loading the libraries and the model", file=sys.stderr, flush=True)  # a minute on a busy machine
            from weir.scoring.model import find
            from weir.scoring.scorer import ModelScorer

            name, found = find(settings, model, progress.show)
            return ModelScorer(name, found, mixtures, settings.score_batch, settings.score_precision == "bfloat16")

        done = score_file(file, layout, mixtures, output, find_scorer, progress.show)
    if done.non_finite:
        had = counted(done.non_finite, "row")
        print(f"weir: {had} had a score that is no number; it was set to 0", file=sys.stderr)
    if as_json:
        print_json({"rows": done.rows, "model": done.model, "non_finite": done.non_finite})
    else:
        typer.echo(f"{counted(done.rows, 'row')} scored by {done.model}: {output}")
