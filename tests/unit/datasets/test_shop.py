"""Order lines become interactions whose label nothing but the purchase tells."""

from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from datasets.interaction import Answer, Shown
from datasets.shop import DAY_MS, Line, Mapping, interactions
from importance.sample import Action

START = int(datetime(2011, 1, 1, 9, tzinfo=UTC).timestamp()) * 1_000
STREAM = Mapping("test", 0, stream_start_ms=START - 9 * 3_600_000)
MINUTE = 60_000


def sale(
    order: str, item: str, day: int = 0, minute: int = 0, price: float = 1.0, customer: str = "c", text: str = ""
) -> Line:
    return Line(order, item, text or f"text of {item}", price, START + day * DAY_MS + minute * MINUTE, customer, "UK")


def opening(*items: str) -> list[Line]:
    """A first day on which each product is sold once, so that all are known from the second day on."""
    return [sale(f"first-{item}", item) for item in items]


def shown(lines: list[Line], mapping: Mapping = STREAM) -> list[Shown]:
    return [event for event in interactions(lines, mapping) if isinstance(event, Shown)]


def answers(lines: list[Line], mapping: Mapping = STREAM) -> list[Answer]:
    return [event for event in interactions(lines, mapping) if isinstance(event, Answer)]


def face(one: Shown) -> tuple[str, object]:
    return one.text, one.attributes["price"]


CATALOGUE = [f"p{number}" for number in range(20)]


def test_a_bought_product_is_shown_beside_two_that_were_not_bought() -> None:
    slate = shown([*opening(*CATALOGUE), sale("o", "p3", day=1)])
    assert len(slate) == 3
    assert [one.item for one in slate if one.action] == ["p3"]
    assert sorted(one.position for one in slate) == [1, 2, 3]
    assert len({one.item for one in slate}) == 3
    assert len({one.id for one in slate}) == 3
    assert len({(one.time_ms, one.subject, one.query, one.attributes["country"]) for one in slate}) == 1


def test_a_product_is_not_shown_on_the_day_of_its_first_sale() -> None:
    assert shown([*opening(*CATALOGUE), sale("o", "new", day=1)]) == []
    assert shown(opening(*CATALOGUE)) == []


def test_no_drawn_product_lies_in_the_order() -> None:
    order = [sale("o", f"p{number}", day=1) for number in range(15)]
    bought = {line.item for line in order}
    for seed in range(50):
        drawn = [
            one.item for one in shown([*opening(*CATALOGUE), *order], STREAM._replace(seed=seed)) if not one.action
        ]
        assert len(drawn) == 6
        assert not bought & set(drawn)


def test_both_classes_take_price_and_text_from_yesterdays_catalogue() -> None:
    lines = [
        *opening(*CATALOGUE),
        sale("o", "p1", day=1, price=99.0, text="RENAMED TODAY"),
        sale("o2", "p1", day=2, price=5.0, text="AGAIN"),
    ]
    first_day = {one.item: face(one) for one in shown(lines) if one.id.startswith("test-0-o-")}
    assert first_day["p1"] == ("text of p1", 1.0)
    second_day = {one.item: face(one) for one in shown(lines) if one.id.startswith("test-0-o2-")}
    assert second_day["p1"] == ("RENAMED TODAY", 99.0)
    for seed in range(20):
        for one in shown(lines, STREAM._replace(seed=seed)):
            if one.item != "p1":
                assert face(one) == (f"text of {one.item}", 1.0)


def test_a_drawn_products_propensity_is_its_chance_to_be_drawn() -> None:
    # 20 products are known, 2 of them in the order: 2 are drawn from 18.
    lines = [*opening(*CATALOGUE), sale("o", "p0", day=1), sale("o", "p1", day=1)]
    times: Counter[str] = Counter()
    seeds = 2_000
    for seed in range(seeds):
        for one in shown(lines, STREAM._replace(seed=seed)):
            assert one.propensity == (1.0 if one.action else pytest.approx(2 / 18))
            times[one.item] += not one.action
    slates = 2 * seeds
    expected = slates * 2 / 18
    assert set(times) == set(CATALOGUE)
    for item in CATALOGUE[2:]:
        # 5 standard deviations of a binomial with 4,000 tries of chance 1/9
        assert abs(times[item] - expected) < 5 * (expected * (1 - 1 / 9)) ** 0.5
    assert times["p0"] == times["p1"] == 0


def test_a_position_says_nothing_about_the_label() -> None:
    lines = [*opening(*CATALOGUE), sale("o", "p0", day=1)]
    bought = Counter(
        one.position for seed in range(3_000) for one in shown(lines, STREAM._replace(seed=seed)) if one.action
    )
    assert all(abs(count - 1_000) < 5 * (3_000 * 2 / 9) ** 0.5 for count in bought.values())
    assert set(bought) == {1, 2, 3}


def test_the_query_is_what_was_put_in_before() -> None:
    order = [sale("o", f"p{number}", day=1) for number in range(3)]
    queries = {one.item: one.query for one in shown([*opening(*CATALOGUE), *order]) if one.action}
    assert queries == {"p0": "", "p1": "text of p0", "p2": "text of p0, text of p1"}
    order = [sale("o", item, day=1) for item in ("new", "p1", "p1", "p2", "p3", "p4")]
    queries = {}
    for seed in range(40):
        queries |= {
            one.item: one.query
            for one in shown([*opening(*CATALOGUE), *order], STREAM._replace(seed=seed))
            if one.action
        }
    assert queries["p1"] == "text of new"
    assert queries["p4"] == "text of p1, text of p2, text of p3"


def test_an_order_shows_at_most_three_products_and_eight_in_history() -> None:
    order = [sale("o", f"p{number}", day=1) for number in range(12)]
    lines = [*opening(*[f"p{number}" for number in range(30)]), *order]
    assert sum(bool(one.action) for one in shown(lines)) == 3
    history = STREAM._replace(stream_start_ms=START + 10 * DAY_MS)
    assert sum(bool(one.action) for one in shown(lines, history)) == 8


def test_a_product_ordered_in_two_lines_is_shown_once() -> None:
    lines = [*opening(*CATALOGUE), sale("o", "p1", day=1), sale("o", "p1", day=1, price=2.0)]
    assert sum(bool(one.action) for one in shown(lines)) == 1


def test_popularity_counts_orders_before_this_one_with_a_half_life_of_14_days() -> None:
    lines = [
        sale("a", "p1"),
        sale("a", "p1"),  # the same order again: counts once
        sale("b", "p1"),
        sale("c", "p2", day=1),
        sale("d", "p1", day=14),
        sale("e", "p1", day=14),
    ]
    found = {
        one.id.split("-")[2]: one.attributes["popularity"] for one in shown(lines) if one.item == "p1" and one.action
    }
    # After 14 days the two orders count for a half each; order e sees order d as well.
    assert found == {"d": 1.0, "e": 2.0}


def test_a_purchase_follows_its_impression_within_the_minute() -> None:
    lines = [*opening(*CATALOGUE), *[sale("o", f"p{number}", day=1) for number in range(8)]]
    for mapping in (STREAM, STREAM._replace(stream_start_ms=START + 10 * DAY_MS)):
        times = {one.id: one.time_ms for one in shown(lines, mapping) if one.action}
        purchases = {answer.impression: answer.time_ms for answer in answers(lines, mapping)}
        assert set(purchases) == set(times)
        for name, time_ms in times.items():
            assert START + DAY_MS <= time_ms < purchases[name] < START + DAY_MS + MINUTE


def test_a_cancellation_returns_the_latest_purchase_once() -> None:
    lines = [
        *opening(*CATALOGUE),
        sale("o1", "p1", day=1),
        sale("o2", "p1", day=2),
        sale("C1", "p1", day=3)._replace(cancels=True),
        sale("C2", "p1", day=4)._replace(cancels=True),
    ]
    returned = [answer for answer in answers(lines) if answer.kind == "return"]
    assert len(returned) == 1
    assert returned[0].impression.startswith("test-0-o2-")
    assert returned[0].time_ms == START + 3 * DAY_MS


@pytest.mark.parametrize(
    "cancelled",
    [
        pytest.param(sale("C", "p1", day=2, customer="other"), id="another customer"),
        pytest.param(sale("C", "p2", day=2), id="another product"),
    ],
)
def test_a_cancellation_of_what_was_not_shown_is_no_event(cancelled: Line) -> None:
    lines = [*opening(*CATALOGUE), sale("o", "p1", day=1), cancelled._replace(cancels=True)]
    assert [answer.kind for answer in answers(lines)] == ["purchase"]


def test_a_cancellation_of_a_purchase_in_history_is_no_event() -> None:
    mapping = STREAM._replace(stream_start_ms=START + 2 * DAY_MS - 9 * 3_600_000)
    lines = [*opening(*CATALOGUE), sale("o", "p1", day=1), sale("C", "p1", day=3)._replace(cancels=True)]
    assert [answer.kind for answer in answers(lines, mapping)] == ["purchase"]


def test_an_unknown_customers_order_is_its_own_subject() -> None:
    lines = [*opening(*CATALOGUE), sale("o", "p1", day=1, customer="")]
    assert {one.subject for one in shown(lines)} == {"o"}


def test_one_orders_draws_do_not_depend_on_the_orders_beside_it() -> None:
    alone = shown([*opening(*CATALOGUE), sale("o", "p1", day=1)])
    beside = shown([*opening(*CATALOGUE), sale("n", "p2", day=1), sale("o", "p1", day=1)])
    popular = {"popularity": 0}  # counts the orders before
    assert [one._replace(attributes=one.attributes | popular) for one in beside if "-o-" in one.id] == [
        one._replace(attributes=one.attributes | popular) for one in alone
    ]


def test_a_tiny_catalogue_gives_what_it_has() -> None:
    found = shown([*opening("p1"), sale("o", "p1", day=1)])
    assert [(one.item, one.action) for one in found] == [("p1", Action.PURCHASE)]
    found = shown([*opening("p1", "p2"), sale("o", "p1", day=1)])
    assert {one.item: one.propensity for one in found} == {"p1": 1.0, "p2": 1.0}


def test_events_come_in_order_of_time_whatever_the_orders_overlap() -> None:
    lines = opening(*CATALOGUE)
    for minute in range(30):
        lines += [sale(f"o{minute}-{number}", f"p{number}", day=1, minute=minute) for number in range(4)]
    times = [event.time_ms for event in interactions(lines, STREAM)]
    assert times == sorted(times)
    by_subject = defaultdict(list)
    for one in shown(lines):
        by_subject[one.id.rsplit("-", 1)[0]].append(one.position)
    assert all(positions == [1, 2, 3] for positions in by_subject.values())


def test_only_what_was_sold_lately_is_shown() -> None:
    recent = STREAM._replace(on_sale_days=2)
    restocked = [sale(f"again-{item}", item, day=3) for item in CATALOGUE[10:]]
    old, lately = sale("o", "p3", day=5), sale("o", "p13", day=5, minute=1)
    slate = shown([*opening(*CATALOGUE), *restocked, old, lately], recent._replace(customers_in_history=0))
    of_day = [one for one in slate if "-o-" in one.id]
    assert [one.item for one in of_day if one.action] == ["p13"]
    assert {one.item for one in of_day} <= set(CATALOGUE[10:])
    assert {one.propensity for one in of_day if not one.action} == {2 / 9}  # 10 are on sale, 1 of them in the order
    assert of_day[0].query == "text of p3"  # what is in the order is context, on sale or not


def test_orders_of_customers_that_are_not_shown_still_count() -> None:
    lines = [*opening(*CATALOGUE), *(sale(f"o{number}", "p3", day=1, customer=f"c{number}") for number in range(200))]
    few = shown(lines, STREAM._replace(customers=0.25))
    assert 20 <= len({one.subject for one in few}) <= 80
    assert {one.id: one for one in few}.items() <= {one.id: one for one in shown(lines)}.items()
    assert shown(lines, STREAM._replace(customers=0.25, seed=1))[0].subject != few[0].subject


def test_the_context_ends_with_what_the_customer_bought_most_before_that_day() -> None:
    bought = [sale(f"b{number}", "p7", minute=number) for number in range(3)]
    bought += [sale(f"d{number}", "p8", minute=number) for number in range(2)]
    lines = [*opening(*CATALOGUE[:7]), *bought, sale("x", "p9", customer="other"), sale("o", "p1", day=1)]
    lines += [sale("o", "p7", day=1), sale("o", "p2", day=1)]
    mapping = STREAM._replace(context_products=1, habits=2)
    assert {one.item: one.query for one in shown(lines, mapping) if one.action} == {
        "p1": "text of p7, text of p8",
        "p7": "text of p1, text of p7, text of p8",
        "p2": "text of p7, text of p8",  # each once
    }
