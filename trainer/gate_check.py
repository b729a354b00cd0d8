"""One check of the gate, as it is stored with a version and shown. A value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from importance.finite import finite_or_none


@dataclass(frozen=True, slots=True)
class Check:
    """What was compared, and whether it ``passed``.

    A check that does not pass refuses the candidate where it ``vetoes``, else it is a note. ``statistics`` are the
    numbers behind it, by name.
    """

    name: str
    passed: bool
    vetoes: bool
    statistics: Mapping[str, float]
    reason: str

    @property
    def refuses(self) -> bool:
        """Return whether the candidate may not be promoted because of it."""
        return self.vetoes and not self.passed

    def stored(self) -> dict[str, Any]:
        """Return the check as the registry keeps it; a number that is not finite becomes null."""
        return {
            "name": self.name,
            "passed": self.passed,
            "vetoes": self.vetoes,
            "statistics": {name: finite_or_none(float(value)) for name, value in self.statistics.items()},
            "reason": self.reason,
        }
