"""Convert settings into the values that each package takes. Pure; only this module depends on both sides."""

from importance import strata as importance_strata
from importance.attribution import Policy as JoinPolicy
from importance.fields import Fields
from importance.mixture import Mixture, parse
from importance.pseudonyms import Pseudonyms
from importance.reservoir import AdmissionPolicy
from importance.sample import Outcome
from importance.segments import Segments
from importance.segments import parse as parse_segments
from importance.selection import TOP_FRACTION
from importance.strata import StrataPolicy
from storage.recent_items import RecentItems, RecentLimits
from weir.settings import Settings

# 2000-01-01: the landmark of forward decay. Any constant works; it must never change under a buffer in use.
LANDMARK_MS = 946_684_800_000


def join(settings: Settings) -> JoinPolicy:
    """Return how events are read, and how long impressions, actions and ids are kept."""
    return JoinPolicy(
        window_ms=round(settings.attribution_window_seconds * 1000),
        deduplication_ms=round(settings.deduplication_seconds * 1000),
        max_waiting=settings.max_waiting,
        max_waiting_bytes=settings.max_waiting_bytes,
        max_remembered=settings.max_remembered,
        fields=Fields.parse(settings.fields),
        late_letters=settings.late == "dead_letter",
    )


def strata(settings: Settings) -> StrataPolicy:
    """Return how the stream and the buffer's capacity are divided into strata."""
    return StrataPolicy(
        salt=settings.salt,
        holdout_ratio=settings.holdout_share,
        uniform_ratio=settings.uniform_share,
        shares=(
            settings.holdout_capacity_share,
            settings.uniform_capacity_share,
            settings.positive_capacity_share,
            settings.negative_capacity_share,
        ),
        segments=segments(settings),
    )


def segments(settings: Settings) -> Segments | None:
    """Return the segments of an attribute; None without segments."""
    return parse_segments(settings.segment_attribute, settings.segment_shares)


def positive_from(settings: Settings) -> Outcome:
    """Return the weakest outcome that makes a label 1."""
    return Outcome(settings.positive_from)


def recent_items(settings: Settings) -> RecentItems | None:
    """Return what keeps the items that subjects had to do with last; None where none are kept."""
    if not settings.recent_items:
        return None
    return RecentItems(RecentLimits(settings.recent_items, settings.recent_rows))


def mixture(settings: Settings) -> Mixture:
    """Return the estimators that compute importance."""
    return parse(settings.estimator, guarded=settings.noise_guard == "holdout")


def half_life_seconds(settings: Settings) -> float | None:
    """Return the half-life; None means no decay."""
    return settings.half_life_seconds or None


def admission(settings: Settings) -> AdmissionPolicy:
    """Return the parameters that turn a score into a key."""
    return AdmissionPolicy(
        strata=strata(settings),
        salt=settings.salt,
        floor=settings.selection_floor,
        half_life_seconds=half_life_seconds(settings),
        landmark_ms=LANDMARK_MS,
        positive_from=positive_from(settings),
        selection=settings.selection,
    )


def pseudonyms(settings: Settings) -> Pseudonyms:
    """Return what stands for subjects and samples where their names are not kept."""
    return Pseudonyms(settings.salt)


def scoring_configs(settings: Settings) -> dict[str, str]:
    """Return the scoring configuration of each stratum: two keys are comparable only if theirs are equal."""
    config, policy = str(mixture(settings)), admission(settings)
    if settings.selection == TOP_FRACTION:
        config += f", top {settings.top_fraction:.12g}"
    return {name: policy.scoring_config(name, config) for name in policy.strata.names}


def capacities(settings: Settings) -> dict[str, int]:
    """Return the capacity of each stratum."""
    return strata(settings).capacities(settings.buffer_capacity)


def subject_capacities(settings: Settings) -> dict[str, int]:
    """Return the number of rows of each stratum that one subject may hold."""
    return importance_strata.subject_capacities(capacities(settings), settings.subject_share)


def train_after_samples(settings: Settings) -> int:
    """Return the new samples that start a fine-tune: a larger base model takes longer, so it trains less often."""
    if settings.train_after_samples is not None:
        return settings.train_after_samples
    return 1_500 if settings.model == "builtin" else 5_000
