"""Rehearse the chart on a real API server: install, upgrade, roll back, uninstall. `make test-chart` runs it.

No container runs: kwok reports each pod as ready and each job as done. What is shown is that the API server takes every
object, that hooks run in their order, and that each step of a release ends.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import helm_python
from cluster import Cluster, build, running

from weir.local.install import tools_directory

CHART = Path(__file__).parent / "weir"
NAMESPACE = "weir"
STEP_SECONDS = 180
ROLES = ("worker", "trainer", "api")
VALUES = {
    "kafka": {"bootstrap": "kafka.example:9092", "partitions": 8},
    "database": {"existingSecret": "weir-postgres"},
    "artifacts": {"url": "s3://weir-models/rehearsal"},
    "api": {"expose": True, "plaintext": True},
    "ingress": {"enabled": True, "hosts": ["weir.example"]},
    "metrics": {
        "monitor": {"enabled": True, "token": {"existingSecret": "weir-prometheus-token"}},
        "rules": {"enabled": True},
        "dashboards": {"enabled": True},
    },
}
UPGRADE = {
    "worker": {
        "gpu": {"count": 1},
        "autoscaling": {"type": "keda", "maxReplicas": 8, "prometheusUrl": "http://prometheus.example:9090"},
    },
    "config": {"WEIR_BUFFER_CAPACITY": 20_000},
}
CUSTOM = {
    "keda.sh/v1alpha1": ("ScaledObject",),
    "monitoring.coreos.com/v1": ("PodMonitor", "ServiceMonitor", "PrometheusRule"),
}


def main() -> int:
    """Rehearse; return the exit status."""
    programs = build(tools_directory())
    with TemporaryDirectory(prefix="weir-cluster-") as directory, running(programs, Path(directory)) as cluster:
        for definition in _definitions():
            cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        rehearse(cluster)
    return 0


def rehearse(cluster: Cluster) -> None:
    """Take one release through its life; raise HelmError or AssertionError at the first step that fails."""
    with helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=NAMESPACE) as helm:
        options: dict[str, Any] = {"namespace": NAMESPACE, "timeout": STEP_SECONDS, "wait": "watcher"}
        helm.install(str(CHART), "weir", VALUES, create_namespace=True, **options)
        _report("installed", cluster)
        helm.upgrade(str(CHART), "weir", VALUES | UPGRADE, **options)
        assert _names(cluster, "apis/keda.sh/v1alpha1", "scaledobjects"), "the upgrade made no ScaledObject"
        _report("upgraded", cluster)
        helm.rollback("weir", version=1, timeout=STEP_SECONDS, wait="watcher")
        assert not _names(cluster, "apis/keda.sh/v1alpha1", "scaledobjects"), "the rollback left a ScaledObject"
        _report("rolled back", cluster)
        helm.uninstall("weir", timeout=STEP_SECONDS, wait="watcher")
        assert not _names(cluster, "apis/apps/v1", "deployments"), "the uninstallation left a Deployment"
        print("uninstalled")


def _report(step: str, cluster: Cluster) -> None:
    """Print the roles with their ready replicas; raise AssertionError where a replica is not ready."""
    found = cluster.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")["items"]
    ready = {
        each["metadata"]["name"]: (each["status"].get("readyReplicas", 0), each["spec"]["replicas"]) for each in found
    }
    assert len(ready) == len(ROLES), f"{step}: {ready}"
    assert all(here == wanted for here, wanted in ready.values()), f"{step}: {ready}"
    print(f"{step}: {', '.join(f'{name} {here}/{wanted}' for name, (here, wanted) in sorted(ready.items()))}")


def _names(cluster: Cluster, group: str, plural: str) -> list[str]:
    found = cluster.get(f"/{group}/namespaces/{NAMESPACE}/{plural}")["items"]
    return [each["metadata"]["name"] for each in found]


def _definitions() -> Iterator[dict[str, Any]]:
    """Yield definitions of the operators' kinds that take any field: unit tests hold them to the real schemas."""
    for group_version, kinds in CUSTOM.items():
        group, version = group_version.split("/")
        for kind in kinds:
            plural = f"{kind.lower()}s"
            schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            yield {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}"},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [
                        {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
                    ],
                },
            }


if __name__ == "__main__":
    sys.exit(main())
