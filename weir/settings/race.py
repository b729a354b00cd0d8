"""Convert settings into the policies of the race."""

from importance.race.policy import Policy, rivals
from importance.selection import PROPORTIONAL
from weir.settings import Settings
from weir.settings.values import half_life_seconds


def policies(settings: Settings) -> tuple[Policy, ...]:
    """Return the policies of the race; none where it is off, or what is configured is not proportional selection.

    A top fraction has no weights that could be compared, and a guarded score depends on a fitted layer.
    """
    if settings.race == "off" or settings.selection != PROPORTIONAL or settings.noise_guard != "none":
        return ()
    return rivals(Policy(settings.estimator, settings.selection_floor, half_life_seconds(settings)))


def race_name(competing: tuple[Policy, ...]) -> str:
    """Return the name under which the sums of a race are stored: other policies are another race."""
    return "; ".join(map(str, competing))
