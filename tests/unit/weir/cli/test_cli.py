"""The command line without services: usage, errors, exit status, and that the docs name every command and option."""

import json
import re
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command

from weir import settings
from weir.cli import create_app, run
from weir.local.lock import locked

DOCS = Path(__file__).parents[4] / "docs" / "commands.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside, and an empty folder to work in."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command's words, and its options and arguments."""

    def walk(command: object, words: str) -> Iterator[tuple[str, list[str]]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            names = [max(parameter.opts, key=len) for parameter in command.params]  # type: ignore[attr-defined]
            yield words, [name for name in names if name != "--help"]
        else:
            for name, below in inner.items():
                yield from walk(below, f"{words} {name}".strip())

    yield from walk(get_command(create_app()), "")


COMMANDS = dict(commands())


def test_every_command_of_the_contract_exists() -> None:
    assert set(COMMANDS) == {
        "up", "worker", "trainer", "api", "migrate", "topics", "check", "status", "settings", "replay",
        "models init", "models list", "models show", "models promote", "models rollback", "models freeze",
        "models unfreeze", "models log", "models lift", "models diff",
        "models export", "models import", "models card", "models mirror", "train runs", "train run", "train decisions",
        "models lineage",
        "train simulate",
        "buffer stats", "buffer explain", "buffer rescore", "buffer export", "dead-letters list",
        "dead-letters redrive", "benchmark importance", "score", "partitions list", "partitions reset",
        "audit", "tokens create", "tokens list", "tokens revoke", "drift show", "drift alarms", "drift restart",
        "selection show",
        "erase",
    }  # fmt: skip
    assert {"--replay", "--no-replay", "--limit", "--once", "--json", "--fresh", "--speed"} == set(COMMANDS["up"])
    assert {"--to", "--reason", "--actor", "--json"} == set(COMMANDS["models rollback"])


def test_the_version_is_printed_and_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"weir {version('weirstream')}\n"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert "Usage: weir " + words in " ".join(shown.out.split())
    assert shown.err == ""


def test_every_command_has_its_heading_in_the_docs_with_its_options_and_the_other_way_round() -> None:
    sections = re.split(r"^### ", DOCS.read_text(), flags=re.MULTILINE)[1:]
    documented = {}
    for section in sections:
        heading, _, text = section.partition("\n")
        words = re.match(r"`weir ([a-z -]+?)(?: [A-Z]+)?`$", heading)
        assert words is not None, heading
        documented[words[1]] = set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE))
    options = {words: {name for name in names if name.startswith("--")} for words, names in COMMANDS.items()}
    assert documented == options


@pytest.mark.parametrize(
    "page", [DOCS.parents[1] / "README.md", *sorted(DOCS.parent.glob("*.md"))], ids=lambda x: x.name
)
def test_every_command_option_and_setting_that_a_page_tells_exists(page: Path) -> None:
    told = re.findall(r"```.*?```|`[^`]+`", page.read_text(), re.DOTALL)
    for line in "\n".join(told).splitlines():
        for words in re.findall(r"(?<![\w/.*-])(?:\.venv/bin/)?weir ([a-z][^`#;]*)", line):
            command = max((name for name in COMMANDS if f"{words} ".startswith(f"{name} ")), key=len, default="")
            assert command or any(name.startswith(f"{words.strip()} ") for name in COMMANDS), line
            assert set(re.findall(r"--[a-z-]+", words)) <= {*COMMANDS.get(command, ()), "--help", "--debug"}, line
        assert set(re.findall(r"(?<!\*)WEIR_[A-Z_]*[A-Z](?!_?\*)", line)) <= settings.VARIABLES, line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "No such command 'nonsense'; see weir --help"),
        (["models", "lst"], "Did you mean 'list'?"),
        (["models", "show"], "Missing argument 'VERSION'; see weir models show --help"),
        (["models", "rollback"], "Missing option '--reason'"),
        (["up", "--limit", "0"], "--limit is '0'; it must be at least 1; see weir up --help"),
        (["replay", "simulation", "--limit", "many"], "--limit is 'many'; it must be a whole number; see weir replay"),
        (["replay", "simulation", "--speed", "x"], "--speed is 'x'; it must be a number"),
        (["replay", "nothing"], "'nothing' is unknown; replay one of complete_journey"),
        (["replay", "gone.jsonl"], "there is no file gone.jsonl: name a .jsonl or .parquet file of events"),
        (["models", "init", "--data", "gone.csv"], "gone.csv cannot be read: No such file or directory"),
        (["buffer", "export", "out.txt"], "out.txt is of no known format; its name must end in .parquet, .csv, .jsonl"),
        (["up", "--limt", "5"], "No such option: --limt"),
        (
            ["up", "--replay", "nonsense"],
            "data set is 'nonsense'; it must be one of complete_journey, online_retail, open_bandit, simulation",
        ),
        (["up", "--no-replay", "--replay", "simulation"], "--no-replay and --replay are given; choose one"),
        (["up", "--no-replay", "--limit", "5"], "--no-replay and --limit are given; choose one"),
        (["migrate", "--check", "--down", "base"], "--check and --down are given; choose one"),
        (["topics", "--check", "--partitions", "8"], "--check and --partitions are given; choose one"),
        (["dead-letters", "list", "--reason", "nonsense"], "--reason is 'nonsense'; it must be one of null_value"),
        (["dead-letters", "redrive"], "nothing or too much is chosen"),
        (["dead-letters", "redrive", "--all", "--reason", "json"], "nothing or too much is chosen"),
        (["dead-letters", "redrive", "--reason", "json", "--value", "{}"], "name it by --partition and --offset"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("weir: ")
    assert said in shown.err


def test_a_port_that_is_taken_stops_a_stack_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("WEIR_API_PORT", str(port))
        assert run(["up"]) == 2
    assert capsys.readouterr().err.startswith(f"weir: WEIR_API_PORT is {port}, and 127.0.0.1:{port} cannot be listened")


def test_a_second_stack_in_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / ".weir"):
        assert run(["up"]) == 1
    assert f"weir: a stack already runs in {tmp_path / '.weir'}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["WEIR_DATABASE_URL", "WEIR_KAFKA_BOOTSTRAP"])
def test_a_stack_on_a_given_service_cannot_begin_again(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / ".weir" / "artifacts" / "v1"
    kept.mkdir(parents=True)
    monkeypatch.setenv(name, {"WEIR_DATABASE_URL": "postgresql://db/weir"}.get(name, "kafka:9092"))
    assert run(["up", "--fresh"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"weir: --fresh cannot empty the service that {name} names")
    assert shown.count("\n") == 1
    assert kept.exists()


@pytest.mark.parametrize("words", [words for words in COMMANDS if words != "models show"])
def test_a_wrong_setting_stops_every_command_before_it_begins(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {
        "models promote": ["v1"], "models lift": ["v1"], "models diff": ["v1", "v2"],
        "models export": ["v1", "out"], "models import": ["x"], "models card": ["v1"],
        "models rollback": ["--reason", "x"], "buffer explain": ["x"],
        "buffer export": ["x.csv"],
        "models lineage": ["v1"], "erase": ["x"],
        "dead-letters redrive": ["--all"], "replay": ["simulation"], "partitions reset": ["0"],
        "tokens create": ["ci", "--role", "viewer"], "tokens revoke": ["ci"],
        "benchmark importance": ["--data", "x.csv", "--output", "out"],
        "score": ["x.csv", "--estimators", "loss", "--output", "out.parquet"],
    }  # fmt: skip
    monkeypatch.setenv("WEIR_API_PORT", "99999")
    assert run([*words.split(), *arguments.get(words, [])]) == 2
    shown = capsys.readouterr()
    assert (
        shown.err
        == "weir: WEIR_API_PORT is '99999'; it must be at most 65535: port of the role api; 0 takes a free one\n"
    )
    assert shown.out == ""


@pytest.mark.parametrize(
    ("words", "lacking"),
    [("topics", "Kafka"), ("dead-letters list", "Kafka"), ("migrate", "Postgres"), ("models list", "Postgres"),
     ("buffer stats", "Postgres"), ("worker", "Kafka"), ("trainer", "Postgres"), ("api", "Kafka")],
)  # fmt: skip
def test_a_service_that_is_not_known_is_said_with_what_to_do(
    words: str, lacking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"weir: no {lacking} is known: WEIR_")
    assert str(tmp_path / ".weir" / "stack.json") in shown
    assert "weir up" in shown
    assert shown.count("\n") == 1


def test_services_are_found_through_a_running_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    told = {
        "kafka": "127.0.0.1:1",
        "database_url": "postgresql://ann:hunter22@127.0.0.1:1/weir",
        "api": "",
        "metrics": [],
    }
    (tmp_path / "stack.json").write_text(json.dumps(told))
    with locked(tmp_path):
        assert run(["models", "list"]) == 1
    shown = capsys.readouterr().err
    assert "Postgres at 127.0.0.1:1/weir does not answer" in shown
    assert "hunter22" not in shown


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kafka": "a:1"}'])
def test_a_stack_file_that_is_damaged_is_named(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    (tmp_path / "stack.json").write_text(content)
    with locked(tmp_path):
        assert run(["models", "list"]) == 2
    shown = capsys.readouterr().err
    assert str(tmp_path / "stack.json") in shown
    assert shown.count("\n") == 1


def test_settings_are_shown_with_their_source_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://ann:hunter22@db/weir")
    (tmp_path / ".env").write_text("WEIR_SEED=7\n")
    assert run(["settings", "--json"]) == 0
    rows = {row["variable"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == settings.VARIABLES
    assert rows["WEIR_DATABASE_URL"]["value"] == "postgresql://ann:***@db/weir"
    assert (rows["WEIR_SEED"]["value"], rows["WEIR_SEED"]["source"]) == ("7", ".env")
    assert run(["settings"]) == 0
    shown = capsys.readouterr().out
    assert re.search(
        r"^WEIR_DATABASE_URL +postgresql://ann:\*\*\*@db/weir +environment +postgresql://", shown, re.MULTILINE
    )
    assert "hunter22" not in shown


def test_a_traceback_comes_only_with_debug_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["topics"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    for words in (["--debug", "topics"], ["topics", "--debug"]):
        with pytest.raises(Exception, match="no Kafka is known"):
            run(words)
