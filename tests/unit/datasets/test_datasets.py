"""What every data set gives, what the shops give, and what is known of the real ones."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby, islice, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.stats import rankdata

from datasets import NAMES, Dataset, complete_journey, online_retail, open_bandit, open_dataset
from importance.errors import InvalidInput
from importance.events import ActionEvent, Impression, decode
from importance.messages import Record, heartbeat
from importance.sample import Sample, label

WEEK_MS = 7 * 86_400_000
MONDAY_MS = 4 * 86_400_000  # the epoch was a Thursday
FOLDERS = (Path("data"), Path("../shared/data"))


def folder_of(name: str) -> Path | None:
    return next((place for place in FOLDERS if (place / name).is_dir()), None)


def real(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(folder_of(name) is None, reason=f"the data set {name} is not in data/ or ../shared/data")


GIFT_SHOPS = [pytest.param("online_retail", marks=real("online_retail")), "simulation"]
SHOPS = ["complete_journey", *GIFT_SHOPS]


def opened(name: str, seed: int = 0) -> Dataset:
    return open_dataset(name, seed, data_dir=folder_of(name))


@cache
def stream_of(name: str) -> list[Record]:
    return list(opened(name).events())


@cache
def decoded_of(name: str) -> list[Impression | ActionEvent]:
    return list(decoded(stream_of(name)))


@cache
def history_of(name: str) -> list[Sample]:
    return list(opened(name).history())


@pytest.fixture(scope="module", autouse=True)
def free_streams() -> Iterator[None]:
    """Free the streams, some 100,000 events each, after the last test that reads them."""
    yield
    for cached in (stream_of, decoded_of, history_of):
        cached.cache_clear()


@pytest.fixture(params=[*SHOPS, pytest.param("open_bandit", marks=real("open_bandit"))])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return opened(request.param)


@pytest.fixture
def events(dataset: Dataset) -> list[Record]:
    return stream_of(dataset.name)


@pytest.fixture
def stream(dataset: Dataset) -> list[Impression | ActionEvent]:
    return decoded_of(dataset.name)


@pytest.fixture
def history(dataset: Dataset) -> list[Sample]:
    return history_of(dataset.name)


@pytest.fixture(params=SHOPS)
def shop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=GIFT_SHOPS)
def gift_shop(request: pytest.FixtureRequest) -> str:
    """One that takes goods back, and whose cheap goods sell no better than its dear ones."""
    return str(request.param)


def decoded(events: list[Record]) -> Iterator[Impression | ActionEvent]:
    for event in events:
        found = decode(event.value, event.time_ms)
        assert isinstance(found, Impression | ActionEvent)
        yield found


def test_every_event_is_valid_and_keyed_by_its_subject(
    events: list[Record], stream: list[Impression | ActionEvent]
) -> None:
    for record, event in zip(events, stream, strict=True):
        assert record.key == event.subject.encode()
        assert record.time_ms == event.time_ms


def test_events_come_in_order_of_time(events: list[Record]) -> None:
    assert all(before.time_ms <= after.time_ms for before, after in pairwise(events))


def test_ids_are_unique_and_name_data_set_and_seed(
    dataset: Dataset, stream: list[Impression | ActionEvent], history: list[Sample]
) -> None:
    ids = [event.id for event in stream] + [sample.id for sample in history]
    assert len(set(ids)) == len(ids)
    assert all(name.startswith(f"{dataset.name}-0-") for name in ids)


def test_history_ends_before_the_stream_begins(events: list[Record], history: list[Sample]) -> None:
    assert max(sample.time_ms for sample in history) < dataset_start(events) == min(event.time_ms for event in events)


def dataset_start(events: list[Record]) -> int:
    return events[0].time_ms


def test_an_action_follows_an_impression_of_its_subject(stream: list[Impression | ActionEvent]) -> None:
    subjects: dict[str, str] = {}
    for event in stream:
        if isinstance(event, Impression):
            subjects[event.id] = event.subject
        else:
            assert subjects[event.impression] == event.subject


def test_a_return_follows_a_purchase_which_there_is_once(shop: str) -> None:
    bought: set[str] = set()
    for event in decoded_of(shop):
        if isinstance(event, Impression):
            continue
        if event.kind == "purchase":
            assert event.impression not in bought
            bought.add(event.impression)
        else:
            assert event.kind == "return"
            assert event.impression in bought


def test_a_third_of_the_impressions_is_bought(shop: str) -> None:
    kinds = Counter(type(event).__name__ for event in decoded_of(shop))
    history = history_of(shop)
    assert kinds["Impression"] == 3 * kinds["Purchase"]
    assert (kinds["Return"] > 0) == (shop != "complete_journey")  # a grocery takes nothing back
    assert len(history) == 3 * sum(label(sample.actions) for sample in history)


def test_the_same_seed_gives_the_same_bytes(dataset: Dataset, events: list[Record]) -> None:
    assert list(opened(dataset.name).events(5_000)) == events[:5_000]
    assert list(islice(opened(dataset.name, seed=1).events(), 100)) != events[:100]


def test_a_limit_is_the_beginning_of_the_whole(dataset: Dataset, events: list[Record]) -> None:
    assert list(dataset.events(7)) == events[:7]
    assert list(dataset.events(0)) == []


def test_a_product_has_one_price_and_text_a_day_for_both_classes(shop: str) -> None:
    impressions = [event for event in decoded_of(shop) if isinstance(event, Impression)]
    for _, of_day in groupby(impressions, key=lambda event: event.time_ms // 86_400_000):
        faces: dict[str, tuple[object, ...]] = {}
        for event in of_day:
            face = (event.text, event.attributes["price"])
            assert faces.setdefault(event.item, face) == face


def test_what_a_model_may_read_beside_popularity_does_not_give_the_label_away(gift_shop: str) -> None:
    """Price, the text's length and the position rank bought products hardly better than chance."""
    table = np.array([row[1:] for row in outcomes(decoded_of(gift_shop))], dtype=float)
    labels = table[:, 0]
    for column in (2, 3, 4):
        assert abs(auc(table[:, column], labels) - 0.5) < 0.05


def outcomes(events: list[Impression | ActionEvent]) -> list[tuple[int, int, float, float, int, int, str]]:
    """Week, label, popularity, price, length of text, position and item of each impression."""
    bought = {event.impression for event in events if isinstance(event, ActionEvent) and event.kind == "purchase"}
    return [
        (
            (event.time_ms - MONDAY_MS) // WEEK_MS,
            int(event.id in bought),
            float(event.attributes["popularity"] or 0),
            float(event.attributes["price"] or 0),
            len(event.text),
            event.position or 0,
        )
        for event in events
        if isinstance(event, Impression)
    ]


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    ranks = rankdata(scores)
    positives = int(labels.sum())
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def weekly_auc(table: np.ndarray, column: int) -> float:
    """Mean over weeks, as figures of this stream are quoted."""
    weeks = [table[table[:, 0] == week] for week in np.unique(table[:, 0])]
    return float(np.mean([auc(week[:, column], week[:, 1]) for week in weeks if len(week) >= 100]))


@real("online_retail")
def test_the_real_shop_has_the_counts_and_the_reference_that_are_known_of_it() -> None:
    events = stream_of("online_retail")
    assert len(history_of("online_retail")) == 27_267
    assert Counter(msgspec.json.decode(event.value or b"")["type"] for event in events) == {
        "impression": 90_966,
        "purchase": 30_322,
        "return": 969,
    }
    assert weekly_auc(np.array(outcomes(decoded_of("online_retail")), dtype=float), column=2) == pytest.approx(
        0.840, abs=0.005
    )


def test_the_grocery_has_the_counts_and_the_reference_that_are_known_of_it() -> None:
    events = stream_of("complete_journey")
    kinds = Counter(msgspec.json.decode(event.value or b"")["type"] for event in events)
    reference = weekly_auc(np.array(outcomes(decoded_of("complete_journey")), dtype=float), column=2)
    assert (len(history_of("complete_journey")), kinds["impression"], kinds["purchase"]) == (32_058, 70_695, 23_565)
    assert reference == pytest.approx(0.893, abs=0.005)


@real("open_bandit")
def test_the_real_week_of_recommendations_has_the_counts_that_are_known_of_it() -> None:
    week, first_day = stream_of("open_bandit"), history_of("open_bandit")
    shown = [event for event in decoded_of("open_bandit") if isinstance(event, Impression)]
    assert len(first_day) + len(shown) == 40_000
    assert len(week) - len(shown) + sum(label(sample.actions) for sample in first_day) == 207
    assert {event.position for event in shown} == {1, 2, 3}
    assert len({event.text for event in shown}) == 80
    assert len({event.query for event in shown} | {sample.query for sample in first_day}) == 317  # of whole hashes, too
    alike = {"men": 1 / 34, "women": 1 / 46}  # the policy random shows all items of a campaign alike
    for event in shown:
        if event.attributes["policy"] == "random":
            assert event.propensity == pytest.approx(alike[str(event.attributes["campaign"])])


def test_a_heartbeat_is_valid_and_has_no_key() -> None:
    record = heartbeat(1_300_000_000_000)
    assert record.key is None
    assert decode(record.value, record.time_ms).time_ms == 1_300_000_000_000


def test_an_unknown_name_is_reported_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"^data set is 'x'; it must be one of complete_journey, online_retail, open_bandit, simulation$",
    ):
        open_dataset("x")
    assert NAMES == ("complete_journey", "online_retail", "open_bandit", "simulation")


def test_the_simulation_says_that_it_is_one() -> None:
    simulated = open_dataset("simulation")
    assert "simulation" in simulated.about
    for event in decoded(list(simulated.events(100))):
        assert event.id.startswith("simulation-")
        if isinstance(event, Impression):
            assert event.item.startswith("simulation-")


def test_real_data_name_their_origin_and_licence() -> None:
    assert "MIT" in complete_journey.ABOUT
    assert "education and exploration" in complete_journey.ABOUT
    assert "CC BY 4.0" in online_retail.ABOUT
    assert "10.24432/C5BW33" in online_retail.ABOUT
    assert "Apache-2.0" in open_bandit.ABOUT
    assert "arXiv:2008.07146" in open_bandit.ABOUT
