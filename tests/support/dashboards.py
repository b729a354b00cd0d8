"""The committed dashboards: their panels and the queries that Grafana would send."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.promql import ROOT

FILES = ROOT / "monitoring" / "grafana" / "dashboards"
_VARIABLES = {"$__rate_interval": "5m", "$cluster": ".*", "$version": ".*"}


def dashboards() -> list[dict[str, Any]]:
    """Return every dashboard."""
    return [json.loads(file.read_text()) for file in sorted(FILES.glob("*.json"))]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each panel with its name, as the runbook has it: *Dashboard / Panel*."""
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield f"{dashboard['title'].removeprefix('Weir / ')} / {panel['title']}", panel


def queries() -> dict[str, str]:
    """Return every query of every panel and annotation by name, with the values of its variables."""
    found = {f"{name} {target['refId']}": target["expr"] for name, panel in panels() for target in panel["targets"]}
    for dashboard in dashboards():
        for annotation in dashboard["annotations"]["list"]:
            found[f"{dashboard['title']} / {annotation['name']}"] = annotation["target"]["expr"]
    for variable, value in _VARIABLES.items():
        found = {name: query.replace(variable, value) for name, query in found.items()}
    return found
