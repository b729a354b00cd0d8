"""Models of several labels: the logits that are added, their loss, and what stays as it was with them."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from importance import estimators
from importance.errors import InvalidInput
from importance.sample import Action, Outcome, Sample
from importance.task_labels import MISSING, task_labels
from importance.tasks import Tasks
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.difference import weight_changes
from trainer.exchange.export import export
from trainer.forward import predict, provided, run
from trainer.fused import FusedNetwork
from trainer.labelled import Labelled
from trainer.memory import measured
from trainer.model import InteractionModel, losses, positive_probability, task_losses
from trainer.tasks import evaluate_tasks, predict_further, with_tasks
from trainer.tuning import FineTuning, Optimisation, TrainingLoop, TrainingRows, checkpoint, fine_tune
from trainer.tuning.increment import prepared
from trainer.version_directory import Model

from .conftest import ARCHITECTURES, hugging_face_directory, labels_of
from .test_exchange import logits_alone
from .tuning.cases import parameters, same

TASKS = Tasks(further=((Outcome.ADD_TO_CART, 0.5), (Outcome.PURCHASE, 1.0)))
FUNNEL = (Action.NONE, Action.CLICK, Action.CLICK | Action.ADD_TO_CART, Action.CLICK | Action.PURCHASE)
NUMBERS = st.floats(-40, 40, width=32)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([MISSING, 0, 1]), st.sampled_from([MISSING, 0, 1])))


def tuning(tasks: Tasks = TASKS, steps: int = 6) -> FineTuning:
    return FineTuning(steps, optimisation=Optimisation(32, tasks=tasks))


@pytest.fixture(scope="module")
def mixed(samples: list[Sample]) -> list[Sample]:
    """The shop's samples with outcomes of every strength, of some of which purchases are not recorded."""
    return [
        answered(sample, FUNNEL[number % 4] if sample.actions else Action.NONE, number % 5 == 0)
        for number, sample in enumerate(samples)
    ]


def answered(sample: Sample, actions: Action, hidden: bool) -> Sample:
    attributes = {**sample.attributes, **({"observed": "click,add_to_cart"} if hidden else {})}
    return msgspec.structs.replace(sample, actions=int(actions), attributes=attributes)


@pytest.fixture(params=["interaction", "bert-1", "bert-2", "roberta-1", "gpt2-2"])
def version(request: pytest.FixtureRequest, first: Path, tmp_path: Path) -> Model:
    """A version of one label, of one logit or of two."""
    name, _, outputs = request.param.partition("-")
    if name == "interaction":
        return versions.load(first, with_moments=True, with_auxiliary=True)
    if name == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=64, pad_token_id=0, num_labels=2
        )
    else:
        config = ARCHITECTURES[name](int(outputs))
    source = hugging_face_directory(tmp_path / "source", config)
    return versions.load(from_pretrained(str(source), tmp_path / "version"))


# ---- the loss


@given(ROWS, st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)))
def test_a_missing_label_has_no_loss_and_no_gradient(
    rows: list[tuple[float, float, int, int]], weights: tuple[float, float]
) -> None:
    logits = torch.tensor([row[:2] for row in rows]).reshape(-1, 2).requires_grad_()
    labels = torch.tensor([row[2:] for row in rows], dtype=torch.int8).reshape(-1, 2)
    each = task_losses(logits, labels, torch.tensor(weights))
    each.sum().backward()
    assert logits.grad is not None
    assert not logits.grad[labels < 0].any()
    assert bool((logits.grad[labels >= 0] != 0).all())
    assert not each[(labels < 0).all(dim=1)].any()


@given(ROWS)
def test_where_all_labels_are_known_it_is_the_weighted_sum_of_the_losses_by_label(
    rows: list[tuple[float, float, int, int]],
) -> None:
    logits = torch.tensor([row[:2] for row in rows]).reshape(-1, 2)
    labels = torch.tensor([row[2:] for row in rows], dtype=torch.int8).reshape(-1, 2).clamp(min=0)
    expected = 0.5 * losses(logits[:, :1], labels[:, 0]) + 2 * losses(logits[:, 1:], labels[:, 1])
    torch.testing.assert_close(task_losses(logits, labels, torch.tensor([0.5, 2.0])), expected)


# ---- the logits that are added


def test_a_task_starts_as_the_scored_label_whose_predictions_stay(version: Model, samples: list[Sample]) -> None:
    before = predict(version, samples[:40])
    wide = with_tasks(version, TASKS.names)
    np.testing.assert_allclose(predict(wide, samples[:40]), before, rtol=0, atol=1e-6)
    for column in predict_further(wide, samples[:40]).T:
        np.testing.assert_allclose(column, before, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(predict(version, samples[:40]), before)  # a copy was changed


def test_the_same_tasks_change_nothing_and_none_again_are_the_version_as_it_was(first: Path) -> None:
    model = versions.load(first, with_moments=True, with_auxiliary=True)
    assert with_tasks(model, ()) is model
    wide = with_tasks(model, TASKS.names)
    assert with_tasks(wide, TASKS.names) is wide
    narrow = with_tasks(wide, ())
    assert same(parameters(model), parameters(narrow))
    assert model.moments is not None
    assert narrow.moments is not None
    assert same(model.moments, narrow.moments)
    assert narrow.card == model.card


def test_a_task_that_stays_keeps_its_logit_wherever_it_is_named(untrained: Model) -> None:
    wide = with_tasks(untrained, TASKS.names)
    wide.network.final.weight.data += torch.arange(3.0).unsqueeze(1)
    again = with_tasks(wide, ("click", "purchase", "add_to_cart"))
    torch.testing.assert_close(again.network.final.weight, wide.network.final.weight[[0, 2, 1]])


def test_what_is_scored_reads_the_first_logit_alone(first: Path, samples: list[Sample]) -> None:
    """Every estimator, the state they read, and the fused network of rankings."""
    uniform, labels = Labelled(samples[:200], labels_of(samples[:200])), labels_of(samples[200:240])
    one, wide = versions.load(first), with_tasks(versions.load(first), TASKS.names)
    wide.network.final.weight.data[1:].normal_()
    one, wide = measured(one, uniform), measured(wide, uniform)
    chosen = [found for found in map(estimators.get, estimators.names()) if found.needs <= provided(one)]
    encoded = one.tokens.encode(samples[200:240])
    expected, found = (run(model, encoded, labels, chosen) for model in (one, wide))
    np.testing.assert_allclose(found.prediction, expected.prediction, rtol=0, atol=1e-6)
    for name in expected.importance:
        # The random matrix of a projection is drawn by the layer's width.
        if name not in {"gradient_alignment"}:
            np.testing.assert_allclose(found.importance[name], expected.importance[name], rtol=1e-4, atol=1e-5)
    assert isinstance(wide.network, InteractionModel)
    fused = positive_probability(FusedNetwork(wide.network).logits(encoded)).numpy()
    np.testing.assert_allclose(fused, expected.prediction, rtol=0, atol=1e-6)


def test_the_weights_of_a_version_that_gained_tasks_are_compared_from_where_they_started(untrained: Model) -> None:
    wide = with_tasks(untrained, TASKS.names)
    assert set(weight_changes(untrained, wide).values()) == {0.0}
    wide.network.final.weight.data[2] *= 2
    assert weight_changes(untrained, wide)["final"] == pytest.approx(1 / 3**0.5, rel=1e-3)


# ---- fine-tunes


def test_a_task_without_any_label_keeps_its_logit(first: Path, mixed: list[Sample]) -> None:
    hidden = [msgspec.structs.replace(one, attributes={"observed": ""}) for one in mixed]
    rows = TrainingRows(hidden, labels_of(mixed), np.ones(600), np.arange(600) >= 300)
    optimisation = replace(tuning().optimisation, weight_decay=0.0)  # it moves weights that have no gradient
    alone = fine_tune(versions.load(first), rows, tuning(Tasks()), seed=1)
    base = with_tasks(versions.load(first), TASKS.names)
    start = base.network.final.weight.detach().clone()
    together = fine_tune(base, rows, replace(tuning(), optimisation=optimisation), seed=1)
    torch.testing.assert_close(together.model.network.final.weight[1:], start[1:], rtol=0, atol=0)
    assert together.loss == pytest.approx(alone.loss, rel=1e-3)


def test_a_fine_tune_learns_every_task_from_what_is_known(first: Path, mixed: list[Sample]) -> None:
    assert (task_labels(mixed, TASKS.names[1:]) == MISSING).any(axis=0).all()
    rows = TrainingRows(mixed, labels_of(mixed), np.ones(600), np.arange(600) >= 300)
    base = with_tasks(versions.load(first, with_moments=True), TASKS.names)
    before = base.network.final.weight.detach().clone()
    tuned = fine_tune(base, rows, tuning(steps=40), seed=1).model
    rest = tuned.network.final.weight - before
    assert all(bool(row.any()) for row in rest)
    found = evaluate_tasks(tuned, mixed)
    assert list(found) == ["add_to_cart", "purchase"]
    assert found["purchase"].auc is not None
    assert found["purchase"].auc > 0.7
    assert found["purchase"].samples == sum(sample.attributes.get("observed") is None for sample in mixed)


def test_steps_split_by_a_state_are_the_same_steps(first: Path, mixed: list[Sample], tmp_path: Path) -> None:
    rows = TrainingRows(mixed, labels_of(mixed), np.ones(600), np.arange(600) >= 300)

    def loop() -> TrainingLoop:
        model = with_tasks(versions.load(first, with_moments=True), TASKS.names)
        return TrainingLoop(model, prepared(model, rows, tuning(), 1), tuning().optimisation, 1)

    whole, interrupted, continued = loop(), loop(), loop()
    while not whole.finished:
        whole.step()
    for _ in range(3):
        interrupted.step()
    continued.restore(checkpoint.load(checkpoint.save(interrupted.state(), tmp_path / "state")))
    while not continued.finished:
        continued.step()
    assert same(parameters(whole.result().model), parameters(continued.result().model))


def test_a_model_without_the_logits_of_the_tasks_is_refused(first: Path, mixed: list[Sample]) -> None:
    rows = TrainingRows(mixed, labels_of(mixed), np.ones(600), np.ones(600, bool))
    with pytest.raises(InvalidInput, match="give it those by with_tasks"):
        fine_tune(versions.load(first), rows, tuning(), seed=1)


def test_a_task_of_one_class_has_no_auc(untrained: Model, samples: list[Sample]) -> None:
    found = evaluate_tasks(with_tasks(untrained, TASKS.names), samples)
    assert (found["add_to_cart"].positives, found["add_to_cart"].auc) == (0, None)  # this shop sees purchases only
    assert evaluate_tasks(untrained, samples) == {}


# ---- on disk


def test_a_version_keeps_its_tasks_and_predicts_the_same(version: Model, samples: list[Sample], tmp_path: Path) -> None:
    wide = with_tasks(version, TASKS.names)
    wide.network.final.weight.data.add_(0.1 * torch.randn(wide.network.final.weight.shape))
    again = versions.load(versions.save(wide, tmp_path / "saved"), with_moments=True, with_auxiliary=True)
    assert again.card.tasks == TASKS.names
    np.testing.assert_array_equal(predict(again, samples[:20]), predict(wide, samples[:20]))
    np.testing.assert_array_equal(predict_further(again, samples[:20]), predict_further(wide, samples[:20]))


def test_the_card_of_a_single_label_is_as_before(first: Path) -> None:
    assert "tasks" not in json.loads((first / "weir.json").read_bytes())


def test_an_export_names_its_logits_for_transformers_and_is_taken_over_again(
    version: Model, samples: list[Sample], tmp_path: Path
) -> None:
    wide = with_tasks(version, TASKS.names)
    wide.network.final.weight.data.add_(0.1 * torch.randn(wide.network.final.weight.shape))
    exported = export(wide, tmp_path / "exported", "# card")
    config = json.loads((exported / "config.json").read_bytes())
    assert config["id2label"] == {"0": "click", "1": "add_to_cart", "2": "purchase"}
    assert config["problem_type"] == "multi_label_classification"
    shown = samples[:10]
    with torch.no_grad():
        output = wide.network(wide.tokens.encode(shown).batch(np.arange(len(shown))))
        expected = torch.cat([output.logits, output.further], dim=1).double().numpy()
    remote = isinstance(wide.network, InteractionModel)
    np.testing.assert_allclose(logits_alone(exported, shown, remote, tmp_path), expected, rtol=0, atol=1e-6)
    again = versions.load(from_pretrained(str(exported), tmp_path / "again"))
    assert again.card.tasks == TASKS.names
    assert same(parameters(wide), parameters(again))
