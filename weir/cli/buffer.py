"""``weir buffer``: what the bounded buffer holds, and why it holds one sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli.output import AsJson, print_columns, print_facts, print_json

if TYPE_CHECKING:
    from storage.pool import Pool

app = typer.Typer(no_args_is_help=True, help="The bounded buffer: its strata, and why it holds a sample.")


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show places, samples, threshold and effective sample size of each stratum."""
    with _pool() as pool:
        found = pool.stats()
    if as_json:
        print_json(found)
        return
    rows: list[tuple[object, ...]] = [
        (each.name, each.capacity, each.items, each.threshold, each.effective_sample_size) for each in found.strata
    ]
    rows.append(("all", found.capacity, found.items, None, found.effective_sample_size))
    print_columns(("stratum", "capacity", "items", "threshold", "effective sample size"), rows)


@app.command()
def explain(
    sample: Annotated[str, typer.Argument(metavar="ID", help="The sample's id, which is its impression's.")],
    as_json: AsJson = False,
) -> None:
    """Show one sample and why it is in the buffer: importance, stratum, key, threshold and inclusion probability."""
    with _pool() as pool:
        found = pool.explain(sample)
    facts = {
        "id": found.sample.id,
        "subject": found.sample.subject,
        "surface": found.sample.surface,
        "query": found.sample.query,
        "item": found.sample.item,
        "text": found.sample.text,
        "label": found.label,
        "outcome": str(found.outcome),
        "time": datetime.fromtimestamp(found.sample.time_ms / 1_000, UTC),
        "importance": found.importance,
        "estimator": found.estimator,
        "model": found.model,
        "prediction": found.prediction,
        "stratum": found.stratum,
        "key": found.key,
        "threshold": found.threshold,
        "probability": found.probability,
        "in_buffer": found.in_buffer,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items())


@contextmanager
def _pool() -> "Iterator[Pool]":
    from storage.engine import create_engine
    from storage.pool import Pool
    from weir.places import located
    from weir.settings import read

    engine = create_engine(located(read(), database=True).database_url, pool_size=1)
    try:
        yield Pool(engine)
    finally:
        engine.dispose()
