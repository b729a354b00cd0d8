"""The metrics of rankings: how long they take, what a pass computes, and what is dropped."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ITEMS = (1, 4, 16, 64, 128, 256, 512, 1024)
_DROPPED = ("full", "late", "gone")


class RankMetrics:
    """The metrics of one process that ranks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "weir_rank_seconds", "from a ranking's arrival to its predictions", buckets=_SECONDS, registry=registry
        )
        self.pass_items = Histogram(
            "weir_rank_pass_items", "items of all rankings that were predicted at once", buckets=_ITEMS,
            registry=registry,
        )  # fmt: skip
        self.items = Counter(
            "weir_rank_items_total", "items ranked, by whether their prediction was cached", ("cached",),
            registry=registry,
        )  # fmt: skip
        self.dropped = Counter(
            "weir_rank_dropped_total",
            "rankings not computed: as many waited as may, waited for too long, or the client left",
            ("reason",),
            registry=registry,
        )
        for reason in _DROPPED:
            self.dropped.labels(reason)
        for cached in ("true", "false"):
            self.items.labels(cached)

    def observe_pass(self, items: int, cached: int) -> None:
        """Record one pass over ``items``, of which ``cached`` were known already."""
        self.pass_items.observe(items)
        self.items.labels("true").inc(cached)
        self.items.labels("false").inc(items - cached)
