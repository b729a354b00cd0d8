"""The commands against a real Kafka and a real Postgres, as an operator would run them."""

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import sqlalchemy as sa
from kafka import KafkaProducer

from importance import strata
from importance.ceilings import STEP_MS
from importance.control_arm import Compared
from importance.events import MAX_AHEAD_MS
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.quality import tally, tally_segments
from importance.race.standing import Standing
from importance.reservoir import admit
from importance.scores import SERVING, Predictions, Scores
from storage.artifacts import Artifacts
from storage.buffer import Buffer
from storage.control_arm import ControlArm
from storage.engine import create_engine
from storage.heartbeats import Assigned, Heartbeats, Model, Process, Report
from storage.lock import Right, alone
from storage.progress import Progresses
from storage.registry import Registry
from storage.runs import Runs
from stream.connection import KafkaConnection
from stream.dead_letters import DeadLetter
from stream.topics import end_offsets
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer
from tests.support.traffic import samples
from trainer.bootstrap import FirstTraining, build
from trainer.version_directory import save
from weir import settings
from weir.cli import run
from weir.settings import values
from weir.settings.race import policies, race_name
from weir.settings.topics import measured

Weir = Callable[..., "Done"]


class Done:
    """What a command left: status, standard output, standard error."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def data(self) -> Any:
        """Its output as JSON, after it succeeded without a word on standard error."""
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)


@pytest.fixture
def weir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Weir:
    """Runs one command in a folder of its own, without settings from outside."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Done:
        capsys.readouterr()
        status = run(words)
        shown = capsys.readouterr()
        return Done(status, shown.out, shown.err)

    return command


@pytest.fixture
def database(postgres: Any, monkeypatch: pytest.MonkeyPatch, weir: Weir) -> str:
    """An empty database that the commands use."""
    url: str = postgres.database()
    monkeypatch.setenv("WEIR_DATABASE_URL", url)
    return url


@pytest.fixture
def prefix(kafka: str, monkeypatch: pytest.MonkeyPatch, weir: Weir) -> str:
    """The begin of the names of topics that nobody else has; the commands use them."""
    prefix = f"cli-{secrets.token_hex(4)}."
    monkeypatch.setenv("WEIR_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("WEIR_PARTITIONS", "2")
    return prefix


@pytest.fixture
def registry(database: str, weir: Weir) -> Iterator[Registry]:
    """The registry of that database, whose tables are made."""
    assert weir("migrate").status == 0
    engine = create_engine(database)
    yield Registry(engine)
    engine.dispose()


def register(registry: Registry, *versions: str) -> None:
    artifacts = Artifacts(str(Path(".weir") / "artifacts"))  # where the commands look, too
    for version in versions:
        made = Path("made") / version
        made.mkdir(parents=True)
        (made / "model.safetensors").write_text(version)
        registry.register(version, *artifacts.save(version, made), metrics={"auc": 0.81})
        registry.promote(version, expected_sequence=None, actor="test", reason="made for a test")


def test_migrations_go_up_and_down_and_are_checked(weir: Weir, database: str) -> None:
    assert weir("migrate", "--check").status == 1
    facts = weir("migrate", "--json").data
    assert (facts["before"], facts["now"]) == ("base", facts["head"])
    assert weir("migrate", "--check").status == 0
    assert weir("migrate").status == 0
    done = weir("migrate", "--down", "nonsense")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"from {facts['head']} to the tables of nonsense" in done.err
    assert weir("migrate", "--down", "base", "--json").data["now"] == "base"


def test_a_command_before_the_migration_says_what_to_do(weir: Weir, database: str) -> None:
    done = weir("models", "list")
    assert done.status == 1
    assert "run 'weir migrate'" in done.err
    assert done.err.count("\n") == 1


def test_topics_are_made_once_then_held_against_the_settings(weir: Weir, prefix: str, monkeypatch: Any) -> None:
    assert weir("topics", "--check").status == 1
    made = weir("topics", "--json").data
    assert [(topic["name"].removeprefix(prefix), topic["created"]) for topic in made] == [
        ("interactions", True), ("interactions.dead", True), ("importance", True), ("models", True),
    ]  # fmt: skip
    assert weir("topics", "--check").status == 0
    monkeypatch.setenv("WEIR_PARTITIONS", "3")
    done = weir("topics")
    assert done.status == 0
    assert f"{prefix}interactions has 2 partitions, not 3" in done.out
    grown = weir("topics", "--partitions", "3", "--json").data
    assert grown[0]["differences"] == []


def test_a_topic_cannot_be_given_fewer_partitions(weir: Weir, prefix: str) -> None:
    weir("topics")
    done = weir("topics", "--partitions", "1")
    assert done.status == 2
    assert done.err.count("\n") == 1


def test_models_are_listed_promoted_rolled_back_and_frozen(weir: Weir, registry: Registry, prefix: str) -> None:
    weir("topics")
    register(registry, "v1", "v2", "v3")
    listed = weir("models", "list", "--json").data
    assert (listed["active"], listed["frozen"]) == ("v3", False)
    assert [version["state"] for version in listed["versions"]] == ["retired", "retired", "active"]
    assert "v3" in weir("models", "list").out
    assert "another one for each version" in weir("models", "list").out

    back = weir("models", "rollback", "--reason", "clicks fell", "--actor", "ann", "--json").data
    assert (back["from_version"], back["to_version"], back["actor"], back["reason"]) == (
        "v3", "v2", "ann", "clicks fell",
    )  # fmt: skip
    done = weir("models", "rollback", "--to", "v1", "--reason", "still")
    assert "v1 is active again; training is frozen" in done.out
    assert done.err == ""
    assert weir("models", "freeze").status == 1
    assert "training resumes" in weir("models", "unfreeze").out
    assert weir("models", "promote", "v3", "--reason", "it was the shop").status == 0
    shown = weir("models", "show", "v3", "--json").data
    assert (shown["state"], shown["metrics"]["auc"]) == ("active", 0.81)
    assert [entry["kind"] for entry in shown["log"]] == ["promote", "rollback", "promote"]
    assert "clicks fell" in weir("models", "show", "v3").out
    assert [entry.kind for entry in registry.log()][3:] == ["rollback", "rollback", "unfreeze", "promote"]


def test_the_first_version_learns_from_a_file_of_ones_own(weir: Weir, database: str) -> None:
    """Customers of this shop buy what is red: the version says so of customers it never learned from."""
    weir("migrate")
    lines = [
        f"customer-{n};{thing};{colour} {thing};{'yes' if colour == 'red' else 'no'}"
        for n, colour, thing in itertools.product(range(60), ("red", "blue", "green"), ("lamp", "mug", "clock"))
    ]
    Path("pairs.csv").write_text("\n".join(["customer;search;title;bought", *lines]))
    words = ["models", "init", "--data", "pairs.csv", "--positive", "yes", "--delimiter", ";"]
    words += ["--column", "text=title", "--column", "label=bought"]
    assert weir(*words[:-2]).err == (
        "weir: pairs.csv has no column 'label'; it has customer, search, title, bought: name it, e.g. with --column "
        "label=customer\n"
    )
    done = weir(*words, "--column", "query=search", "--column", "subject=customer", "--if-missing", "--json")
    assert done.status == 0, done.err
    made = weir("models", "show", json.loads(done.out)["to_version"], "--json").data
    held = sum(60 * 9 / 60 for customer in range(60) if is_held(f"customer-{customer}"))
    assert made["metrics"]["samples"] == held > 0
    assert made["metrics"]["auc"] > 0.9
    assert weir(*words).err.splitlines()[-1].startswith("weir: there is a model already")
    Path("pairs.csv").unlink()
    assert weir(*words, "--if-missing", "--json").data == json.loads(done.out)
    assert weir("models", "init", "--if-missing").out == "v1 is active already (entry 1 of the log)\n"


def test_what_is_imported_descends_from_the_version_whose_weights_it_has(weir: Weir, registry: Registry) -> None:
    first = registry.new_version()
    made = save(build(samples(), FirstTraining(), seed=0), Path("made"))
    registry.register(first, *Artifacts(str(Path(".weir") / "artifacts")).save(first, made))
    registry.promote(first, expected_sequence=None, actor="test", reason="made for a test")
    assert weir("models", "export", first, "exported").status == 0
    imported = [weir("models", "import", "exported", "--json").data["version"] for _ in range(2)]
    assert [registry.version(version).parent for version in imported] == [first, first]


def is_held(subject: str) -> bool:
    """Whether the subject is of the holdout, as the settings draw it."""
    return strata.assign(["any"], [subject], [0], values.strata(settings.read())) == [strata.HOLDOUT]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--data", "a.csv", "--untrained"), "--untrained and --data exclude each other: give one of them"),
        (("--data", "a.csv", "--dataset", "simulation"), "--data and --dataset exclude each other"),
        (("--positive", "yes"), "--positive is for a file of your own: name it with --data"),
        (("--data", "a.csv", "--column", "price=p"), "--column names 'price'; it must be text, label, query, subject"),
        (("--data", "a.csv"), "a.csv cannot be read: No such file or directory"),
    ],
)
def test_a_first_version_that_cannot_be_is_wrong_usage(
    weir: Weir, registry: Registry, words: tuple[str, ...], line: str
) -> None:
    done = weir("models", "init", *words)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert line in done.err


def test_what_cannot_be_is_one_line(weir: Weir, registry: Registry, prefix: str) -> None:
    register(registry, "v1")
    for words, said in [
        (("models", "show", "v9"), "no version v9"),
        (("models", "promote", "v1"), "version v1 is active already"),
        (("models", "rollback", "--reason", "x"), "no version to roll back to"),
        (("buffer", "explain", "nothing"), "sample 'nothing' is not in the buffer"),
    ]:
        done = weir(*words)
        assert done.status == 1
        assert said in done.err
        assert done.err.count("\n") == 1


def test_a_change_that_nobody_could_be_told_of_holds_all_the_same(weir: Weir, registry: Registry) -> None:
    register(registry, "v1", "v2")
    done = weir("models", "rollback", "--reason", "x")
    assert done.status == 0
    assert "v1 is active again" in done.out
    assert done.err == "weir: not announced (no Kafka is known); workers and apis see it within 2 s by themselves\n"


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of the libraries that it uses
def test_versions_are_mirrored_in_mlflow_by_hand(
    weir: Weir, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    register(registry, "v1")
    done = weir("models", "mirror")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "nothing is mirrored: set WEIR_MLFLOW_URI" in done.err
    monkeypatch.setenv("WEIR_MLFLOW_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert json.loads(weir("models", "mirror", "--json").out) == {"model": "weir", "changes": 2}
    assert weir("models", "mirror").out == "weir in MLflow is up to date: 0 changes\n"
    engine = create_engine(settings.read().database_url)
    with alone(engine, Right.MIRROR):
        register(registry, "v2")
        done = weir("models", "mirror")
    engine.dispose()
    assert (done.status, done.err) == (
        1,
        "weir: another process is mirroring the versions in MLflow: nothing was done\n",
    )
    monkeypatch.setenv("WEIR_MLFLOW_URI", "http://t0k3n@127.0.0.1:1")
    done = weir("models", "mirror")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "t0k3n" not in done.err


def test_the_buffer_is_shown_by_stratum(weir: Weir, database: str) -> None:
    weir("migrate")
    assert weir("buffer", "stats", "--json").data["items"] == 0
    *_, all_strata, empty, note = weir("buffer", "stats").out.splitlines()
    assert all_strata.startswith("all")
    assert (empty, note) == ("", "no estimate of the stream: no prediction was counted yet")


def test_a_buffer_cannot_be_scored_again_without_a_model(weir: Weir, database: str) -> None:
    weir("migrate")
    done = weir("buffer", "rescore")
    assert (done.status, done.out) == (1, "")
    assert done.err == "weir: there is no model yet: run 'weir models init'\n"


def test_what_the_buffer_says_of_the_stream_is_shown_beside_what_it_was(
    weir: Weir, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buffer with room for all of it, so that every figure is exact."""
    monkeypatch.setenv("WEIR_SEGMENT_ATTRIBUTE", "country")
    monkeypatch.setenv("WEIR_SEGMENT_SHARES", "France=0.1,Spain=0")
    weir("migrate")
    chosen = settings.read()
    engine = create_engine(database)
    buffer = Buffer(engine, values.capacities(chosen), TOPIC, scoring_configs=values.scoring_configs(chosen))
    samples = [
        offer(f"i{n}", 0.0, actions=n % 2, attributes={"country": "France" if n < 30 else "Malta"}).sample
        for n in range(100)
    ]
    labels, prediction = [each.actions for each in samples], np.full(100, 0.5)
    scores = Scores(np.ones(100), "last_layer_norm", "v1", predictions={SERVING: Predictions("v1", prediction)})
    policy = values.admission(chosen)
    counts = tally(samples, labels, scores) | tally_segments(samples, labels, scores, policy.strata.segments)
    Owner(engine, buffer).flush(admit(samples, scores, policy, buffer.thresholds()), quality=counts)
    engine.dispose()

    told = weir("buffer", "stats", "--json").data
    assert {each["figure"]: each["estimate"] for each in told["estimates"]} == pytest.approx(
        {each["figure"]: each["stream"] for each in told["estimates"]}
    )
    assert [each["stream"] for each in told["estimates"]][:2] == [100, 0.5]
    shown = weir("buffer", "stats").out
    assert "the stream from 2011-03-07 on, 1 week of event time" in shown
    assert "share of country=France" in shown
    assert "last_layer_norm, proportional, floor 0.25, half-life 1209600 s" in shown


def test_dead_letters_are_listed_and_sent_back_as_they_were_or_mended(
    weir: Weir, prefix: str, kafka: str, registry: Registry
) -> None:
    weir("topics")
    letters = [
        DeadLetter("not_json", f"{prefix}interactions", 0, 5, b"ann", b"{\x1b[31m"),
        DeadLetter("not_utf8", f"{prefix}interactions", 1, 6, b"ben", b"\xff\xfe"),
        DeadLetter(
            "wrong_type", f"{prefix}interactions", 1, 7, b"cy", b"{}", detail="Expected `str`, got `int` - at `$.item`"
        ),
    ]
    producer = KafkaProducer(bootstrap_servers=kafka)
    for letter in letters:
        producer.send(f"{prefix}interactions.dead", letter.value, letter.key, headers=list(letter.headers))
    producer.close()

    found = [json.loads(line) for line in weir("dead-letters", "list", "--json").out.splitlines()]
    assert sorted((letter["reason"], letter["partition"], letter["offset"]) for letter in found) == [
        ("not_json", 0, 5), ("not_utf8", 1, 6), ("wrong_type", 1, 7),
    ]  # fmt: skip
    by_reason = {letter["reason"]: letter for letter in found}
    assert by_reason["not_utf8"]["value_hex"] == "fffe"
    assert by_reason["wrong_type"]["detail"] == "Expected `str`, got `int` - at `$.item`"
    assert by_reason["not_utf8"]["detail"] is None
    assert "Expected `str`, got `int` - at `$.item`" in weir("dead-letters", "list", "--reason", "wrong_type").out
    shown = weir("dead-letters", "list", "--reason", "not_json").out
    assert "{\\x1b[31m" in shown
    assert "\x1b" not in shown
    assert "not_utf8" not in shown

    mended = '{"type":"heartbeat","time":0}'
    assert weir("dead-letters", "redrive", "--partition", "0", "--offset", "5", "--value", mended, "--json").data == {
        "sent": 1
    }
    assert weir("dead-letters", "redrive", "--all", "--actor", "ann").out == "sent 3\n"
    first = weir("audit", "--actor", "ann", "--json").data[0]
    assert (first["action"], first["target"]) == ("dead_letters.redrive", f"{prefix}interactions")
    producer = KafkaProducer(bootstrap_servers=kafka)
    outline = DeadLetter("too_long", f"{prefix}interactions", 1, 70, b"cy", None)
    producer.send(f"{prefix}interactions.dead", outline.value, outline.key, headers=list(outline.headers)).get(
        timeout=30
    )
    producer.close()
    done = weir("dead-letters", "redrive", "--reason", "too_long")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("weir: 1 of the chosen letters have no value, so they cannot be sent")
    assert f"the first in {prefix}interactions, partition 1, offset 70" in done.err
    done = weir("dead-letters", "redrive", "--reason", "too_deep")
    assert (done.status, done.err) == (1, "weir: no dead letter is as chosen; see weir dead-letters list\n")


def test_a_replay_is_sent_and_goes_on_where_it_stopped(weir: Weir, prefix: str) -> None:
    weir("topics")
    done = weir("replay", "simulation", "--limit", "50", "--json")
    assert done.status == 0
    assert json.loads(done.out) == {"position": 50, "sent": 50, "finished": True}
    assert json.loads(weir("replay", "simulation", "--limit", "80", "--json").out)["sent"] == 30
    assert "sent 0 events; the topic holds 80 of it; finished" in weir("replay", "simulation", "--limit", "80").out
    done = weir("replay", "nothing")
    assert (done.status, done.err) == (
        2,
        "weir: 'nothing' is unknown; replay one of complete_journey, online_retail, open_bandit, simulation, "
        "a file that ends in .jsonl or .parquet, or topic:NAME\n",
    )


def test_a_recorded_topic_is_replayed_under_another_prefix(
    weir: Weir, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weir("topics")
    weir("replay", "simulation", "--limit", "20")
    assert "cannot be replayed into itself" in weir("replay", f"topic:{prefix}interactions").err
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", f"{prefix}again-")
    weir("topics")
    recorded = ("replay", f"topic:{prefix}interactions", "--json")
    ends = 2  # heartbeats, one a partition
    assert json.loads(weir(*recorded).out) == {"position": 20 + ends, "sent": 20 + ends, "finished": True}
    assert json.loads(weir(*recorded).out)["sent"] == 0
    assert weir("replay", f"topic:{prefix}nothing").status == 1


def test_two_installations_share_a_cluster_by_names_of_their_own(
    weir: Weir, prefix: str, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weir("topics")
    names = [f"{prefix}second-{word}" for word in ("in", "dead", "out", "models")]
    for variable, name in zip(("INTERACTIONS", "DEAD", "IMPORTANCE", "MODELS"), names, strict=True):
        monkeypatch.setenv(f"WEIR_TOPIC_{variable}", name)
    assert [topic["name"] for topic in weir("topics", "--json").data] == names
    assert weir("topics", "--check").status == 0
    ends = 2  # heartbeats, one a partition
    assert weir("replay", "simulation", "--limit", "20").status == 0
    assert sum(end_offsets(KafkaConnection(kafka), names[0]).values()) == 20 + ends
    assert sum(end_offsets(KafkaConnection(kafka), f"{prefix}interactions").values()) == 0
    assert weir("dead-letters", "list", "--json").out == ""


def test_check_says_what_is_wrong_and_what_to_do(weir: Weir, database: str, prefix: str) -> None:
    done = weir("check", "--json")
    assert done.status == 1
    findings = {finding["name"]: finding for finding in json.loads(done.out)}
    assert findings["packages"]["state"] == "ok"
    assert findings["kafka"]["state"] == "ok"
    assert (findings["topics"]["state"], findings["postgres"]["state"]) == ("wrong", "wrong")
    assert "weir topics" in findings["topics"]["detail"]
    assert "weir migrate" in findings["postgres"]["detail"]
    weir("migrate")
    weir("topics")
    done = weir("check")
    assert done.status == 0, done.out
    assert len(done.out.splitlines()) == len(findings) + 1


def test_check_survives_services_that_are_away(weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("WEIR_DATABASE_URL", "postgresql://ann:hunter22@127.0.0.1:1/weir")
    done = weir("check", "--json")
    assert done.status == 1
    findings = {finding["name"]: finding["state"] for finding in json.loads(done.out)}
    assert (findings["kafka"], findings["postgres"]) == ("wrong", "wrong")
    assert "hunter22" not in done.out + done.err


def test_status_and_check_tell_which_role_is_gone(weir: Weir, database: str, registry: Registry) -> None:
    engine = create_engine(database)
    heartbeats = Heartbeats(engine)
    before = {found["name"]: found["state"] for found in json.loads(weir("check", "--json").out)}
    assert [before[role] for role in ("worker", "trainer", "api")] == ["note"] * 3  # nothing ever ran here
    register(registry, "v1", "v2")
    working = Report("working", model=Model("v2", 2, "serving"))
    for pid, role in enumerate(("worker", "worker", "trainer", "api")):
        heartbeats.write(Process(UUID(int=pid), role, "host-a", pid), 60.0, working)
    done = weir("status", "--json")
    assert (done.status, json.loads(done.out)["degraded"]) == (0, [])

    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE heartbeats SET seen = now() - interval '25 s' WHERE pid IN (1, 2)"))
    engine.dispose()
    done = weir("status", "--json")
    assert done.status == 1
    status = json.loads(done.out)
    assert {role["pid"]: role["state"] for role in status["roles"]} == {
        0: "working", 1: "gone", 2: "gone", 3: "working",
    }  # fmt: skip
    assert [line.partition(":")[0] for line in status["degraded"]] == [
        "no trainer is running", "worker host-a/1 is gone",
    ]  # fmt: skip
    assert status["training"]["state"] == "no_trainer"
    text = weir("status").out
    assert "missing: no trainer is running: start weir trainer" in text
    assert "training  no trainer is running" in text

    done = weir("check", "--json")
    assert done.status == 1
    found = {each["name"]: (each["state"], each["detail"]) for each in json.loads(done.out)}
    assert found["api"] == ("ok", "1 working")
    assert found["worker"][0] == "wrong"
    assert found["worker"][1].startswith("worker host-a/1 is gone: has not reported for 2")
    assert found["trainer"][0] == "wrong"
    assert found["trainer"][1].startswith("none is running: start weir trainer (trainer host-a/2 is gone")


def test_status_has_a_line_on_whether_selection_helps(weir: Weir, database: str, registry: Registry) -> None:
    assert "selection no control arm was made yet\n" in weir("status").out
    engine = create_engine(database)
    for _ in range(3):
        ControlArm(engine).add(Runs(engine).start("amount", {}), Compared(-0.02, 0.005), uniform_only=False)
    competing = policies(settings.Settings())
    brier = np.full((400, len(competing)), 0.2)
    brier[:, 2] = np.resize([0.1, 0.2], 400)  # ahead of all others in every second result
    owner = Owner(engine, Buffer(engine, CAPACITIES, TOPIC), 0)
    flush = owner.prepare([offer("i", 1.0)])
    owner.buffer.persist(replace(flush, race={race_name(competing): Standing.of(brier)}))
    engine.dispose()

    found = json.loads(weir("status", "--json").out)["selection"]
    assert (found["uniform_only"], found["comparisons"]) == (True, 3)
    assert found["advantage"] == pytest.approx({"estimate": -0.02, "low": -0.0298, "high": -0.0102}, abs=1e-4)
    leader = found["leader"]
    assert (leader["policy"], leader["results"], leader["is_better"]) == (str(competing[2]), 400, True)
    assert leader["gain"]["estimate"] == pytest.approx(0.05)
    assert weir("status").out.splitlines()[-1] == (
        "selection -0.0200 in AUC over uniform [-0.0298, -0.0102], 3 control arms; has fallen back to uniform samples; "
        f"the race is led by {competing[2]}, decisively"
    )


YEAR_3000_MS = 32_503_680_000_000


@pytest.fixture
def moved_ahead(weir: Weir, prefix: str, registry: Registry, database: str) -> Iterator[Progresses]:
    """Partition 0, moved to the year 3000 by a record that nothing refused, and partition 1, which is sound."""
    weir("topics")
    engine = create_engine(database)
    topic = measured(settings.read())
    assert topic.id is not None
    progresses, buffer = Progresses(engine, topic.id), Buffer(engine, CAPACITIES, topic.id)
    for partition, event_time_ms in ((0, YEAR_3000_MS), (1, 1_300_000_000_000)):
        epoch = progresses.claim(partition, generation=1).epoch
        buffer.persist(Flush(partition, epoch, 0, Progress(5, event_time_ms, 2, event_time_ms, read=5)))
    yield progresses
    engine.dispose()


def test_a_partition_that_lies_ahead_is_listed_and_reset(weir: Weir, moved_ahead: Progresses) -> None:
    shown = weir("partitions", "list")
    assert "3000-01-01 00:00:00Z" in shown.out
    assert shown.out.endswith("partition 0 lies ahead of the wall clock: see weir partitions reset 0\n")
    listed = weir("partitions", "list", "--json").data
    assert [(each["partition"], each["next"], each["ahead"]) for each in listed] == [(0, 5, True), (1, 5, False)]

    asked = weir("partitions", "reset", "0")
    assert (asked.status, asked.err) == (0, "")
    assert "event time 3000-01-01 00:00:00Z would be forgotten" in asked.out
    assert "Nothing was changed; give --yes" in asked.out
    assert weir("partitions", "reset", "0", "--json").data["reset"] is False
    assert weir("partitions", "list", "--json").data == listed

    began_ms = int(time.time() * 1_000)
    done = weir("partitions", "reset", "0", "--yes", "--json").data
    assert done == {"partition": 0, "next": 5, "event_time_before": "3000-01-01T00:00:00Z", "reset": True}
    after = weir("partitions", "list", "--json").data[0]
    assert (after["next"], after["event_time"], after["ahead"]) == (5, None, False)
    progress = moved_ahead.positions()[0].progress
    assert progress is not None
    assert (progress.acknowledged, progress.read) == (5, 5)
    ((offset, ceiling_ms),) = progress.ceilings
    assert offset == 0
    assert began_ms - STEP_MS < ceiling_ms - MAX_AHEAD_MS <= time.time() * 1_000


def test_a_partition_is_not_reset_in_vain_or_under_a_worker(weir: Weir, moved_ahead: Progresses, database: str) -> None:
    before = moved_ahead.positions()
    for number, status, complaint in (
        ("1", 1, "event time of partition 1 is 2011-03-13 07:06:40Z, which is not ahead"),
        ("7", 1, "partition 7 has no progress"),
        ("-1", 2, "partition is '-1'; it must be at least 0"),
    ):
        done = weir("partitions", "reset", "--yes", "--", number)
        assert (done.status, done.err.count("\n"), complaint in done.err) == (status, 1, True), done.err
    engine = create_engine(database)
    Heartbeats(engine).write(
        Process(UUID(int=1), "worker", "host-a", 17), 60.0, Report("working", partitions=(Assigned(0, 0, 0),))
    )
    engine.dispose()
    done = weir("partitions", "reset", "0", "--yes")
    assert (done.status, done.err) == (
        1, "weir: partition 0 belongs to the worker host-a/17: stop all workers first\n",
    )  # fmt: skip
    assert moved_ahead.positions() == before


def test_check_reads_the_files_of_the_active_version(weir: Weir, registry: Registry) -> None:
    register(registry, "v1")

    def artifacts() -> tuple[str, str]:
        found = next(x for x in json.loads(weir("check", "--json").out) if x["name"] == "artifacts")
        return found["state"], found["detail"]

    assert artifacts()[0] == "ok"
    assert "version v1 intact" in artifacts()[1]
    (Path(".weir") / "artifacts").rename("elsewhere")
    state, detail = artifacts()
    assert state == "wrong"
    assert "lacks a file" in detail


def test_the_log_and_the_runs_are_shown_whole(weir: Weir, registry: Registry, database: str) -> None:
    register(registry, "v1", "v2")
    engine = create_engine(database)
    weir_runs = Runs(engine)
    log = weir("models", "log", "--json").data
    assert [entry["to_version"] for entry in log] == ["v1", "v2"]
    assert weir("models", "log", "--at", log[0]["time"]).out == "v1\n"
    done = weir("models", "log", "--at", "yesterday")
    assert (done.status, "2026-01-01T08:53:00Z" in done.err) == (2, True)
    assert weir("train", "run", "--reason", "new prices", "--actor", "ann", "--json").data == {"state": "accepted"}
    assert weir("train", "run", "--json").data == {"state": "coalesced"}
    assert weir("train", "runs", "--json").data == []
    weir_runs.finish(weir_runs.start("operator", {}), "rejected", ["auc -.02"])
    engine.dispose()
    (run,) = weir("train", "runs", "--json").data
    assert (run["asked_by"], run["asked_why"], run["reasons"]) == ("ann", "new prices", ["auc -.02"])
    assert "new prices" in weir("train", "runs").out
    weir("models", "freeze", "--reason", "holidays")
    assert weir("models", "list").out.endswith("weir models log says by whom and why\n")
    assert "holidays" in weir("models", "log").out


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(weir: Weir, registry: Registry) -> None:
    created = weir("tokens", "create", "ci", "--role", "scorer", "--expires", "12h", "--json").data
    assert set(created) == {"token", "name", "role", "expires"}
    done = weir("tokens", "create", "dashboard", "--role", "viewer", "--quiet")
    assert (done.out.startswith("weir_"), done.out.count("\n"), done.err) == (True, 1, "")
    shown = weir("tokens", "create", "boss", "--role", "operator", "--expires", "never", "--actor", "ann")
    assert [line.split() for line in shown.out.splitlines()][2] == ["expires", "never"]
    assert shown.err == "the token is not shown again: keep it as a secret\n"
    found = weir("tokens", "list", "--json").data
    assert [(x["name"], x["role"], x["state"], x["last_used"]) for x in found] == [
        ("ci", "scorer", "live", None), ("dashboard", "viewer", "live", None), ("boss", "operator", "live", None),
    ]  # fmt: skip
    assert weir("tokens", "revoke", "ci", "--reason", "leaked").out == "ci is revoked\n"
    assert [x["name"] for x in weir("tokens", "list", "--json").data] == ["dashboard", "boss"]
    assert [x["state"] for x in weir("tokens", "list", "--all", "--json").data] == ["revoked", "live", "live"]
    everything = weir("tokens", "list", "--all").out + weir("audit").out + weir("audit", "--json").out
    assert "weir_" not in everything


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["create", "ci", "--role", "admin"], 2, "--role is 'admin'; it must be one of viewer, scorer, operator"),
        (["create", "ci", "--role", "viewer", "--expires", "90"], 2, "--expires is '90'; it must be up to ten years"),
        (["create", "ci", "--role", "viewer", "--expires", "0d"], 2, "--expires is '0d'; it must be up to ten years"),
        (["create", "c i", "--role", "viewer"], 2, "the name of the token is 'c i'; it must be 1 to 64 of"),
        (["revoke", "ci"], 1, "no token ci: see 'weir tokens list'"),
    ],
)
def test_a_wrong_token_is_one_line(weir: Weir, registry: Registry, words: list[str], status: int, error: str) -> None:
    done = weir("tokens", *words)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert done.err.startswith(f"weir: {error}")


def test_every_change_by_command_is_in_the_audit_log(weir: Weir, registry: Registry) -> None:
    register(registry, "v1", "v2")
    weir("models", "rollback", "--reason", "clicks fell", "--actor", "ann")
    weir("models", "unfreeze", "--actor", "bob")
    weir("train", "run", "--reason", "new prices")
    entries = weir("audit", "--json").data
    assert [entry["action"] for entry in entries] == [
        "training.run", "training.unfreeze", "models.rollback", "models.promote", "models.promote",
    ]  # fmt: skip
    rollback = entries[2]
    assert (rollback["actor"], rollback["via"], rollback["target"]) == ("ann", "cli", "v1")
    assert (rollback["reason"], rollback["details"]) == ("clicks fell", {"sequence": 3, "from": "v2"})
    assert [x["actor"] for x in weir("audit", "--action", "training.unfreeze", "--json").data] == ["bob"]
    assert weir("audit", "--since", "2100-01-01T00:00:00Z", "--json").data == []
    assert len(weir("audit", "--limit", "2", "--json").data) == 2
    assert "clicks fell" in weir("audit").out
    assert weir("audit", "--since", "yesterday").status == 2
