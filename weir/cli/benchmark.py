"""``weir benchmark``: measure whether importance sampling pays, also on a user's data."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.reading import ColumnOption, DelimiterOption, PositiveOption
from weir.demo.progress_bar import Progress

if TYPE_CHECKING:
    from experiments.examples import Examples
    from weir.settings import Settings

app = typer.Typer(help="Measure selection by importance against uniform sampling.", no_args_is_help=True)

GridOption = Annotated[str, typer.Option(metavar="GRID", help="quick, full, or a TOML file.")]
DataOption = Annotated[
    str,
    typer.Option(
        metavar="DATA", help="home_depot, complete_journey, online_retail, or a .parquet, .csv or .jsonl file."
    ),
]
OutputOption = Annotated[Path, typer.Option(metavar="DIR", help="Where results and report go; run again to resume.")]
TrackOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Log each run to tensorboard, wandb or mlflow, too.")
]


@app.callback()
def _group() -> None:
    """Measure selection by importance against uniform sampling."""


@app.command("importance")
def importance(
    data: DataOption,
    output: OutputOption,
    grid: GridOption = "quick",
    column: ColumnOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    positive: PositiveOption = None,
    delimiter: DelimiterOption = None,
    track: TrackOption = None,
) -> int:
    """Estimators, keep ratios and label noise against uniform and RS2. Stopped, it resumes when run again."""
    from experiments.grid import read_grid
    from experiments.plots import check_installed
    from experiments.results import locked
    from experiments.runner import run, write_report
    from experiments.tracking import tracker
    from trainer.device import use_threads
    from weir.settings import read

    check_installed()
    chosen, settings = read_grid(grid), read()
    use_threads(settings.threads)
    on_outcome = tracker(track, output) if track else None
    with closing(Progress(sys.stderr)) as progress:
        examples, about = _examples(data, (column, positive, delimiter), settings, progress)
        with locked(output):
            results = run(chosen, examples, output, settings.home / "benchmark", progress.show, on_outcome)
            progress.show("writing the report", 0)
            write_report(chosen, examples, about, results, output)
    typer.echo(f"{examples.name}: {len(results.records)} runs; read {output / 'report.html'}")
    return 0


def _examples(
    data: str, given: tuple[list[str], str | None, str | None], settings: "Settings", progress: Progress
) -> tuple["Examples", str]:
    """Return the examples, and a line about them."""
    from datasets.layout import read_layout
    from experiments import sources

    if data == sources.HOME_DEPOT or data in sources.SHOPS:
        for option, value in zip(("--column", "--positive", "--delimiter"), given, strict=True):
            if value:
                raise InvalidInput(
                    f"{option} is for a file of your own; {data} has its columns and labels: leave it out"
                )
    if data == sources.HOME_DEPOT:
        return sources.home_depot(settings.data_dir), sources.ABOUT_HOME_DEPOT
    if data in sources.SHOPS:
        stream = sources.shop_stream(data, settings.data_dir, settings.home, progress.show)
        return stream, sources.about(data)
    columns, positive, delimiter = given
    examples = sources.from_file(Path(data), read_layout(columns, sources.COLUMNS, positive, delimiter))
    return examples, f"{len(examples):,} examples of {Path(data).name}."
