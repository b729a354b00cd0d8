"""The values: documented, bounded by the schema, and refused with a message that names the remedy."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from tests.unit.helm.chart import CHART, ROOT, Object, render, values

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def refusal(changed: Object) -> str:
    """The message for the smallest values with ``changed`` merged into them."""
    with pytest.raises(helm_python.HelmError) as caught:
        render(merged(values("minimal"), changed))
    return str(caught.value)


def merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return new


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"nothing": 1}, "additional properties 'nothing' not allowed"),
        ({"worker": {"replica": 3}}, "at '/worker': additional properties 'replica' not allowed"),
        ({"worker": {"gpu": {"count": "one"}}}, "at '/worker/gpu/count': got string, want integer"),
        ({"config": {"weir_salt": "x"}}, "'weir_salt' does not match pattern '^WEIR_[A-Z_]+$'"),
        ({"kafka": {"bootstrap": "kafka"}}, "at '/kafka/bootstrap': 'kafka' does not match pattern"),
        ({"kafka": {"bootstrap": ""}}, "kafka.bootstrap is empty: name the brokers"),
        ({"database": {"existingSecret": ""}}, "database.existingSecret is empty: name a Secret"),
        ({"artifacts": {"url": "s3://b/m"}}, "artifacts needs exactly one of url and existingClaim"),
        ({"artifacts": {"existingClaim": ""}}, "artifacts needs exactly one of url and existingClaim"),
        ({"image": {"tag": "latest"}}, "image.tag is latest"),
        ({"config": {"WEIR_SALT": "x"}}, "config.WEIR_SALT is a secret: name a Secret in salt.existingSecret"),
        ({"api": {"config": {"WEIR_DATABASE_URL": "x"}}}, "api.config.WEIR_DATABASE_URL is a secret"),
        ({"config": {"WEIR_PARTITIONS": 3}}, "config.WEIR_PARTITIONS is decided by kafka.partitions: remove it"),
        ({"config": {"WEIR_HOME": "/x"}}, "config.WEIR_HOME is decided by the chart: remove it here"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "SASL_SSL needs kafka.sasl.mechanism and"),
        ({"kafka": {"sasl": {"mechanism": "PLAIN"}}}, "kafka.sasl is set, but kafka.securityProtocol is PLAINTEXT"),
        ({"kafka": {"tls": {"existingSecret": "x"}}}, "kafka.tls is set, but kafka.securityProtocol is PLAINTEXT"),
        (
            {"worker": {"autoscaling": {"type": "hpa", "maxReplicas": 5}}},
            "maxReplicas is 5; it must be at most kafka.partitions, 4",
        ),
        (
            {"worker": {"autoscaling": {"type": "hpa", "minReplicas": 4, "maxReplicas": 3}}},
            "minReplicas is 4; it must be at most maxReplicas, 3",
        ),
        ({"worker": {"autoscaling": {"type": "keda"}}}, "worker.autoscaling.prometheusUrl is empty"),
        ({"api": {"expose": True}}, "api.expose needs either api.tls.existingSecret, or api.plaintext"),
        (
            {"api": {"expose": True, "plaintext": True}, "metrics": {"monitor": {"enabled": True}}},
            "metrics.monitor.token.existingSecret is empty",
        ),
        ({"api": {"config": {"WEIR_API_HOST": "::"}}}, "api.config.WEIR_API_HOST is decided by api: remove it"),
        ({"metrics": {"rules": {"enabled": True}}}, "metrics.rules.enabled needs api.expose"),
        ({"ingress": {"enabled": True}}, "ingress.enabled needs api.expose and ingress.hosts"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_with_the_reason(changed: Object, part: str) -> None:
    assert part in refusal(changed)


def test_all_that_does_not_fit_together_is_named_at_once() -> None:
    message = refusal({"kafka": {"bootstrap": ""}, "database": {"existingSecret": ""}})
    assert "kafka.bootstrap" in message
    assert "database.existingSecret" in message


def test_the_schema_refuses_unknown_keys_at_every_level() -> None:
    def open_objects(schema: Object, path: str) -> Iterator[str]:
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for name, child in (schema.get("properties", {}) | schema.get("$defs", {})).items():
            yield from open_objects(child, f"{path}/{name}")

    assert list(open_objects(SCHEMA, "")) == []


def test_schema_and_values_have_the_same_keys() -> None:
    def resolved(schema: Object) -> Object:
        return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def compare(schema: Object, given: Object, path: str) -> Iterator[str]:
        known = resolved(schema).get("properties")
        if known is None:
            return
        if set(known) - {"global"} != set(given):
            yield f"{path}: {sorted((set(known) - {'global'}) ^ set(given))}"
        for name, child in known.items():
            if isinstance(given.get(name), dict):
                yield from compare(child, given[name], f"{path}/{name}")

    assert list(compare(SCHEMA, yaml.safe_load((CHART / "values.yaml").read_text()), "")) == []


def test_the_readme_is_up_to_date_and_has_every_value() -> None:
    script = ROOT / "helm" / "readme.py"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0, "run python helm/readme.py"
    text = (CHART / "README.md").read_text()
    undocumented = [
        path
        for path in _leaves(yaml.safe_load((CHART / "values.yaml").read_text()), "")
        if not any(f"| `{path.rsplit('.', cut)[0]}` |" in text for cut in range(3))
    ]
    assert undocumented == []


def _leaves(given: Object, path: str) -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_the_values_of_the_guide_render() -> None:
    guide = (ROOT / "docs" / "operations" / "install.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert render(yaml.safe_load(block))


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
