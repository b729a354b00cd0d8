"""A stranger's scripts train on what Weir selected: from the exported buffer, and from the topic alone."""

import asyncio
import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from pyarrow import csv, parquet

from importance.reservoir import admit
from importance.sample import Action, Sample
from importance.scores import Scores
from importance.strata import HOLDOUT
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import create_engine
from storage.migrate import upgrade
from stream import topics
from stream.connection import KafkaConnection
from stream.publishing import Publisher
from stream.topics import TopicPlan
from tests.support.storage import TOPIC, Owner
from weir import cli, settings
from weir.settings import values

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
THINGS = ("lamp", "mug", "cushion", "ribbon", "clock")


def shown(number: int) -> Sample:
    """What was searched for and shown; it is bought where the two agree."""
    query, thing = THINGS[number % 5], THINGS[(number // 5) % 5]
    bought = int(Action.PURCHASE) if query == thing else 0
    return Sample(
        f"i{number:05}", f"s{number}", "search", query, thing, f"a {thing}", 1_294_131_642_000 + number, 0, number,
        actions=bought, attributes={"aisle": number % 3},
    )  # fmt: skip


@pytest.fixture
def offers(postgres: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """3,000 samples offered to a buffer of capacity 1,000, which admitted some."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIR_DATABASE_URL", postgres.database())
    monkeypatch.setenv("WEIR_BUFFER_CAPACITY", "1000")
    chosen = settings.read()
    engine = create_engine(chosen.database_url)
    upgrade(engine)
    buffer = Buffer(engine, values.capacities(chosen), TOPIC, scoring_configs=values.scoring_configs(chosen))
    samples = [shown(number) for number in range(3_000)]
    importance = np.array([1.0 + number % 7 for number in range(len(samples))])
    scores = Scores(importance, "last_layer_norm", "v1", mean_importance=4.0)
    offered = admit(samples, scores, values.admission(chosen), buffer.thresholds())
    Owner(engine, buffer).flush(offered)
    buffer.trim()
    yield offered
    engine.dispose()


def trained(*words: object) -> tuple[int, float]:
    """Run an example as a stranger does; how many samples it trained on, and its AUC."""
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=True)
    told = re.match(r"trained on (\d+) samples, AUC ([\d.]+) on \d+ of the holdout", done.stdout)
    assert told is not None, done.stdout
    return int(told[1]), float(told[2])


def test_a_model_is_trained_from_the_exported_buffer_by_its_weights(offers: Any, tmp_path: Path) -> None:
    assert cli.run(["buffer", "export", "samples.parquet", "--holdout"]) == 0
    count, auc = trained(EXAMPLES / "train_from_export.py", "samples.parquet")
    assert count >= 600
    assert auc > 0.9


def test_an_export_stands_for_the_stream_and_leaves_the_holdout_out(
    offers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["buffer", "export", "samples.parquet", "--json"]) == 0
    table = parquet.read_table("samples.parquet")
    assert json.loads(capsys.readouterr().out) == {"rows": table.num_rows, "output": "samples.parquet"}
    assert HOLDOUT not in table["stratum"].to_pylist()
    assert table["id"].to_pylist() == sorted(table["id"].to_pylist())
    ours = [offer for offer in offers if offer.stratum != HOLDOUT]
    assert sum(table["weight"].to_pylist()) == pytest.approx(len(ours), rel=0.15)  # some 5 standard errors
    row = table.slice(0, 1).to_pylist()[0]
    sample = shown(int(row["id"][1:]))
    assert (row["query"], row["text"], row["subject"]) == (sample.query, sample.text, sample.subject)
    assert json.loads(row["attributes"]) == sample.attributes
    assert row["weight"] == pytest.approx(1 / row["probability"])
    assert row["time"].isoformat(timespec="milliseconds").endswith("+00:00")
    for name in ("samples.csv", "samples.jsonl"):
        assert cli.run(["buffer", "export", name]) == 0
    assert csv.read_csv("samples.csv")["id"].to_pylist() == table["id"].to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["weight"] for line in lines] == table["weight"].to_pylist()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("samples.txt", "samples.txt is of no known format; its name must end in .parquet, .csv, .jsonl"),
        ("none/samples.csv", "none/samples.csv cannot be written: directory"),
        (".", ". cannot be written: it is a directory; name a file in it"),
    ],
)
def test_an_export_that_cannot_be_written_is_one_line(
    output: str, line: str, offers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["buffer", "export", output]) == 2
    assert line in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_snapshot_stays_what_it_was_while_the_buffer_changes(offers: Any) -> None:
    engine = create_engine(settings.read().database_url)
    reader = BufferReader(engine)
    before = reader.draw().ids
    with reader.snapshot() as held:
        first = next(held.batches)
        with engine.begin() as other:
            other.exec_driver_sql("DELETE FROM buffer_keys")
        rest = [each for batch in held.batches for each in batch]
    engine.dispose()
    assert held.items == len(before)
    assert [each.sample.id for each in [*first, *rest]] == before


def test_a_model_is_trained_from_the_topic_alone(offers: Any, kafka: str) -> None:
    name = f"importance-{secrets.token_hex(4)}"
    topics.provision(KafkaConnection(kafka), [TopicPlan(name, 2, 1, {})])

    async def publish() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()

        async def running() -> AIOKafkaProducer:
            return producer

        publisher = Publisher(running, name, "unused")
        await publisher.publish(offers, ())
        await publisher.publish(offers[:100], ())  # at least once: repeats change nothing
        await producer.stop()

    asyncio.run(publish())
    count, auc = trained(EXAMPLES / "train_from_topic.py", kafka, name)
    assert count == sum(offer.kept and offer.stratum != HOLDOUT for offer in offers)
    assert auc > 0.9
