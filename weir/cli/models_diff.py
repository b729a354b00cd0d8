"""``weir models diff``: how two versions differ."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weir.cli.output import AsJson, print_columns, print_facts, print_json

if TYPE_CHECKING:
    from storage.registry import Version
    from trainer.difference import PredictionDifference

_CHANGED_MOST = 10


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A version of weir models list.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Show how version B differs from version A: metrics, weights, and predictions of the buffer's holdout."""
    from importance.strata import HOLDOUT
    from storage.artifacts import Artifacts
    from storage.buffer_reader import BufferReader
    from trainer import version_directory as versions
    from trainer.device import choose, use_threads
    from trainer.difference import prediction_difference, weight_changes
    from trainer.forward import predict
    from trainer.labelled import Labelled
    from weir.cli.tables import opened
    from weir.learning.validation import split_holdout
    from weir.process.scratch import scratch

    with opened() as tables, scratch("diff") as directory:
        found = tables.registry.version(a), tables.registry.version(b)
        use_threads(tables.settings.threads)
        artifacts, device = Artifacts(tables.settings.artifacts_url), choose(tables.settings.device)
        models = [versions.load(artifacts.fetch(each.artifact, each.sha256, directory), device) for each in found]
        _, holdout = split_holdout(BufferReader(tables.engine).draw((HOLDOUT,)), tables.settings)
        rows = Labelled(holdout.samples, holdout.label)
        changes = weight_changes(*models)
        predicted = prediction_difference(rows, *(predict(each, rows.samples) for each in models))
    if as_json:
        print_json(
            {
                "a": _described(found[0]), "b": _described(found[1]), "weights": changes,
                "predictions": None if predicted is None else asdict(predicted),
            }
        )  # fmt: skip
        return
    print_columns(("", a, b, "difference"), _facts(*found))
    typer.echo()
    print_columns(("module", "relative change of the weights"), _changed_most(changes))
    typer.echo()
    print_facts(_predictions(predicted, a, b))


def _changed_most(changes: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the change of all weights together, and of the modules that changed most.

    >>> _changed_most({"all": 0.1, "bert": 0.02, "final": 0.3})
    [('all', '0.1'), ('final', '0.3'), ('bert', '0.02')]
    """
    modules = sorted((each for each in changes.items() if each[0] != "all"), key=lambda change: -change[1])
    return [(name, f"{change:.3g}") for name, change in [("all", changes["all"]), *modules[:_CHANGED_MOST]]]


def _described(version: "Version") -> dict[str, object]:
    return {"version": version.version, "parent": version.parent, "state": version.state, "metrics": version.metrics}


def _facts(a: "Version", b: "Version") -> Iterator[tuple[str, object, object, object]]:
    """Yield what the registry has of both; a difference where both are numbers."""
    yield "parent", a.parent, b.parent, None
    yield "state", a.state, b.state, None
    yield "created", f"{a.created:%Y-%m-%d %H:%M:%S}Z", f"{b.created:%Y-%m-%d %H:%M:%S}Z", str(b.created - a.created)
    for name in dict.fromkeys([*a.metrics, *b.metrics]):
        of_a, of_b = _number(a.metrics, name), _number(b.metrics, name)
        if of_a is not None or of_b is not None:
            yield name, of_a, of_b, None if of_a is None or of_b is None else of_b - of_a


def _number(metrics: Mapping[str, Any], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _predictions(found: "PredictionDifference | None", a: str, b: str) -> Iterator[tuple[str, object]]:
    if found is None:
        yield "holdout", "the buffer holds no sample of it yet: predictions are not compared"
        return
    yield "samples of the holdout", found.samples
    yield "mean difference of the predictions", found.mean
    yield "largest difference", found.largest
    yield "rank correlation", found.rank_correlation
    if found.auc is None:
        yield "auc", "too few samples of one label"
        return
    yield f"auc of {a}", found.auc.serving
    yield f"auc of {b}", found.auc.candidate
    yield (
        "difference, with its 95 % interval",
        (f"{found.auc.difference:+.4f}, {found.auc.lower(0.025):+.4f} to {found.auc.upper(0.025):+.4f}"),
    )
