"""What a PromQL expression names: the metrics it selects and the labels it uses. Not a parser; promtool is."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring" / "rules"

_TARGET = {"cluster", "instance", "job"}  # a scrape configuration adds them to every series
_RECORDED = {"objective", "window", "severity"}  # recording rules add them
_OTHERS = {
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_open_fds": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity"},
}
_SELECTED = re.compile(r"((?:\bcluster:|\b)weir_[\w:]+|\bprocess_\w+|\bALERTS\b)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def rules(kind: str) -> list[dict[str, Any]]:
    """Return every rule of a kind, ``alert`` or ``record``."""
    files = [yaml.safe_load(file.read_text()) for file in sorted(RULES.glob("*.yaml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"] if kind in rule]


def unknown(expression: str) -> list[str]:
    """Return the metrics of an expression that nothing exports or records, and the labels that none of them has."""
    series = documented() | _OTHERS | {rule["record"]: _RECORDED for rule in rules("record")}
    found, labels = [], set(_TARGET)
    for name, selector in _SELECTED.findall(expression):
        own = series.get(name)
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        found += [name] if own is None else [f"{name}{{{label}}}" for label in sorted(used - own - _TARGET)]
        labels |= own or set()
    grouped = {label.strip() for group in _GROUPED.findall(expression) for label in group.split(",")} - {""}
    return found + sorted(grouped - labels)


def unfiltered(expression: str) -> str:
    """Return the expression without what makes it empty while all is well: bounds, and the test for absence.

    >>> unfiltered("max(a) > 3 unless sum(increase(b[1h])) > 0")
    'max(a) > bool 3 and sum(increase(b[1h])) > bool 0'
    """
    compared = re.sub(r" (>|<|>=|<=|==)\s", r" \1 bool ", re.sub(r"\s+", " ", expression))
    burning = compared.replace("weir_objective:burning", "weir_objective:burn_rate")
    return burning.replace(" unless ", " and ").replace("absent(", "count(")


def documented() -> dict[str, set[str]]:
    """Return the series of docs/metrics.md with their labels; a histogram is three of them."""
    table = (ROOT / "docs" / "metrics.md").read_text()
    found = {}
    for name, names, kind in re.findall(r"^\| `(weir_\w+)(?:\{([^}]*)\})?` \| (\w+) \|", table, re.MULTILINE):
        labels = set(names.split(",")) - {""}
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
        else:
            found[name] = labels
    return found
