"""``weir models lineage``: which samples a version was made of."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli.models import VersionName
from weir.cli.output import AsJson, print_columns, print_facts, print_json
from weir.cli.tables import opened

if TYPE_CHECKING:
    from importance.lineage import Lineage, Summary


def lineage(
    version: VersionName,
    samples: Annotated[bool, typer.Option("--samples", help="Also each sample, with times and weight.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which samples a version was made of: how many, how often, from when, of which strata, how many erased."""
    from storage.buffer_reader import BufferReader
    from storage.lineage import Lineages
    from weir.settings import values

    with opened() as tables:
        pseudonyms = values.pseudonyms(tables.settings)
        lineages = Lineages(tables.engine, pseudonyms)
        summary, erased = lineages.summary(version), lineages.erased(version)
        rows: list[dict[str, object]] = []
        if samples:
            ids = BufferReader(tables.engine).ids()
            known = dict(zip(pseudonyms.of_samples(ids).tolist(), ids, strict=True))
            rows = list(_rows(lineages.lineage(version), known))
    facts = _facts(version, summary, erased)
    if as_json:
        print_json(facts | ({"of": rows} if samples else {}))
        return
    print_facts(
        (name.replace("_", " "), _shares(value) if isinstance(value, Mapping) else value)
        for name, value in facts.items()
    )
    if samples:
        typer.echo()
        print_columns(
            ("sample", "id", "subject", "minute", "times", "weight", "measured"), [tuple(row.values()) for row in rows]
        )


def _facts(version: str, summary: "Summary", erased: int) -> dict[str, object]:
    return {
        "version": version,
        "samples": summary.samples,
        "subjects": summary.subjects,
        "draws": summary.draws,
        "effective_sample_size": summary.effective_sample_size,
        "earliest": _time(summary.earliest_ms),
        "latest": _time(summary.latest_ms),
        "strata": summary.strata,
        "measured": summary.measured,
        "erased": erased,
    }


def _rows(lineage: "Lineage", known: Mapping[int, str]) -> Iterator[dict[str, object]]:
    """Yield each sample: its pseudonym, its id where the buffer still holds it, its subject's pseudonym, its use."""
    from importance.lineage import MINUTE_MS
    from importance.pseudonyms import shown

    columns = (lineage.samples, lineage.subjects, lineage.minutes, lineage.times, lineage.weights, lineage.measured)
    for sample, subject, minute, times, weight, measured in zip(*(column.tolist() for column in columns), strict=True):
        yield {
            "sample": shown(sample),
            "id": known.get(sample),
            "subject": shown(subject),
            "minute": _time(minute * MINUTE_MS),
            "times": times,
            "weight": weight,
            "measured": measured,
        }


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())


def _time(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1_000, UTC)
