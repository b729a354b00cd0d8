"""The process of a role: its watchdog, its retries and its end."""

from collections.abc import Iterator

from pydantic import Field

from weir.settings.sections.base import Seconds, Section


class Process(Section):
    """Timeouts and retries of the roles."""

    watchdog_seconds: float = Field(
        default=120.0, ge=5, le=86_400, description="a worker ends when something is due and nothing moves for so long"
    )
    retry_first_seconds: Seconds = Field(
        default=0.2,
        gt=0,
        description="first pause before an unavailable dependency is tried again; its bound doubles each time",
    )
    retry_limit_seconds: Seconds = Field(default=10.0, gt=0, description="longest such pause")
    stop_seconds: Seconds = Field(
        default=20.0, gt=0, description="time a role has to end in order, before it ends at once"
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if self.retry_limit_seconds < self.retry_first_seconds:
            bound = f"at least WEIR_RETRY_FIRST_SECONDS, {self.retry_first_seconds:g}"
            yield f"WEIR_RETRY_LIMIT_SECONDS is {self.retry_limit_seconds:g}; it must be {bound}"
