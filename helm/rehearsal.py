"""Rehearse the chart on a real API server, and print what happens. `make test-chart` runs it.

No container runs: kwok reports each pod as ready and each job as done. What is shown is that the API server takes every
object, that hooks run in their order, that selectors find their pods, and that each step of a release ends.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import helm_python
from cluster import Cluster, running
from definitions import definitions
from programs import build
from release import Release, until
from validation import CHART, validate

from weir.local.install import tools_directory
from weir.process.signals import handled, hangup, interrupt

NAMESPACE = "weir"
STEP_SECONDS = 180
VALUES: dict[str, Any] = {
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
NEWER = VALUES | {"image": {"tag": "0.1.1"}, "config": {"WEIR_BUFFER_CAPACITY": 20_000}}
FAILING = VALUES | {
    "image": {"tag": "0.1.2"},
    "jobs": {"deadlineSeconds": 10},
    "commonLabels": {"pod-container-running-failed.stage.kwok.x-k8s.io": "true"},  # kwok ends the job's pods with 1
}
SCALED = VALUES | {"worker": {"autoscaling": {"type": "hpa", "minReplicas": 3, "maxReplicas": 8}}}
KEDA = VALUES | {
    "worker": {
        "gpu": {"count": 1},
        "autoscaling": {"type": "keda", "maxReplicas": 8, "prometheusUrl": "http://prometheus.example:9090"},
    }
}
WRONG = (
    VALUES | {"worker": {"replica": 3}},
    VALUES | {"kafka": {"bootstrap": ""}, "database": {"existingSecret": ""}},
)


def main() -> int:
    """Rehearse; return the exit status."""
    programs = build(tools_directory())
    with TemporaryDirectory(prefix="weir-cluster-") as directory, running(programs, Path(directory)) as cluster:
        print(f"API server {cluster.get('/version')['gitVersion']}, Helm {helm_python.helm_sdk_version()}")
        with _step("definitions of the operators' kinds"):
            _define(cluster)
        with _step("validate each value set, strictly"):
            validate(cluster)
        with helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=NAMESPACE) as helm:
            Rehearsal(helm, Release(cluster, NAMESPACE, "weir")).run()
    return 0


@dataclass(frozen=True)
class Rehearsal:
    """One release from its installation to its end; HelmError or AssertionError at the first step that fails."""

    helm: helm_python.Config
    release: Release

    def run(self) -> None:
        """Take all steps."""
        with _step("install with wrong values"):
            self.refuse()
        with _step("install with a migration that fails, into a namespace of the Pod Security level restricted"):
            self.fail_to_install()
        with _step("uninstall, and install again"):
            self.install()
        with _step("helm test"):
            self.helm.test("weir", timeout=STEP_SECONDS)
            print(f"  weir-check: {self.release.objects('v1', 'Pod')['weir-check']['status']['phase']}")
        with _step("upgrade to another image"):
            self.upgrade()
        with _step("upgrade with a migration that fails"):
            self.fail()
        with _step("rollback to revision 1"):
            self.roll_back(1)
        with _step("workers scaled to 4 by hand, then an upgrade"):
            self._scale_by_hand(4)
            with _failure():
                self._change(NEWER)
        with _step("workers scaled to 0 by hand, then rollback to revision 2"):
            self._scale_by_hand(0)
            self.roll_back(2)
        with _step("workers scaled by hpa"):
            self.scale()
        with _step("workers on GPUs, scaled by keda"):
            self._change(KEDA)
            self.release.print_roles()
        with _step("rollback to revision 1 and its fixed number of workers"):
            self.roll_back(1)
        with _step("history"):
            self._print_history()
        with _step("uninstall"):
            self.uninstall()

    def refuse(self) -> None:
        """Values that are unknown or do not fit together end the installation before there is any object."""
        for values in WRONG:
            with _failure():
                self._install(values, create_namespace=True)
        assert self.helm.list(all_states=True) == []
        assert not self._namespaces() & {NAMESPACE}

    def fail_to_install(self) -> None:
        """A job that fails ends the installation before there is a role."""
        level = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": level}}
        self.release.cluster.create("/api/v1/namespaces", namespace)
        self._refuse_pod()
        with _failure():
            self._install(FAILING)
        self._print_kinds()
        assert "Deployment" not in self.release.kinds()

    def _refuse_pod(self) -> None:
        """Show that the level is enforced: a pod that asks for nothing is refused."""
        pod = {"metadata": {"name": "any"}, "spec": {"containers": [{"name": "any", "image": "any"}]}}
        try:
            self.release.cluster.create(f"/api/v1/namespaces/{NAMESPACE}/pods", pod, dry_run=True)
        except ValueError as error:
            print(f"  another pod: {error}")
        else:
            raise AssertionError("the namespace takes any pod")

    def install(self) -> None:
        """Jobs first, in their order; then all roles become ready."""
        self.helm.uninstall("weir", timeout=STEP_SECONDS, wait="watcher")
        self._install(VALUES)
        self.release.print_jobs("weir-migrate", "weir-topics", "weir-first-version")
        self.release.print_roles()
        self.release.print_endpoints()
        self._print_kinds()

    def upgrade(self) -> None:
        """Migration and topics first, again; no first version."""
        before = self.release.jobs()
        self._change(NEWER)
        again = {name for name, uid in self.release.jobs().items() if uid != before[name]}
        assert again == {"weir-migrate", "weir-topics"}, again
        self.release.print_jobs("weir-migrate", "weir-topics")
        self.release.print_roles()

    def fail(self) -> None:
        """A job that fails ends the upgrade with the roles as they were."""
        before = self.release.images()
        with _failure():
            self._change(FAILING)
        assert self.release.images() == before
        print(f"  the release is {self.helm.status('weir')['status']}")
        self.release.print_roles()

    def roll_back(self, revision: int) -> None:
        """Roles are what they were; no job runs."""
        before = self.release.jobs()
        self.helm.rollback("weir", version=revision, timeout=STEP_SECONDS, wait="watcher")
        assert self.release.jobs() == before
        self.release.print_roles()

    def scale(self) -> None:
        """An autoscaler decides the number of workers, and upgrades keep it."""
        self._change(SCALED)
        until(lambda: self.release.replicas("weir-worker") == 3, "3 workers")
        print("  the autoscaler made it 3 workers, its minReplicas")
        self._change(SCALED | {"image": {"tag": "0.1.1"}})
        assert self.release.replicas("weir-worker") == 3, "an upgrade reset the number of workers"
        self.release.print_roles()

    def uninstall(self) -> None:
        """What hooks made stays, as the guide says, and is deleted by label."""
        self.helm.uninstall("weir", timeout=STEP_SECONDS, wait="watcher")
        self._print_kinds()
        for version, kind in (("batch/v1", "Job"), ("v1", "ServiceAccount"), ("v1", "Pod")):
            path = self.release.cluster.path(version, kind, NAMESPACE)
            self.release.cluster.delete(f"{path}?labelSelector=app.kubernetes.io/instance=weir")
        until(lambda: not self.release.kinds() and not self.release.objects("v1", "Pod"), "nothing left")
        print("  after their deletion by label nothing is left")

    def _install(self, values: dict[str, Any], *, create_namespace: bool = False) -> None:
        self.helm.install(
            str(CHART),
            "weir",
            values,
            namespace=NAMESPACE,
            create_namespace=create_namespace,
            timeout=STEP_SECONDS,
            wait="watcher",
        )

    def _change(self, values: dict[str, Any]) -> None:
        self.helm.upgrade(str(CHART), "weir", values, namespace=NAMESPACE, timeout=STEP_SECONDS, wait="watcher")

    def _scale_by_hand(self, replicas: int) -> None:
        path = f"{self.release.cluster.path('apps/v1', 'Deployment', NAMESPACE)}/weir-worker/scale"
        self.release.cluster.patch(f"{path}?fieldManager=kubectl", {"spec": {"replicas": replicas}})

    def _print_kinds(self) -> None:
        print(f"  objects: {', '.join(f'{kind} {count}' for kind, count in sorted(self.release.kinds().items()))}")

    def _print_history(self) -> None:
        for each in self.helm.history("weir"):
            print(f"  {each['revision']}: {each['status']}")

    def _namespaces(self) -> set[str]:
        return {each["metadata"]["name"] for each in self.release.cluster.get("/api/v1/namespaces")["items"]}


@contextmanager
def _step(what: str) -> Iterator[None]:
    print(what, flush=True)
    started = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def _failure() -> Iterator[None]:
    """Print the error by which Helm ends the block; raise AssertionError where there is none."""
    try:
        yield
    except helm_python.HelmError as error:
        print(*(f"  {line}" for line in str(error).strip().splitlines()), sep="\n")
    else:
        raise AssertionError("no error of Helm where one is due")


def _define(cluster: Cluster) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for definition in definitions():
        cluster.create(path, definition)
        name = definition["metadata"]["name"]
        until(partial(_is_served, cluster, f"{path}/{name}"), name)


def _is_served(cluster: Cluster, path: str) -> bool:
    conditions = cluster.get(path).get("status", {}).get("conditions") or ()
    return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)


if __name__ == "__main__":
    with handled(interrupt, signal.SIGTERM, *hangup()):  # no server may be left
        sys.exit(main())
