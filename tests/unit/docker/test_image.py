"""The Dockerfile: its style, and that it builds what the project's own files describe."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def argument(name: str) -> str:
    """The default of a build argument."""
    found = re.search(rf'^ARG {name}="?([^"\n]*)"?$', DOCKERFILE, re.MULTILINE)
    assert found is not None, name
    return found.group(1)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_uv_is_the_version_of_the_makefile() -> None:
    assert f"UV_VERSION := {argument('UV_VERSION')}\n" in (ROOT / "Makefile").read_text()


def test_the_label_has_the_version_of_the_package() -> None:
    assert argument("VERSION") == PROJECT["project"]["version"]


def test_the_extras_are_those_of_the_package() -> None:
    assert set(argument("EXTRAS").split()) <= set(PROJECT["project"]["optional-dependencies"])


def test_every_package_is_sent_to_the_build_and_nothing_else() -> None:
    first, *allowed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {"docker/install-dependencies", "pyproject.toml", "uv.lock", PROJECT["project"]["readme"], "LICENSE"}
    assert first == "*"
    assert set(allowed) == {f"!{name}" for name in (*packages, *files)} | {"**/__pycache__"}


def test_an_unknown_device_is_refused_in_one_line() -> None:
    script = ROOT / "docker" / "install-dependencies"
    done = subprocess.run([script, "gpu", ""], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "DEVICE is 'gpu'; it must be cpu or cuda\n")


def test_the_image_runs_as_a_user_that_kubernetes_can_judge() -> None:
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, re.MULTILINE)
