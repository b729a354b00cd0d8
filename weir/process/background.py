"""Work on a thread for the length of a block, and calls that may fail without ending their thread."""

from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Self

from importance.errors import InvalidInput, Unavailable
from weir.process import logs

_log = logs.logger(__name__)


class Background:
    """Runs ``work`` on a daemon thread for the length of a ``with`` block.

    The end of the block calls ``stop``, which must make ``work`` return, and waits at most ``join_seconds`` for it.
    What ``work`` raises is kept in ``error``, for a block that checks, and raised by the end of the block; it is logged
    where the block raises another error.
    """

    def __init__(
        self, name: str, work: Callable[[], object], stop: Callable[[], object], join_seconds: float = 10.0
    ) -> None:
        self.error: Exception | None = None
        self._work = work
        self._stop = stop
        self._join_seconds = join_seconds
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Return whether ``work`` still runs."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join(self._join_seconds)
        if self.error is None or self.error is error:
            return
        if error is None:
            raise self.error
        _log.error("background work failed", work=self._thread.name, exc_info=self.error)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # raised on the thread of the block
            self.error = error


class Attempts:
    """Makes calls that must not end their thread, whatever they raise.

    Unavailable and InvalidInput are passed over: those who work with the dependency report them. Another error is
    logged, once while it stays the same.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._failure = ""

    def __call__(self, call: Callable[[], object]) -> None:
        """Make a call."""
        try:
            call()
        except (Unavailable, InvalidInput):
            pass
        except Exception as error:
            if str(error) != self._failure:
                _log.error("background call failed", work=self._name, exc_info=error)
            self._failure = str(error)
