"""Logs on standard error: readable lines on a terminal, one JSON object a line elsewhere. Secrets never get out.

Lines of our own and of the libraries (which use ``logging``) take the same way. Libraries are heard from warnings on.
"""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from weir.masking import masked_url

ROOMS = ("importance", "stream", "trainer", "storage", "monitoring", "weir")
_LEAST_SECRET = 4  # a shorter "secret" would mask half of every line


def configure(level: str = "info", role: str = "weir", secrets: Iterable[str] = (), out: TextIO | None = None) -> None:
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
    # It warns of each call that a busy machine made late; what matters arrives as an error of the call itself.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    for room in ROOMS:
        logging.getLogger(room).setLevel(level.upper())
    logging.captureWarnings(True)


def logger(name: str = "weir") -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry facts as keywords: ``log.info("partition assigned", partition=3)``."""
    return structlog.stdlib.get_logger(name)


def _named(role: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"role": role, **event}

    return name


class _Masking(structlog.stdlib.ProcessorFormatter):
    """Renders a line, then masks every known secret and every password of a URL in it, whatever brought it there."""

    def __init__(self, secrets: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        known = {secret for secret in secrets if len(secret) >= _LEAST_SECRET}
        escaped = {json.dumps(secret)[1:-1] for secret in known}
        self._secrets = sorted(known | escaped, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = masked_url(super().format(record))
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line
