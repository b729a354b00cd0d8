"""Records of scores, and the partition that a key belongs to."""

import json

import msgspec
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from importance.sample import Action, Sample
from importance.scores import Offer
from stream.publishing import PAYLOAD_BYTES, importance_messages, murmur2, partitions_of

SAMPLE = Sample(
    "view-1",
    "ann",
    "search",
    "lamp",
    "i7",
    "a lamp",
    time_ms=1_000,
    partition=0,
    offset=3,
    actions=int(Action.CLICK),
    attributes={"category": "lighting"},
)


def offer(prediction: float | None) -> Offer:
    return Offer(
        sample=SAMPLE,
        label=1,
        importance=0.16,
        estimator="gradient_output",
        model="v3",
        prediction=prediction,
        stratum="positive",
        log_weight=-1.5,
        key=-0.25,
        probability=0.5,
        kept=True,
        threshold_epoch=4,
    )


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_murmur2_of_many_keys_is_the_clients_murmur2_of_each(keys: list[bytes]) -> None:
    assert murmur2(keys).tolist() == [aiokafka_murmur2(key) & 0xFFFFFFFF for key in keys]


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 64))
def test_a_key_goes_to_the_partition_that_kafkas_default_partitioner_chooses(keys: list[bytes], count: int) -> None:
    assert partitions_of(keys, count) == [(aiokafka_murmur2(key) & 0x7FFFFFFF) % count for key in keys]


def test_a_score_carries_the_fields_of_the_contract_and_is_keyed_by_its_sample() -> None:
    (message,) = importance_messages([offer(prediction=0.8)])
    assert message.key == b"view-1"
    assert json.loads(message.value or b"") == {
        "sample": "view-1",
        "subject": "ann",
        "item": "i7",
        "label": 1,
        "importance": 0.16,
        "estimator": "gradient_output",
        "model": "v3",
        "kept": True,
        "probability": 0.5,
        "time": 1_000,
        "surface": "search",
        "outcome": "click",
        "stratum": "positive",
        "query": "lamp",
        "text": "a lamp",
        "attributes": {"category": "lighting"},
        "prediction": 0.8,
    }


def test_a_prediction_that_nobody_made_is_left_out() -> None:
    (message,) = importance_messages([offer(prediction=None)])
    assert "prediction" not in json.loads(message.value or b"")


def test_without_payload_texts_and_attributes_are_left_out() -> None:
    (message,) = importance_messages([offer(prediction=None)], payload=False)
    found = json.loads(message.value or b"")
    assert not {"query", "text", "attributes"} & found.keys()
    assert (found["surface"], found["outcome"], found["stratum"]) == ("search", "click", "positive")


def test_a_record_too_long_for_a_topic_leaves_its_payload_out_and_its_neighbours_keep_theirs() -> None:
    wide = msgspec.structs.replace(SAMPLE, attributes={"note": "x" * PAYLOAD_BYTES})
    offers = [msgspec.structs.replace(offer(0.8), sample=sample) for sample in (SAMPLE, wide, SAMPLE)]
    found = [json.loads(message.value or b"") for message in importance_messages(offers)]
    assert ["text" in each for each in found] == [True, False, True]
    assert all(each["prediction"] == 0.8 for each in found)


def test_a_line_break_in_an_id_does_not_mix_up_the_records() -> None:
    named = [msgspec.structs.replace(SAMPLE, id=f"view\n{number}") for number in range(3)]
    messages = importance_messages([msgspec.structs.replace(offer(None), sample=sample) for sample in named])
    assert [json.loads(message.value or b"")["sample"] for message in messages] == [sample.id for sample in named]
