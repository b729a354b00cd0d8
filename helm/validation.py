"""Let the API server validate what the chart makes of each value set in `ci/`: no field unknown, each value allowed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import helm_python
import yaml
from cluster import Cluster, Object

CHART = Path(__file__).parent / "weir"
_NAMESPACE = "default"


def validate(cluster: Cluster) -> None:
    """Send every object as a dry run, and print their number by kind; raise ValueError with the server's reason."""
    chart = helm_python.Chart.load(CHART)
    latest: dict[str, Object] = {}
    for file in sorted((CHART / "ci").glob("*.yaml")):
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        kinds = Counter[str]()
        for each in _objects(chart.render(given, name="weir", namespace=_NAMESPACE, is_install=True)):
            _send(cluster, each)
            kinds[each["kind"]] += 1
            latest[each["kind"]] = each
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        print(f"  {file.stem}: {kinds.total()} objects accepted: {counts}")
    for kind in ("Deployment", "NetworkPolicy", "ScaledObject", "PrometheusRule"):
        _refused(cluster, latest[kind])


def _refused(cluster: Cluster, accepted: Object) -> None:
    """Show that the validation finds an error: send an object that was accepted, with a field that no kind has."""
    try:
        _send(cluster, accepted | {"spec": accepted["spec"] | {"misspelled": 1}})
    except ValueError as error:
        print(f"  with a wrong field: {error}")
    else:
        raise AssertionError(f"{accepted['kind']} was accepted with an unknown field")


def _send(cluster: Cluster, each: Object) -> None:
    cluster.create(cluster.path(each["apiVersion"], each["kind"], _NAMESPACE), each, dry_run=True)


def _objects(texts: dict[str, str]) -> Iterator[Object]:
    for path, text in texts.items():
        if path.endswith(".yaml"):
            yield from (each for each in yaml.safe_load_all(text) if each is not None)
