"""A worker as a process of its own, and what it says of itself."""

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from weir.local.process import Child


class WorkerProcess(Child):
    """``weir worker`` with the settings of an environment."""

    def __init__(self, name: str, home: Path, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "weir", "worker"]
        super().__init__(name, command, home / f"{name}.log", environment=environment)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log about one kind of event, of all its runs."""
        lines = [json.loads(line) for line in self.log_tail(100_000) if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line.get("event") == event]

    def metrics(self) -> dict[str, Metric]:
        """The figures on its page, by name; empty while there is no page, or nobody to answer."""
        pages = self.said("metrics endpoint started")
        try:
            with urllib.request.urlopen(f"{pages[-1]['url']}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except (IndexError, OSError):
            return {}
        return {family.name: family for family in text_string_to_metric_families(text)}

    def total(self, counter: str) -> int:
        """A counter of the present run, summed over its labels; 0 while there is nobody to answer."""
        family = self.metrics().get(counter)
        return int(sum(x.value for x in family.samples if x.name.endswith("_total"))) if family else 0

    @property
    def partitions(self) -> set[int]:
        """The partitions that are this worker's."""
        lag = self.metrics().get("weir_ingest_lag_records")
        return {int(sample.labels["partition"]) for sample in lag.samples} if lag else set()
