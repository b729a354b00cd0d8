"""A Prometheus that scrapes the metrics endpoints of a test's roles and evaluates the rules."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.prometheus import program
from tests.support.promql import RULES
from tests.support.waiting import until
from weir.local.ports import LOOPBACK, answers, free_port
from weir.local.process import Child

CLUSTER = "test"


class PrometheusServer(Child):
    """``prometheus`` in ``home``, scraping the addresses of each job every second; skips the test without one."""

    def __init__(self, home: Path, jobs: Mapping[str, Sequence[str]]) -> None:
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in sorted(RULES.glob("*.yaml"))],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": targets, "labels": {"cluster": CLUSTER}}]}
                for job, urls in jobs.items()
                for targets in [[url.removeprefix("http://") for url in urls]]
            ],
        }
        home.mkdir()
        (home / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
        address = f"{LOOPBACK}:{free_port()}"
        self.url = f"http://{address}"
        command = [
            str(program("prometheus")),
            f"--config.file={home / 'prometheus.yaml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        super().__init__("prometheus", command, home / "prometheus.log")

    def start(self) -> None:
        """Start it; return when it answers."""
        super().start()
        until("Prometheus", lambda: answers(f"{self.url}/-/ready"), state=lambda: self.log_tail(3))

    def query(self, expression: str) -> list[Any]:
        """Return the series or the scalar of an expression now; fail where it is not valid."""
        result: list[Any] = self._get("query", query=expression)["result"]
        return result

    def failures(self) -> list[str]:
        """Return the rules whose last evaluation failed, with the reason."""
        evaluated = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule.get('lastError')}" for rule in evaluated if rule["health"] != "ok"]

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        data: dict[str, Any] = answer["data"]
        return data
