"""Logs on standard error: readable lines on a terminal, one JSON object a line elsewhere. Secrets are masked.

Our own lines and those of libraries (which use ``logging``) take the same path. Libraries log warnings and errors only,
and the same line at most once a minute: while a broker is unavailable its client logs that a hundred times a second.
"""

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from weir.process.masking import masked_url

PACKAGES = ("importance", "stream", "trainer", "storage", "monitoring", "weir")
_MIN_SECRET = 4  # a shorter "secret" would mask half of every line
_SAME_AGAIN_SECONDS = 60.0
_MAX_KNOWN_LINES = 1_000


def configure(
    level: str = "info",
    role: str = "weir",
    secrets: Iterable[str] = (),
    out: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send every log line of this process to ``out`` (standard error), from ``level`` on, as lines of ``role``."""
    out = sys.stderr if out is None else out
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(role),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if out.isatty()
        else structlog.processors.JSONRenderer(default=str)
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(_Repeats(clock))
    handler.setFormatter(
        _Masking(
            secrets,
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if out.isatty() else [structlog.processors.format_exc_info]),
                renderer,
            ],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # It warns of each call that a busy machine delayed; a failed call raises an error anyway.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level.upper())
    logging.captureWarnings(True)


def logger(name: str = "weir") -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines carry values as keywords: ``log.info("partition assigned", partition=3)``."""
    return structlog.stdlib.get_logger(name)


def _named(role: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"role": role, **event}

    return name


class _Repeats(logging.Filter):
    """Drop a library's line that repeats one of the last minute; the next such line reports the number dropped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in PACKAGES:
            return True
        line, now = (record.name, record.getMessage()), self._clock()
        since, left_out = self._seen.get(line, (-math.inf, 0))
        if now - since < _SAME_AGAIN_SECONDS:
            self._seen[line] = (since, left_out + 1)
            return False
        if len(self._seen) >= _MAX_KNOWN_LINES:  # lines that hold a number or an address are always new
            self._seen.clear()
        self._seen[line] = (now, 0)
        if left_out:
            record.msg, record.args = f"{line[1]} (repeated {left_out} times since)", ()
        return True


class _Masking(structlog.stdlib.ProcessorFormatter):
    """Render a line, then mask every known secret and every password of a URL in it."""

    def __init__(self, secrets: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        known = {secret for secret in secrets if len(secret) >= _MIN_SECRET}
        escaped = {json.dumps(secret)[1:-1] for secret in known}
        self._secrets = sorted(known | escaped, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = masked_url(super().format(record))
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line
