"""What the API server holds of one release, printed; a check raises AssertionError where a promise is broken."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from cluster import Cluster, Object

_SECONDS = 60
_KINDS = {
    "v1": ("ConfigMap", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("Job",),
    "keda.sh/v1alpha1": ("ScaledObject",),
    "monitoring.coreos.com/v1": ("PodMonitor", "PrometheusRule", "ServiceMonitor"),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
}


@dataclass(frozen=True)
class Release:
    """The objects with the label of a release in a namespace."""

    cluster: Cluster
    namespace: str
    name: str

    def objects(self, version: str, kind: str) -> dict[str, Object]:
        """Return the objects of a kind by name."""
        path = self.cluster.path(version, kind, self.namespace)
        items = self.cluster.get(f"{path}?labelSelector=app.kubernetes.io/instance={self.name}")["items"]
        return {each["metadata"]["name"]: each for each in items}

    def kinds(self) -> Counter[str]:
        """Return how many objects there are of each kind that the chart makes."""
        found = {kind: len(self.objects(version, kind)) for version, kinds in _KINDS.items() for kind in kinds}
        return +Counter(found)

    def jobs(self) -> dict[str, str]:
        """Return the unique ids of the jobs by name: a job that runs again is another object."""
        return {name: each["metadata"]["uid"] for name, each in self.objects("batch/v1", "Job").items()}

    def images(self) -> dict[str, str]:
        """Return the image of each Deployment."""
        deployments = self.objects("apps/v1", "Deployment").items()
        return {name: each["spec"]["template"]["spec"]["containers"][0]["image"] for name, each in deployments}

    def replicas(self, name: str) -> int:
        """Return how many pods a Deployment asks for."""
        return int(self.objects("apps/v1", "Deployment")[name]["spec"]["replicas"])

    def print_jobs(self, *names: str) -> None:
        """Check that each job ended before the next one was made, and the last before the pods of the roles were."""
        jobs = self.objects("batch/v1", "Job")
        spans = [(_created(jobs[name]), jobs[name]["status"]["completionTime"]) for name in names]
        first_pod = min(_created(pod) for pod in self._pods())
        for (_, ended), (created, _) in pairwise([*spans, (first_pod, "")]):
            assert ended <= created, f"{names}: {spans}, first pod {first_pod}"
        for name, (created, ended) in zip(names, spans, strict=True):
            print(f"  job {name}: {created[11:-1]} to {ended[11:-1]}")
        print(f"  first pod of a role: {first_pod[11:-1]}")

    def print_roles(self) -> None:
        """Check that every replica is ready, in pods of the Deployment's image, and that the budgets find the pods."""
        images, wanted = self.images(), {}
        for name, each in sorted(self.objects("apps/v1", "Deployment").items()):
            wanted[name] = each["spec"]["replicas"]
            ready = each["status"].get("readyReplicas", 0)
            assert ready == wanted[name] == each["status"]["updatedReplicas"], f"{name}: {each['status']}"
            print(f"  {name}: {ready}/{wanted[name]} ready, {images[name]}")
        assert len(wanted) == 3, wanted  # roles
        assert {pod["spec"]["containers"][0]["image"] for pod in self._pods()} == set(images.values())
        until(lambda: self._budgeted() == wanted, f"budgets that find all pods: {wanted}")
        print(f"  budgets find {', '.join(f'{name} {count}' for name, count in sorted(self._budgeted().items()))}")

    def print_endpoints(self) -> None:
        """Check that the Service leads to the pods of the api."""
        wanted = self.replicas(f"{self.name}-api")
        until(lambda: len(self._endpoints()) == wanted, f"{wanted} endpoints of the Service")
        print(f"  endpoints of Service {self.name}-api: {', '.join(self._endpoints())}")

    def _pods(self) -> list[Object]:
        """The pods of Deployments that are not being deleted."""
        return [
            pod
            for pod in self.objects("v1", "Pod").values()
            if "pod-template-hash" in pod["metadata"]["labels"] and "deletionTimestamp" not in pod["metadata"]
        ]

    def _budgeted(self) -> dict[str, int]:
        budgets = self.objects("policy/v1", "PodDisruptionBudget").items()
        return {name: each["status"].get("currentHealthy", 0) for name, each in budgets}

    def _endpoints(self) -> list[str]:
        slices = self.objects("discovery.k8s.io/v1", "EndpointSlice").values()
        return [
            f"{address}:{each['ports'][0]['port']}"
            for each in slices
            for endpoint in each["endpoints"] or ()
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
        ]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what controllers do after a change; raise AssertionError where it does not come."""
    end = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < end, f"not within {_SECONDS} s: {what}"
        time.sleep(0.2)


def _created(each: Object) -> str:
    return str(each["metadata"]["creationTimestamp"])
