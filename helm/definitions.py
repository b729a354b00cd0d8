"""Definitions of the resources of KEDA and the Prometheus operator, with the schemas of the operators' own fields."""

from collections.abc import Iterator
from typing import Any

from cloudcoil.models.keda import v1alpha1
from cloudcoil.models.prometheus_operator import v1

Schema = dict[str, Any]

_KINDS = {
    "keda.sh/v1alpha1": (v1alpha1.ScaledObject,),
    "monitoring.coreos.com/v1": (v1.PodMonitor, v1.ServiceMonitor, v1.PrometheusRule),
}
_KEPT = ("type", "enum", "pattern", "required")  # what a structural schema may have of a field


def definitions() -> Iterator[dict[str, Any]]:
    """Yield a CustomResourceDefinition of each kind that the chart can make."""
    for group_version, models in _KINDS.items():
        group, version = group_version.split("/")
        for model in models:
            kind, schema = model.__name__, model.model_json_schema()
            properties = {
                name: _structural(schema["properties"][name], schema["$defs"])
                for name in ("spec", "status")
                if name in schema["properties"]
            }
            opened = {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}}
            yield {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{kind.lower()}s.{group}"},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()},
                    "versions": [{"name": version, "served": True, "storage": True, "schema": opened}],
                },
            }


def _structural(schema: Schema, named: dict[str, Schema]) -> Schema:
    """Return a JSON schema as Kubernetes has them: no references, one type a field, an optional field without null."""
    if "$ref" in schema:
        return _structural(named[schema["$ref"].rpartition("/")[2]], named)
    if "anyOf" in schema:
        choices = [_structural(each, named) for each in schema["anyOf"] if each.get("type") != "null"]
        return choices[0] if len(choices) == 1 else {"x-kubernetes-int-or-string": True}
    result = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        result["properties"] = {name: _structural(each, named) for name, each in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(schema["additionalProperties"], named)
    if "items" in schema:
        result["items"] = _structural(schema["items"], named)
    return result
