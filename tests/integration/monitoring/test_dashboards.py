"""Every query of the dashboards is valid PromQL, by promtool."""

from pathlib import Path

import yaml

from tests.support.dashboards import queries
from tests.support.prometheus import promtool


def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries().values())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)
