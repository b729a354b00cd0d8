"""A Kubernetes control plane on this machine: etcd, API server, controllers and scheduler; kwok simulates the nodes.

Nothing pulls an image or runs a container. Objects are created, validated, scheduled and become ready as on a real
cluster; kwok reports each pod as ready, and one that is not restarted as done.
"""

import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from weir.local.ports import free_port

_READY_SECONDS = 120
_TOKEN = "local-only"  # noqa: S105  # of a server on loopback that ends with its test

Object = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A running control plane: the file that clients read, and requests to its API server."""

    kubeconfig: Path
    client: httpx.Client

    def create(self, path: str, manifest: Object, *, dry_run: bool = False) -> None:
        """Create an object at the path of its kind, with unknown fields refused; raise ValueError with the reason.

        A dry run goes through defaults, validation and admission, and keeps nothing.
        """
        parameters = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        answer = self.client.post(path, json=manifest, params=parameters)
        if answer.is_error:
            raise ValueError(answer.json()["message"])

    def get(self, path: str) -> Object:
        """Return an object or a list of them."""
        return dict(self.client.get(path).raise_for_status().json())

    def patch(self, path: str, change: Object) -> None:
        """Merge a change into an object."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self.client.patch(path, json=change, headers=headers).raise_for_status()

    def delete(self, path: str) -> None:
        """Delete an object, or all of a list, with what they own."""
        self.client.delete(path, params={"propagationPolicy": "Background"}).raise_for_status()

    def path(self, version: str, kind: str, namespace: str) -> str:
        """Return the path of a kind's objects in a namespace, as the API server names it; raise LookupError."""
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in self.get(group)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return f"{group}/namespaces/{namespace}/{resource['name']}"
        raise LookupError(f"the API server has no {kind} of {version}")


@contextmanager
def running(programs: Path, directory: Path, nodes: int = 2) -> Iterator[Cluster]:
    """Run a control plane with nodes that are ready, its data and logs in ``directory``, until the block ends."""
    etcd_port, peer_port, port = (free_port() for _ in range(3))
    etcd = f"http://127.0.0.1:{etcd_port}"
    kubeconfig = _credentials(directory, port)
    with ExitStack() as stack:

        def start(program: str, *options: str) -> _Process:
            return stack.enter_context(_process([str(programs / program), *options], directory / f"{program}.log"))

        peer = f"http://127.0.0.1:{peer_port}"
        start(
            "etcd",
            f"--data-dir={directory / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        server = start(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={directory}",
            f"--token-auth-file={directory / 'tokens.csv'}",
            f"--service-account-issuer=https://127.0.0.1:{port}",
            f"--service-account-key-file={directory / 'key.pem'}",
            f"--service-account-signing-key-file={directory / 'key.pem'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--feature-gates=WatchList=false",  # needs the progress of watches, which this etcd does not report
        )
        server.wait_until((directory / "apiserver.key").exists)  # written after the certificate
        authority = directory / "apiserver.crt"
        client = stack.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {_TOKEN}"},
                verify=ssl.create_default_context(cafile=str(authority)),
                timeout=30,
            )
        )
        server.wait_until(lambda: _answers(client))
        common = (f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0")
        start("kube-controller-manager", *common, f"--service-account-private-key-file={directory / 'key.pem'}")
        start("kube-scheduler", *common)
        stages = directory / "stages.yaml"
        stages.write_text(yaml.safe_dump_all(_stages(programs / "stages")), encoding="utf-8")
        kwok = start("kwok", f"--kubeconfig={kubeconfig}", "--manage-all-nodes=true", f"--config={stages}")
        cluster = Cluster(kubeconfig, client)
        for number in range(nodes):
            _add_node(cluster, f"node-{number}")
        kwok.wait_until(lambda: all(_is_ready(node) for node in cluster.get("/api/v1/nodes")["items"]))
        yield cluster


def _credentials(directory: Path, port: int) -> Path:
    """Write the key of service accounts, the token of an administrator, and the file that clients read."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(*pem))
    (directory / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n', encoding="utf-8")
    kubeconfig = directory / "kubeconfig.yaml"
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(directory / "apiserver.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
        "current-context": "local",
    }
    kubeconfig.write_text(yaml.safe_dump(document), encoding="utf-8")
    return kubeconfig


def _stages(directory: Path) -> Iterator[Object]:
    """Yield kwok's stages. Its own complete the pods of jobs alone: a pod of `helm test` has none."""
    for file in sorted(directory.glob("*.yaml")):
        stage = yaml.safe_load(file.read_text(encoding="utf-8"))
        if stage["metadata"]["name"] == "pod-complete":
            alone = {"key": ".spec.restartPolicy", "operator": "In", "values": ["Never"]}
            stage["spec"]["selector"]["matchExpressions"][-1] = alone
        yield stage


def _add_node(cluster: Cluster, name: str) -> None:
    """Create a node, and remove the taint that a node has until its kubelet reports: kwok runs none."""
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name}
    capacity = {"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "4"}
    status = {"capacity": capacity, "allocatable": capacity}
    cluster.create(
        "/api/v1/nodes",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status},
    )
    cluster.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})


def _is_ready(node: Object) -> bool:
    conditions = node["status"].get("conditions", ())
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


@dataclass(frozen=True)
class _Process:
    """A process and the file of its output."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition; raise SystemExit with the end of the log where the process ends before, or hangs."""
        end = time.monotonic() + _READY_SECONDS
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
                raise SystemExit("\n".join([f"{self.log.stem} is not ready, the last lines of its log are:", *last]))
            time.sleep(0.2)


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[_Process]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"HOME": "/"})
        try:
            yield _Process(process, log)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
