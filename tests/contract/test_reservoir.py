"""One suite over every buffer: the pure one in memory, and the one in Postgres."""

from collections.abc import Sequence
from math import exp, inf

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importance.sample import Action, Correction, label, outcome
from importance.scores import Offer
from importance.strata import STRATA
from tests.contract.buffers import WRITERS, SharedBuffer
from tests.support.storage import offer

SUBJECTS = ("bot", "someone", "another")


def top(
    offers: Sequence[Offer], capacities: dict[str, int], most: dict[str, int]
) -> tuple[dict[str, float], dict[tuple[str, str], float], set[str]]:
    """By plain sorting: the q largest keys of a subject, κₕ the next; of those the k largest are held, κ the next."""
    thresholds, bounds, ids = {}, {}, set()
    for stratum, capacity in capacities.items():
        left: list[tuple[float, str]] = []
        bound = most[stratum] if most[stratum] < capacity else len(offers)
        for subject in SUBJECTS:
            at = (stratum, subject)
            own = {(each.key, each.sample.id) for each in offers if (each.stratum, each.sample.subject) == at}
            ordered = sorted(own, reverse=True)
            left += ordered[:bound]
            bounds[at] = ordered[bound][0] if len(ordered) > bound else -inf
        ordered = sorted(left, reverse=True)
        thresholds[stratum] = ordered[capacity][0] if len(ordered) > capacity else -inf
        ids |= {id_ for _, id_ in ordered[:capacity]}
    return thresholds, {at: kappa for at, kappa in bounds.items() if kappa > thresholds[at[0]]}, ids


KEYS = st.floats(-50, 50, allow_subnormal=False)


@st.composite
def offered(draw: st.DrawFn) -> list[Offer]:
    """Offers with ids and keys of their own."""
    keys = draw(st.lists(KEYS, max_size=40, unique=True))
    return [
        offer(
            f"i{n}",
            key,
            draw(st.sampled_from(STRATA)),
            log_weight=key - draw(st.floats(0, 30)),
            subject=draw(st.sampled_from(SUBJECTS)),
        )
        for n, key in enumerate(keys)
    ]


@st.composite
def deliveries(draw: st.DrawFn, offers: list[Offer]) -> list[tuple[int, list[Offer]]]:
    """All offers, some of them twice, in any order, in batches of any size, each by any writer."""
    again = draw(st.lists(st.sampled_from(offers), max_size=10)) if offers else []
    order = draw(st.permutations([*offers, *again]))
    batches = []
    while order:
        size = draw(st.integers(1, len(order)))
        batches.append((draw(st.integers(0, WRITERS - 1)), order[:size]))
        order = order[size:]
    return batches


quiet = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quiet
@given(st.data())
def test_buffer_and_thresholds_are_a_function_of_the_set_of_offers(buffer: SharedBuffer, data: st.DataObject) -> None:
    capacities = {name: data.draw(st.integers(0, 6)) for name in STRATA}
    most = {name: data.draw(st.integers(1, 4)) for name in STRATA}
    offers = data.draw(offered())
    buffer.empty(capacities, most)
    for writer, batch in data.draw(deliveries(offers)):
        buffer.write(writer, batch, [])
    thresholds, held = buffer.trimmed()
    kappas, bounds, ids = top(offers, capacities, most)
    assert {name: thresholds[name].kappa for name in STRATA} == kappas
    assert thresholds.subjects == bounds
    assert set(held) == ids
    by_id = {each.sample.id: each for each in offers}
    for id_, (stratum, probability, _, log_weight) in held.items():
        expected = by_id[id_]
        assert (stratum, log_weight) == (expected.stratum, expected.log_weight)
        kappa = max(kappas[stratum], bounds.get((stratum, expected.sample.subject), -inf))
        assert probability == pytest.approx(exp(min(0.0, log_weight - kappa)), rel=1e-12)


@quiet
@given(st.data())
def test_labels_are_a_function_of_the_set_of_late_actions(buffer: SharedBuffer, data: st.DataObject) -> None:
    offers = data.draw(offered())
    capacities = dict.fromkeys(STRATA, len(offers))
    ids = [each.sample.id for each in offers]
    bits = st.sampled_from([each.value for each in Action])
    late = data.draw(st.lists(st.builds(Correction, st.sampled_from([*ids, "nobody"]), bits), max_size=20))
    buffer.empty(capacities)
    buffer.write(0, offers, [])
    repeated = data.draw(st.permutations([*late, *late]))
    half = data.draw(st.integers(0, len(repeated)))
    buffer.write(1, [], repeated[:half])
    buffer.write(2, [], repeated[half:])
    _, held = buffer.trimmed()
    for each in offers:
        actions = each.sample.actions
        for correction in late:
            actions |= correction.actions if correction.sample_id == each.sample.id else 0
        assert held[each.sample.id][2] == label(actions), outcome(actions)


@settings(quiet, max_examples=20)
@given(st.data())
def test_an_erasure_removes_a_subject_s_rows_and_moves_no_threshold(buffer: SharedBuffer, data: st.DataObject) -> None:
    """All before it is offered again behind it, together with other samples, and with later ones of the subject."""
    capacities = {name: data.draw(st.integers(1, 6)) for name in STRATA}
    most = {name: data.draw(st.integers(1, 4)) for name in STRATA}
    offers = data.draw(offered())  # split, as their keys must differ
    many = data.draw(st.integers(0, len(offers)))
    before, after = offers[:many], offers[many:]
    later_ms = 4_000_000_000_000
    after = [
        msgspec.structs.replace(
            each, sample=msgspec.structs.replace(each.sample, id=f"later-{each.sample.id}", time_ms=later_ms)
        )
        for each in after
    ]
    buffer.empty(capacities, most)
    for writer, batch in data.draw(deliveries(before)):
        buffer.write(writer, batch, [])
    thresholds, held = buffer.trimmed()
    buffer.erase("bot")
    of_bot = {each.sample.id for each in before if each.sample.subject == "bot"}
    now, left = buffer.trimmed()
    assert {id_: row for id_, row in held.items() if id_ not in of_bot} == left
    assert now.by_stratum == thresholds.by_stratum
    assert now.subjects == {at: kappa for at, kappa in thresholds.subjects.items() if at[1] != "bot"}
    for writer, batch in data.draw(deliveries([*before, *after])):
        buffer.write(writer, batch, [])
    _, replayed = buffer.trimmed()
    may_be_held = [each for each in before if each.sample.id in left]
    may_be_held += [each for each in after if each.key > now.kappa(each.stratum, each.sample.subject)]
    assert set(replayed) == top(may_be_held, capacities, most)[2]
