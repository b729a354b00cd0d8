"""Labels of further tasks: what is known of a sample, and what is not."""

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.sample import Action, Outcome, Sample
from importance.task_labels import MISSING, task_labels, unknown_observed
from importance.tasks import TASK_ACTIONS, Tasks, parse

TASKS = tuple(str(task) for task in TASK_ACTIONS)
ACTIONS = st.integers(0, 2 * max(Action) - 1)


def labels(actions: int, **attributes: str | float) -> list[int]:
    sample = Sample("s", "u", "search", "", "i", "", 0, 0, 0, actions=actions, attributes=attributes)
    (found,) = task_labels([sample], TASKS).tolist()
    return found


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        pytest.param(Action.NONE, [0, 0, 0], id="nothing happened"),
        pytest.param(Action.CLICK, [1, 0, 0], id="a click"),
        pytest.param(Action.CLICK | Action.ADD_TO_CART, [1, 1, 0], id="and into the cart"),
        pytest.param(Action.CLICK | Action.PURCHASE, [1, MISSING, 1], id="bought, the cart was not seen"),
        pytest.param(Action.PURCHASE, [MISSING, MISSING, 1], id="bought, and nothing else was seen"),
        pytest.param(Action.CLICK | Action.ADD_TO_CART | Action.PURCHASE | Action.RETURN, [1, 1, 0], id="given back"),
        pytest.param(Action.RETURN, [MISSING, MISSING, 0], id="given back, so bought before, which was not seen"),
        pytest.param(Action.PURCHASE | Action.RETURN, [MISSING, MISSING, 0], id="bought and given back"),
        pytest.param(Action.CLICK | Action.RETURN, [1, MISSING, 0], id="a click, and given back"),
        pytest.param(Action.RATING, [0, 0, 0], id="a rating"),
    ],
)
def test_a_label_is_one_where_its_action_was_recorded_and_missing_where_only_a_stronger_one_was(
    actions: Action, expected: list[int]
) -> None:
    assert labels(int(actions)) == expected


@given(ACTIONS)
def test_what_is_known_of_a_task_is_what_its_own_action_says(actions: int) -> None:
    for (task, action), label in zip(TASK_ACTIONS.items(), labels(actions), strict=True):
        if label == 1:
            assert actions & action
        elif label == 0:
            assert not actions & action or (task is Outcome.PURCHASE and actions & Action.RETURN)


@given(ACTIONS, st.sets(st.sampled_from(TASKS)))
def test_what_is_not_recorded_for_an_impression_is_missing_and_the_rest_stays(actions: int, observed: set[str]) -> None:
    found = labels(actions, observed=", ".join(sorted(observed)))
    for task, label, whole in zip(TASKS, found, labels(actions), strict=True):
        assert label == (whole if task in observed else MISSING)


def test_an_attribute_that_names_nothing_readable_hides_nothing() -> None:
    assert labels(int(Action.CLICK), observed=3.0) == labels(int(Action.CLICK))


def test_names_that_are_no_outcomes_are_found_and_their_samples_counted() -> None:
    samples = [
        Sample("s", "u", "ad", "", "i", "", 0, 0, 0, attributes={"observed": observed})
        for observed in ("clicks, add-to-cart", "click,,return", "click, add-to-cart", 3.0, "")
    ]
    assert unknown_observed(samples) == (("add-to-cart", "clicks"), 2)
    assert unknown_observed([]) == ((), 0)


def test_no_samples_and_no_tasks_have_labels_of_their_shape() -> None:
    assert task_labels([], TASKS).shape == (0, 3)
    assert task_labels([Sample("s", "u", "ad", "", "i", "", 0, 0, 0)], ()).shape == (1, 0)


def test_a_weight_is_one_unless_given_and_the_scored_label_comes_first() -> None:
    tasks = parse("add_to_cart = 0.5, purchase", Outcome.CLICK)
    assert (tasks.names, tasks.weights) == (("click", "add_to_cart", "purchase"), (0.5, 1.0))
    assert parse(" ", Outcome.CLICK) == Tasks()
    assert Tasks().names == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("click", "'click' is not a further task: choose of add_to_cart, purchase"),
        ("rating", "'rating' is not a further task"),
        ("purchase,purchase=2", "purchase is named twice"),
        ("purchase=0", "the weight of purchase is 0; it must be a number above 0"),
        ("purchase=inf", "it must be a number above 0"),
        ("purchase=nan", "it must be a number above 0"),
        ("purchase=", "the weight of purchase is ''"),
    ],
)
def test_what_is_not_a_list_of_tasks_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse(text, Outcome.CLICK)


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        (((Outcome.CLICK, 1.0),), "'click' is not a further task: choose of add_to_cart, purchase"),
        (((Outcome.NONE, 1.0),), "'none' is not a further task"),
        (((Outcome.PURCHASE, 1.0), (Outcome.PURCHASE, 2.0)), "purchase is named twice"),
        (((Outcome.PURCHASE, nan),), "the weight of purchase is nan; it must be a number above 0"),
        (((Outcome.PURCHASE, -1.0),), "the weight of purchase is -1; it must be a number above 0"),
    ],
)
def test_tasks_that_cannot_be_learned_are_refused_however_they_are_made(
    further: tuple[tuple[Outcome, float], ...], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Tasks(further=further)
