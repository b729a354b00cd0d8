"""Importance: what scores a sample, and how a score becomes a weight."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from importance.errors import InvalidInput
from importance.mixture import parse
from weir.settings.sections.base import Section


def _estimator(text: str) -> str:
    try:
        return str(parse(text))
    except InvalidInput as error:
        raise ValueError(str(error)) from error


EstimatorText = Annotated[str, AfterValidator(_estimator)]


class Importance(Section):
    """Estimator, guard and selection."""

    estimator: EstimatorText = Field(
        default="last_layer_norm",
        description="what computes importance: one estimator, or a sum like rho+entropy or 0.5*entropy+0.5*novelty",
    )
    noise_guard: Literal["none", "holdout"] = Field(
        default="none",
        description="holdout: importance times what a last layer fitted to unweighted samples predicts of the label",
    )
    selection: Literal["proportional", "top_fraction"] = Field(
        default="proportional", description="how importance becomes a weight; top_fraction is biased on purpose"
    )
    top_fraction: float = Field(default=0.1, gt=0, le=1, description="the share of samples that top_fraction admits")
    selection_floor: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="least weight of a sample, as a share of the mean; bounds training weights at about 1 / floor",
    )
