"""The alert and recording rules, checked and run by promtool."""

import re
from pathlib import Path

import pytest

from tests.support.prometheus import promtool
from tests.support.promql import ROOT, RULES


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", *sorted(RULES.glob("*.yaml")))


def test_prometheus_takes_the_scrape_configuration_of_the_documentation(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "metrics.md").read_text(), re.DOTALL)
    (tmp_path / "prometheus.yaml").write_text(block)
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yaml")


@pytest.mark.parametrize("cases", sorted((RULES / "tests").glob("*.yaml")), ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(cases: Path) -> None:
    promtool("test", "rules", cases)
