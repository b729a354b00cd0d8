"""How the live view writes figures."""

from io import StringIO

from rich.console import Console

from storage.pool import BufferStats
from weir.live import State, screen
from weir.snapshot import FROZEN, SERVING, Figures, Snapshot, Week


def figures(auc: float) -> Figures:
    return Figures(100, auc, log_loss=0.5, calibration_error=0.1)


def test_an_auc_has_no_sign_and_a_gain_always_has_one() -> None:
    week = Week("2011-01-03", {SERVING: figures(0.48), FROZEN: figures(0.46)})
    shared = Snapshot((), BufferStats(0, 0, 0.0, ()), None, (), (), (), {"all": (week,)}, {})
    out = StringIO()
    Console(file=out, width=200).print(screen(State(shared, 0, 0, 0), None))
    shown = {line.split()[1]: line.split()[2] for line in out.getvalue().splitlines() if len(line.split()) > 2}
    assert (shown["serving"], shown["frozen"], shown["gain"]) == ("0.480", "0.460", "+0.020")
