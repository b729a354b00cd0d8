"""Which rankings a subject belongs to."""

import pytest
import torch
from prometheus_client import CollectorRegistry

from importance.mixture import parse
from monitoring.rank_metrics import RankMetrics
from trainer.scorer import Scorer, ScoringConfig
from weir.roles.rankings import RoutedRankings
from weir.settings import Settings


@pytest.mark.parametrize(("share", "canaries"), [(0.0, 0), (1.0, 50)])
def test_subjects_of_the_canary_have_rankings_of_their_own(share: float, canaries: int) -> None:
    scorer = Scorer(ScoringConfig(parse("uniform")), torch.device("cpu"))
    rankings = RoutedRankings(Settings(canary_share=share), scorer, RankMetrics(CollectorRegistry()))
    active = rankings(None)
    assert sum(rankings(f"subject {number}") is not active for number in range(50)) == canaries
    rankings.close()
