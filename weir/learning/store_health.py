"""Whether the artifact store and the local disk take files: probed at intervals after one refused some."""

from collections.abc import Callable
from time import monotonic

from importance.errors import StoreUnavailable
from storage.artifacts import Artifacts
from weir.process import scratch


class StoreHealth:
    """The health of one store, and of the local disk, where its files lie first.

    ``on_change(available, reason)`` is called at each refusal and at the recovery. A probe writes as many bytes as the
    next version needs, so there is at most one every ``pause_seconds``. ``clock`` returns monotonic seconds.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        on_change: Callable[[bool, str], None],
        pause_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._artifacts = artifacts
        self._on_change = on_change
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._size_bytes = 1
        self._next_probe: float | None = None  # None while the store takes files

    def require(self, size_bytes: int) -> None:
        """Raise StoreUnavailable unless both take so many bytes; OSError for what is not the disk's."""
        self._size_bytes = size_bytes
        self._probe()

    def refused(self, error: StoreUnavailable | OSError) -> None:
        """Record that one of them refused files."""
        self._next_probe = self._clock() + self._pause_seconds
        self._on_change(False, str(error))

    def takes_files(self) -> bool:
        """Return whether both take files; probe them when the pause after a refusal is over."""
        if self._next_probe is not None and self._clock() >= self._next_probe:
            try:
                self._probe()
            except (StoreUnavailable, OSError) as error:
                self.refused(error)
            else:
                self._next_probe = None
                self._on_change(True, "")
        return self._next_probe is None

    def _probe(self) -> None:
        scratch.probe(self._size_bytes)
        self._artifacts.probe(self._size_bytes)
