"""Logs, and the metrics of worker and trainer."""

from typing import Literal

from pydantic import Field

from weir.settings.sections.base import Port, Section


class Monitoring(Section):
    """Address of the metrics, and what is logged."""

    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="where worker and trainer serve /metrics, /healthz and /readyz"
    )
    metrics_port: Port = Field(default=0, description="port of these endpoints; 0 takes a free one, and logs it")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is logged"
    )
