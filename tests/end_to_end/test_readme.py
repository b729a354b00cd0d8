"""The README's "Next steps" and the quickstart's scripts, each by the letter, on servers that were there before."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing
from json import loads
from pathlib import Path

import httpx
import pytest
from kafka import KafkaProducer

from tests.conftest import TestPostgres
from tests.support.feeder import visits
from tests.support.role import RoleProcess, not_ready, page, running, until_alive
from tests.support.topic import records
from tests.support.traffic import START_MS, Record, heartbeat
from trainer.tokens import MAX_TOKENS
from weir.demo.addresses import Stack, announced
from weir.local.kafka import KafkaServer
from weir.settings import PREFIX, Settings

LATER_MS = START_MS + 10_000_000  # by then every window of the first visits has closed
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
METRICS = (ROOT / "docs" / "metrics.md").read_text()
CLOSED = r"""v1 ranks for the query 'lamp': (?:p\d [\d.]+(?:, )?){3}
(shopper-\w+) was shown 3 items and clicked p\d
the window has closed: label 1, kept with probability [\d.]+
the model was trained: (?:promoted|rejected)
v\d ranks for what \1 clicked: (?:p\d [\d.]+(?:, )?){3}
"""
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()


class Reader:
    """Somebody who types what the README says, with a home and a port that are free on this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        self.environment = inherited | {"WEIR_HOME": str(home), "WEIR_API_PORT": "0"}
        self.environment["WEIR_RECENT_ITEMS"] = "3"
        for setting in ("WEIR_ATTRIBUTION_WINDOW_SECONDS=10", "WEIR_IDLE_SECONDS=5"):
            assert setting in QUICKSTART
            name, _, value = setting.partition("=")
            self.environment[name] = value

    def types(self, line: str, *more: str, **settings: str) -> str:
        """Run a command that the README tells, with ``more`` options; its standard output."""
        assert line in README
        command = [sys.executable, "-m", *line.split(), *more]
        environment = self.environment | settings
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def runs(self, script: str) -> list[str]:
        """Run a script of the quickstart in a folder whose ``.weir`` is the home; the lines that it prints."""
        block = re.search(rf"```python\n(# {script}\n.*?)```", QUICKSTART, re.DOTALL)
        assert block is not None
        (self.home / script).write_text(block[1])
        command = [sys.executable, script]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def closes_the_loop(self, api: str, bootstrap: str) -> str:
        """Run the example of that name; what it prints."""
        command = [
            sys.executable,
            str(ROOT / "docs" / "examples" / "close_the_loop.py"),
            api,
            bootstrap,
            "interactions",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def reader(own_kafka: KafkaServer, own_postgres: TestPostgres, tmp_path: Path) -> Reader:
    """A reader with a Kafka and a Postgres of the house."""
    reader = Reader(tmp_path)
    for line, value in (
        ("WEIR_KAFKA_BOOTSTRAP=host:9092", own_kafka.bootstrap),
        ("WEIR_DATABASE_URL=postgresql://user:password@host/name", own_postgres.database()),
    ):
        assert line in README
        reader.environment[line.partition("=")[0]] = value.replace("postgresql+psycopg://", "postgresql://")
    return reader


def hugging_face_directory(into: Path) -> Path:
    """A tiny random BERT, as anybody's tool of transformers writes it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    into.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{x}" for x in "aeiou")]
    (into / "vocab.txt").write_text("\n".join(words) + "\n")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(words), max_position_embeddings=MAX_TOKENS, num_labels=1, **shape)
        BertForSequenceClassification(config).save_pretrained(into)
    BertTokenizerFast(str(into / "vocab.txt")).save_pretrained(into)
    return into


def test_a_reader_takes_weir_to_servers_of_the_house_with_another_model_and_adds_partitions(
    reader: Reader, own_kafka: KafkaServer
) -> None:
    reader.types("weir migrate")
    reader.types("weir topics")
    folder = hugging_face_directory(reader.home / "bert")
    said = reader.types("weir models init", "--untrained", WEIR_MODEL=str(folder))
    assert said == "v1 is active (entry 1 of the log)\n"
    assert all(f"`weir {role}`" in README for role in ("worker", "trainer", "api"))
    with ExitStack() as stack:
        roles = [
            stack.enter_context(running(role, reader.home, reader.environment)) for role in ("worker", "trainer", "api")
        ]
        worker = roles[0]
        until_alive("every role", lambda: not any(map(not_ready, roles)), roles)
        until_alive("every partition", lambda: worker.partitions == set(range(4)), roles)
        send(own_kafka, ((None, visit) for visit in visits(0, 300)))
        send(own_kafka, ((number, Record(b"", heartbeat(LATER_MS), LATER_MS)) for number in range(4)))
        until_alive("scores", lambda: len(scored_by(own_kafka)) == 300, roles)
        assert set(scored_by(own_kafka).values()) == {"v1"}

        reader.types("weir topics --partitions 8")
        until_alive("the added partitions", lambda: worker.partitions == set(range(8)), roles)
        view = (visit.value for visit in visits(300, 1))
        send(own_kafka, ((7, Record(b"", value, LATER_MS)) for value in (*view, heartbeat(LATER_MS))))
        until_alive("its score", lambda: "visit-300" in scored_by(own_kafka), roles)
        assert "wrong" not in reader.types("weir check")
        (reader.home / ".weir").symlink_to(reader.home)
        addresses = Stack(own_kafka.bootstrap, reader.environment["WEIR_DATABASE_URL"], page(roles[2]) or "")
        with announced(Settings(home=reader.home), addresses):
            assert reader.runs("send.py") == ["sent 40 impressions and 10 clicks"]
            seen = reader.runs("watch.py")
            assert len(seen) == 40
            assert [line.split()[3] for line in seen if line.split()[1] == "p1"] == ["1"] * 10
            assert [line.split()[3] for line in seen if line.split()[1] == "p2"] == ["0"] * 10
            ranked = reader.runs("rank.py")
            assert {line.split()[0] for line in ranked[:2]} == {"p1", "p3"}
            assert ranked[2:] == ["by v1"]
        closed = reader.closes_the_loop(page(roles[2]) or "", own_kafka.bootstrap)
        assert re.fullmatch(CLOSED, closed), closed

        until_alive("every documented metric", lambda: documented_metrics() <= scraped(roles), roles)


def documented_metrics() -> set[str]:
    """The names of docs/metrics.md, as they are when a series exists.

    Those of drift exist once hours of the stream were evaluated, the advantage of selection once a control arm was
    trained: `test_monitoring` asks for them.
    """
    names = re.findall(r"^\| `(weir_\w+)", METRICS, re.MULTILINE)
    return {name for name in names if not name.startswith(("weir_drift_", "weir_selection_advantage"))}


def scraped(roles: Iterable[RoleProcess]) -> set[str]:
    """The names of all series on the pages of the roles; a histogram's is that of its count."""
    text = "".join(httpx.get(f"{page(role)}/metrics", timeout=10).text for role in roles)
    names = set(re.findall(r"^(weir_\w+)(?:\{[^}]*\})? ", text, re.MULTILINE))
    return names | {name.removesuffix("_count") for name in names}


def send(kafka: KafkaServer, messages: Iterable[tuple[int | None, Record]]) -> None:
    """Send (partition, message) pairs to the topic of interactions, all durable on return."""
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")) as producer:
        for partition, (key, value, at) in messages:
            producer.send("interactions", value, key, partition=partition, timestamp_ms=at)
        producer.flush()


def scored_by(kafka: KafkaServer) -> dict[str, str]:
    """Sample → the version that scored it."""
    found = [loads(record.value) for record in records(kafka.bootstrap, "importance")]
    return {score["sample"]: score["model"] for score in found}
