"""Read what `importance.stream_comparison` compares: rows of the buffer and counts of the stream.

Both are of the same weeks and from one snapshot of the database.
"""

import msgspec
import numpy as np
import sqlalchemy as sa

from importance.quality import Counts, monday_ms
from importance.sample import Outcome, Sample, label
from importance.segments import Segments
from importance.stream_comparison import Held, View, weeks_in_view
from importance.thresholds import inclusion_probabilities
from storage import tables
from storage.engine import transaction
from storage.quality import counts_of

_decode = msgspec.json.Decoder(Sample).decode

# The sample as it was decided: its label is the one at the window's close, without late actions.
_HELD = sa.text("""
    SELECT k.log_weight, k.m, greatest(t.threshold, b.threshold) AS threshold,
           s.prediction, CAST(s.sample AS text) AS sample
    FROM buffer_keys k JOIN buffer_samples s USING (id) JOIN buffer_strata t USING (stratum)
    LEFT JOIN buffer_subjects b ON b.stratum = k.stratum AND b.subject = k.subject
    WHERE k.key > greatest(t.threshold, b.threshold) AND s.prediction IS NOT NULL
      AND CAST(s.sample ->> 'time_ms' AS bigint) >= :since_ms
    ORDER BY k.id
""")
_BLIND = sa.text("SELECT stratum FROM buffer_strata WHERE capacity = 0 AND threshold > '-Infinity' ORDER BY stratum")


class ComparisonReader:
    """Reads the input of `importance.stream_comparison.compare`. Changes nothing."""

    def __init__(
        self,
        engine: sa.Engine,
        half_life_seconds: float | None,
        positive_from: Outcome = Outcome.CLICK,
        segments: Segments | None = None,
    ) -> None:
        self._engine = engine
        self._half_life_seconds = half_life_seconds
        self._positive_from = positive_from
        self._segments = segments

    def view(self) -> View:
        """Read the weeks in view; empty before anything was counted."""
        row = tables.quality
        of_all = (row.c.predictor == "serving") & row.c.span.like("week:%")
        with transaction(self._engine, "REPEATABLE READ") as connection:
            counted = connection.scalars(sa.select(row.c.span).where(of_all, row.c.slice == "all").distinct()).all()
            if not counted:
                return View()
            weeks = weeks_in_view(counted, self._half_life_seconds)
            counts: dict[str, Counts] = {}
            for found in connection.execute(sa.select(row.c.slice, row.c.counts).where(of_all, row.c.span.in_(weeks))):
                counts[found.slice] = counts.get(found.slice, 0) + counts_of(found.counts)
            held = self._held(connection, monday_ms(weeks[0]))
            blind = connection.scalars(_BLIND).all()
        return View(weeks, held, counts, blind)

    def _held(self, connection: sa.Connection, since_ms: int) -> Held:
        rows = connection.execute(_HELD, {"since_ms": since_ms}).all()
        samples = [_decode(row.sample) for row in rows]
        columns = np.array([(row.log_weight, row.threshold, row.m, row.prediction) for row in rows], dtype=np.float64)
        log_weight, threshold, m, prediction = columns.reshape(-1, 4).T
        return Held(
            probability=inclusion_probabilities(log_weight, threshold, m),
            label=np.array([label(sample.actions, self._positive_from) for sample in samples], dtype=np.int64),
            prediction=prediction,
            segment=[self._segments.of(sample.attributes) for sample in samples] if self._segments else (),
        )
