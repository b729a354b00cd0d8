"""Whether the artifact store takes files: probed at intervals after it refused some."""

from collections.abc import Callable
from time import monotonic

from importance.errors import StoreUnavailable
from storage.artifacts import Artifacts


class StoreHealth:
    """The health of one store. ``on_change(available, reason)`` is called at each refusal and at the recovery.

    A probe writes as many bytes as the next version needs, so there is at most one every ``pause_seconds``. ``clock``
    returns monotonic seconds.
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
        """Raise StoreUnavailable unless the store takes so many bytes."""
        self._size_bytes = size_bytes
        self._artifacts.probe(size_bytes)

    def refused(self, error: StoreUnavailable) -> None:
        """Record that the store refused files."""
        self._next_probe = self._clock() + self._pause_seconds
        self._on_change(False, str(error))

    def takes_files(self) -> bool:
        """Return whether the store takes files; probe it when the pause after a refusal is over."""
        if self._next_probe is not None and self._clock() >= self._next_probe:
            try:
                self._artifacts.probe(self._size_bytes)
            except StoreUnavailable as error:
                self.refused(error)
            else:
                self._next_probe = None
                self._on_change(True, "")
        return self._next_probe is None
