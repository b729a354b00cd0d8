"""The committed dashboards are those that the builder makes, and show metrics that exist."""

import json
import re
from pathlib import Path

import pytest

from monitoring.dashboards.files import DIRECTORY, texts
from tests.support.dashboards import dashboards, panels, queries
from tests.support.promql import ROOT, documented, unknown

UNITS = set((Path(__file__).parent / "grafana_units.txt").read_text().splitlines())
PANELS = dict(panels())
QUERIES = queries()


def test_the_committed_files_are_what_the_builder_makes() -> None:
    committed = {file.name: file.read_text() for file in DIRECTORY.glob("*")}
    assert committed == texts(), "run python -m monitoring.dashboards"


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_has_a_title_a_unit_a_description_and_queries(name: str) -> None:
    panel = PANELS[name]
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["description"].endswith(".")
    assert panel["targets"]
    assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])
def test_the_panels_of_a_dashboard_have_ids_and_names_of_their_own_and_do_not_overlap(dashboard: dict) -> None:
    for identity in ("id", "title"):
        own = [panel[identity] for panel in dashboard["panels"]]
        assert len(set(own)) == len(own)
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])
def test_a_dashboard_chooses_source_and_cluster_and_marks_promotions_and_rollbacks(dashboard: dict) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "cluster", *(["version"] if dashboard["uid"] == "weir-models" else [])]
    assert [annotation["name"] for annotation in dashboard["annotations"]["list"]] == ["Promotions", "Rollbacks"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - {"__rate_interval", "__all"}
    assert used == set(names)
    queried = [*dashboard["templating"]["list"][1:], *dashboard["annotations"]["list"]]
    queried += [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert {each["datasource"]["uid"] for each in queried} == {"$datasource"}


@pytest.mark.parametrize("name", QUERIES)
def test_every_metric_and_label_in_a_query_exists_and_is_of_the_chosen_cluster(name: str) -> None:
    query = QUERIES[name]
    assert unknown(query) == []
    selected = re.findall(r"(?:cluster:|\b)weir_[\w:]+\{cluster=~|\bprocess_\w+\{cluster=~|\bALERTS\{cluster=~", query)
    assert len(selected) == len(re.findall(r"(?:cluster:|\b)weir_[\w:]+|\bprocess_\w+|\bALERTS\b", query))


def test_every_metric_is_shown_somewhere() -> None:
    shown = " ".join(QUERIES.values()) + (ROOT / "monitoring" / "rules" / "recorded.yaml").read_text()
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in documented()}
    assert {name for name in names if name not in shown} == set()


def test_the_runbook_names_panels_that_exist() -> None:
    emphasised = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", (ROOT / "monitoring" / "runbook.md").read_text())
    named = {" ".join(words.split()) for words in emphasised if " / " in words}
    assert len(named) > 20
    assert named - set(PANELS) == {"Dashboard / Panel"}
