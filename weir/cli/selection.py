"""``weir selection``: whether selection helps, and what fine-tunes use."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from weir.cli.output import AsJson, counted, print_columns, print_json
from weir.cli.status import show_time
from weir.cli.tables import opened

if TYPE_CHECKING:
    from weir.status.selection import SelectionStatus

app = typer.Typer(no_args_is_help=True, help="Selection of training samples: whether it helps, and which would more.")
_SHOWN = 10


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the control arms, of selected against uniform samples, and the race of policies on the live stream."""
    from weir.status.selection import reader

    with opened() as tables:
        found = reader(tables.settings, tables.engine)()
    if as_json:
        print_json(_fields(found))
        return
    _show_control(found)
    if found.race:
        _show_race(found)


def _show_control(found: "SelectionStatus") -> None:
    if found.advantage is None:
        typer.echo("no control arm was made yet: see WEIR_CONTROL_EVERY")
        return
    pooled = found.advantage
    typer.echo(
        f"training on selected samples differs from uniform ones by {pooled.estimate:+.4f} in AUC "
        f"[{pooled.low:+.4f}, {pooled.high:+.4f}]"
    )
    typer.echo(
        "fine-tunes use "
        + ("uniform samples only: selection has fallen back" if found.uniform_only else "selected samples")
    )
    print_columns(
        ("run", "time", "difference", "standard error", "candidate"),
        [
            (
                x.run, show_time(x.time), f"{x.compared.difference:+.4f}", f"{x.compared.standard_error:.4f}",
                "uniform" if x.uniform_only else "selected",
            )
            for x in list(reversed(found.results))[:_SHOWN]
        ],
    )  # fmt: skip


def _show_race(found: "SelectionStatus") -> None:
    """Show each policy over the live stream; gains in Brier score are small, so they are shown in 1/10,000."""
    typer.echo(
        f"the race of policies, {counted(found.race[0].results, 'result')}; gain in Brier score over uniform × 10,000"
    )
    print_columns(
        ("policy", "gain", "95 %", "ln E over uniform", "over configured", "decisive"),
        [
            (
                x.policy, f"{1e4 * x.gain.estimate:+.2f}", f"{1e4 * x.gain.low:+.2f} to {1e4 * x.gain.high:+.2f}",
                f"{x.log_e_uniform:+.1f}", f"{x.log_e_configured:+.1f}", x.is_better,
            )
            for x in found.race
        ],
    )  # fmt: skip


def _fields(found: "SelectionStatus") -> dict[str, object]:
    return {
        "advantage": None if found.advantage is None else asdict(found.advantage),
        "uniform_only": found.uniform_only,
        "results": [
            {"run": x.run, "time": x.time, **asdict(x.compared), "uniform_only": x.uniform_only}
            for x in reversed(found.results)
        ],
        "race": [asdict(x) for x in found.race],
    }
