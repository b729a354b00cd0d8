"""Alerts, their tests and the runbook belong together, and name what exists."""

import re
from typing import Any

import pytest
import yaml

from tests.support.dashboards import queries
from tests.support.promql import ROOT, RULES, rules, unknown

ALERTS = {rule["alert"]: rule for rule in rules("alert")}
RUNBOOK = (ROOT / "monitoring" / "runbook.md").read_text()
PUBLIC = set((ROOT / "tests" / "contract" / "public_names.txt").read_text().splitlines())


def promtool_tests() -> list[dict[str, Any]]:
    return [
        test for file in sorted((RULES / "tests").glob("*.yaml")) for test in yaml.safe_load(file.read_text())["tests"]
    ]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_severity_and_texts_and_shows_its_value(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"warning", "critical", "{{ $labels.severity }}"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "$value" in rule["annotations"]["description"]


@pytest.mark.parametrize("alert", ALERTS)
def test_the_runbook_has_the_section_that_an_alert_leads_to(alert: str) -> None:
    path, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert (ROOT / path).samefile(ROOT / "monitoring" / "runbook.md")
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert anchor == alert.lower()


def test_the_runbook_has_a_section_for_each_alert_in_their_order_each_with_the_same_parts() -> None:
    sections = re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:]
    assert [section.split("\n")[0] for section in sections] == list(ALERTS)
    parts = ["Meaning.", "Impact.", "Look at.", "Do.", "Roll back?"]
    assert [re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE) for section in sections] == [parts] * len(ALERTS)


def test_each_command_of_the_runbook_exists_with_its_options() -> None:
    for code in re.findall(r"`(weir\s[^`]+)`", RUNBOOK) + re.findall(r"^(weir [^#\n]+)", RUNBOOK, re.MULTILINE):
        name = " ".join(re.findall(r"\S+", code)[1:]).partition(" --")[0]
        name = re.sub(r" [A-Z]+$", "", name).strip()
        assert f"command {name}" in PUBLIC, code
        for option in re.findall(r"--[\w-]+", code):
            assert f"command {name} {option}" in PUBLIC, code


def test_each_setting_of_the_runbook_exists() -> None:
    assert {f"setting {name}" for name in re.findall(r"WEIR_\w+", RUNBOOK)} - PUBLIC == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_promtool_lets_each_alert_fire_and_keeps_it_silent(alert: str) -> None:
    own = [test for test in promtool_tests() if test["name"].startswith(f"{alert} ")]
    fired: dict[str, list[bool]] = {"fires": [], "is": []}
    for test in own:
        checks = [check for check in test["alert_rule_test"] if check["alertname"] == alert]
        fired[test["name"].split()[1]].append(any(check["exp_alerts"] for check in checks))
    assert fired["fires"]
    assert fired["is"]
    assert all(fired["fires"])
    assert not any(fired["is"])


@pytest.mark.parametrize("rule", rules("alert") + rules("record"), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_and_label_in_a_rule_exists(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == []


def test_nothing_adds_up_what_each_replica_of_the_api_exports_alike() -> None:
    table = (ROOT / "docs" / "metrics.md").read_text()
    shared = set(re.findall(r"^\| `(weir_\w+)[^|]*\| \w+ \| api \|", table, re.MULTILINE))
    shared = {name for name in shared if not name.startswith(("weir_http_", "weir_rank_"))}  # each replica's own
    assert len(shared) > 10
    queried = [rule["expr"] for rule in rules("alert") + rules("record")] + list(queries().values())
    added = re.compile(r"\b(?:sum|avg)(?: by \([^)]*\))? ?\((?:(?:rate|increase)\()?(weir_\w+)")
    assert {name for query in queried for name in added.findall(query)} & shared == set()


def test_a_metric_or_label_that_does_not_exist_is_found() -> None:
    assert unknown('sum by (cluster, shop) (weir_samples_total{surface="ad", city=~"B.*"}) / weir_sample_total') == [
        "weir_samples_total{city}",
        "weir_sample_total",
        "shop",
    ]
