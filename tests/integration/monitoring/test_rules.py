"""The alert and recording rules, checked and run by promtool."""

from pathlib import Path

import pytest

from tests.support.prometheus import promtool
from tests.support.promql import RULES


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", *sorted(RULES.glob("*.yaml")))


@pytest.mark.parametrize("cases", sorted((RULES / "tests").glob("*.yaml")), ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(cases: Path) -> None:
    promtool("test", "rules", cases)
