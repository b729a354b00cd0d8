"""The final output of ``weir up --once --json``: one object with all metrics of a run."""

from collections.abc import Mapping

from importance.finite import finite_or_none
from importance.scores import SERVING
from weir.demo.state import State
from weir.status import snapshot


def summary(state: State, seconds: float, cpu_seconds: Mapping[str, float]) -> dict[str, object]:
    """Return the final object of ``--json``: counts, AUC by predictor and week, CPU seconds by stage."""
    shared = state.shared
    weeks = shared.weeks.get("all", ())
    predicted = [week.metrics[SERVING].samples for week in weeks if SERVING in week.metrics]
    return {
        "events": state.events,
        "samples": shared.samples,
        "dead_letters": state.dead_letters,
        "buffer_items": shared.buffer.items,
        "buffer_capacity": shared.buffer.capacity,
        "promotions": shared.promotions,
        "auc": {
            **_means(shared),
            "samples": sum(predicted),
            "second_half": _second_half(shared),
            "known_items": _means(shared, slice_="known"),
            "weeks": [
                {"monday": week.monday} | {name: _finite(each.auc) for name, each in week.metrics.items()}
                for week in weeks
            ],
        },
        "training_runs": shared.results,
        "seconds": round(seconds, 1),
        "cpu_seconds": cpu_seconds,
    }


def _second_half(shared: snapshot.Snapshot) -> dict[str, object]:
    """Return the means over the later half of the weeks; ``since`` is the first of these."""
    weeks = shared.weeks.get("all", ())
    since = weeks[len(weeks) // 2].monday if weeks else None
    return {"since": since, **_means(shared, since=since or "")}


def _means(shared: snapshot.Snapshot, slice_: str = "all", since: str = "") -> dict[str, float | None]:
    return {name: _finite(shared.mean_auc(name, slice_, since)) for name in snapshot.SHOWN_NAMES}


def _finite(value: float) -> float | None:
    return finite_or_none(round(value, 5))
