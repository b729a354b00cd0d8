"""Whether the artifact store takes files: asked again, now and then, once it refused."""

from collections.abc import Callable
from time import monotonic

from importance.errors import StoreUnavailable
from storage.artifacts import Artifacts


class StoreHealth:
    """Of one store. ``told(available, reason)`` hears of each refusal and of the recovery.

    A probe writes as much as the next version will need, so there is at most one every ``pause_seconds``. ``clock``
    gives monotonic seconds.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        told: Callable[[bool, str], None],
        pause_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._artifacts = artifacts
        self._told = told
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._size_bytes = 1
        self._next_probe: float | None = None  # None while the store takes files

    def require(self, size_bytes: int) -> None:
        """Raise StoreUnavailable unless the store takes so many bytes."""
        self._size_bytes = size_bytes
        self._artifacts.probe(size_bytes)

    def refused(self, error: StoreUnavailable) -> None:
        """Note that the store refused."""
        self._next_probe = self._clock() + self._pause_seconds
        self._told(False, str(error))

    def takes_files(self) -> bool:
        """Whether it does, as far as is known; looks again when the pause after a refusal is over."""
        if self._next_probe is not None and self._clock() >= self._next_probe:
            try:
                self._artifacts.probe(self._size_bytes)
            except StoreUnavailable as error:
                self.refused(error)
            else:
                self._next_probe = None
                self._told(True, "")
        return self._next_probe is None
