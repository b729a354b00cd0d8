"""The chart, rendered for the value sets of ``helm/weir/ci``, each once a session."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "weir"
SETS = sorted(file.stem for file in (CHART / "ci").glob("*.yaml"))
ROLES = ("worker", "trainer", "api")

Object = dict[str, Any]


def values(name: str) -> Object:
    """The value set of that name."""
    return dict(yaml.safe_load((CHART / "ci" / f"{name}.yaml").read_text()))


@cache
def loaded() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def render(given: Object) -> dict[str, str]:
    """The text of each template, as an install of the release ``weir`` into the namespace ``shop`` has it."""
    return loaded().render(given, name="weir", namespace="shop", is_install=True)


@cache
def objects(name: str) -> tuple[Object, ...]:
    """All objects that a value set makes."""
    texts = render(values(name)).items()
    found = (each for path, text in texts if path.endswith(".yaml") for each in yaml.safe_load_all(text))
    return tuple(each for each in found if each is not None)


def of_kind(name: str, kind: str) -> dict[str, Object]:
    """The objects of a kind that a value set makes, by name."""
    return {each["metadata"]["name"]: each for each in objects(name) if each["kind"] == kind}


def pods(name: str) -> Iterator[tuple[str, Object]]:
    """Each pod's label and specification: of Deployments, Jobs and the test."""
    for each in objects(name):
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]
        elif "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def environment(pod: Object) -> dict[str, str]:
    """The literal variables of a pod's container."""
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"] if "value" in each}
