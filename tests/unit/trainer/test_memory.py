"""What a version carries for its estimators, and how it goes on from one version to the next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from importance import estimators
from importance.estimators.memory import choose_centres
from importance.mixture import GUARD, parse
from importance.sample import Sample
from importance.scale import Scale
from trainer import memory
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import passes, run
from trainer.labelled import Labelled
from trainer.model import losses
from trainer.scorer import Scorer, ScoringConfig
from trainer.tuning import FineTuning, Optimisation, TrainingRows, fine_tune
from trainer.version_directory import Model

from .conftest import ARCHITECTURES, deberta, hugging_face_directory, labels_of, shop

CPU = torch.device("cpu")
NOTHING = Labelled((), np.empty(0, np.int64))


def plain(count: int, seed: int = 7) -> Labelled:
    samples = shop(count, seed)
    return Labelled(samples, labels_of(samples))


def learned(start: Path, samples: list[Sample], labels: np.ndarray, measured_on: Labelled, steps: int = 4) -> Model:
    """The next version: a few steps on, and what it remembers."""
    base = versions.load(start, with_moments=True, with_auxiliary=True)
    before = memory.weights_of(base)
    rows = TrainingRows(samples, labels, np.ones(len(samples)), np.ones(len(samples), bool))
    tuned = fine_tune(base, rows, FineTuning(steps, optimisation=Optimisation(batch_size=32)), seed=1)
    return memory.update_state(tuned, before, measured_on)


@pytest.fixture(scope="module")
def next_version(first: Path, samples: list[Sample], labels: np.ndarray) -> Model:
    return learned(first, samples, labels, plain(300))


def test_every_estimator_and_the_guard_are_measured_on_the_same_samples(next_version: Model) -> None:
    assert set(next_version.measured) == {*estimators.names(), GUARD}
    assert {len(scores) for scores in next_version.measured.values()} == {150}
    means = memory.mean_importance(next_version)
    assert means["uniform"] == 1.0
    assert all(np.isfinite(mean) and mean >= 0 for mean in means.values())


def test_what_was_measured_is_what_the_version_scores_of_samples_that_it_did_not_learn_from(
    next_version: Model,
) -> None:
    on = plain(300)
    learned_from, measured_on = (next_version.tokens.encode(on.samples[start::2]) for start in (0, 1))
    hidden = torch.cat([seen.inputs for _, seen in passes(next_version, learned_from, None, frozenset({"hidden"}))])
    torch.testing.assert_close(next_version.state.centres, choose_centres(hidden))
    for name in ("rho", "tracin", "novelty", "forgetting", "learnability", "gradient_alignment", "grand"):
        again = run(next_version, measured_on, on.labels[1::2], [estimators.get(name)]).importance[name]
        np.testing.assert_allclose(next_version.measured[name], again, rtol=1e-5, atol=1e-6)


def test_of_many_samples_a_bounded_part_is_measured_and_a_smaller_one_backward(first: Path) -> None:
    found = memory.measured(versions.load(first, with_auxiliary=True), plain(4_200)).measured
    able = {*estimators.names(), GUARD} - {"learnability"}  # a first version has no average
    assert {name: int(np.isfinite(scores).sum()) for name, scores in found.items()} == {
        name: 500 if "gradient" in name or name == "grand" else 2_000 for name in able
    }
    assert Scale.of(parse("gradient_norm+entropy"), found).mean == pytest.approx(2.0)


def test_without_plain_samples_nothing_is_measured_and_every_sample_weighs_the_same(
    first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    bare = replace(versions.load(first), state=estimators.State(), measured={})
    start = versions.save(bare, tmp_path / "bare")
    model = learned(start, samples, labels, NOTHING)
    assert model.measured == {}
    scorer = Scorer(ScoringConfig(parse("rho", guarded=True)), CPU)
    scorer.swap("v", versions.save(model, tmp_path / "v"))
    assert scorer.missing == ["rho", GUARD]
    scores = scorer.score(samples[:5])
    assert (scores.importance.tolist(), scores.mean_importance, scores.top_threshold) == ([0.0] * 5, 0.0, None)


def test_a_network_that_was_taken_over_serves_what_needs_no_memory(samples: list[Sample], tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](1))
    directory = from_pretrained(str(source), tmp_path / "version")
    for name in estimators.names():
        scorer = Scorer(ScoringConfig(parse(name)), CPU)
        scorer.swap("v", directory)
        assert np.isfinite(scorer.score(samples[:5]).importance).all()


def test_a_network_that_cannot_be_projected_is_measured_without_the_direction(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", deberta())
    taken = from_pretrained(str(source), tmp_path / "taken")
    model = memory.measured(versions.load(taken, with_auxiliary=True), plain(60))
    assert model.state.direction is None
    refused = {"gradient_norm", "gradient_alignment", "grand"}
    untrained = {"learnability", "forgetting"}
    assert set(model.measured) == {*estimators.names(), GUARD} - refused - untrained
    scorer = Scorer(ScoringConfig(parse("gradient_alignment")), CPU)
    scorer.swap("v", versions.save(model, tmp_path / "v"))
    assert scorer.missing == ["gradient_alignment"]


def test_where_the_fallback_is_allowed_its_gradient_norms_are_those_of_a_loop(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", deberta())
    model = versions.load(from_pretrained(str(source), tmp_path / "taken", gradient_fallback=True))
    samples = shop(9)
    encoded, labels = model.tokens.encode(samples), labels_of(samples)
    norms = run(model, encoded, labels, [estimators.get("gradient_norm")]).importance["gradient_norm"]
    chosen = [weight for name, weight in model.network.named_parameters() if "position" not in name]
    for row in range(9):
        logits = model.network(encoded.batch(np.array([row]))).logits
        loss = losses(logits, torch.from_numpy(labels[row : row + 1])).sum()
        gradients = torch.autograd.grad(loss, chosen, allow_unused=True)
        expected = sum(float(part.square().sum()) for part in gradients if part is not None) ** 0.5
        assert norms[row] == pytest.approx(expected, rel=1e-5)
    again = versions.load(versions.save(model, tmp_path / "again"))
    assert again.card.gradient_fallback


def test_the_average_moves_a_tenth_of_the_way(
    first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    base = versions.load(first, with_auxiliary=True)
    assert base.average is None
    one = learned(first, samples, labels, NOTHING)
    two = learned(versions.save(one, tmp_path / "one"), samples, labels, NOTHING)
    assert one.average is not None
    assert two.average is not None
    for before, average, model in ((memory.weights_of(base), one.average, one), (one.average, two.average, two)):
        for name, weight in memory.weights_of(model).items():
            torch.testing.assert_close(average[name], 0.9 * before[name] + 0.1 * weight)


def test_the_version_before_is_the_checkpoint_of_grand(
    first: Path, next_version: Model, samples: list[Sample], labels: np.ndarray
) -> None:
    norms = estimators.get("gradient_norm")
    before = versions.load(first)
    encoded = before.tokens.encode(samples[:20])
    at = [run(model, encoded, labels[:20], [norms]).importance["gradient_norm"] for model in (before, next_version)]
    found = run(next_version, encoded, labels[:20], [estimators.get("grand")]).importance["grand"]
    np.testing.assert_allclose(found, (at[0] + at[1]) / 2, rtol=1e-5)
    alone = run(before, encoded, labels[:20], [estimators.get("grand")]).importance["grand"]
    np.testing.assert_allclose(alone, at[0], rtol=1e-6)


def test_what_training_forgot_is_counted_on_from_version_to_version(
    first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    start = versions.load(first)
    model = learned(first, samples, labels, NOTHING, steps=30)
    assert start.state.forgotten is not None
    assert model.state.forgotten is not None
    assert model.state.met is not None
    assert int(model.state.forgotten.sum()) > int(start.state.forgotten.sum())
    encoded = model.tokens.encode(samples)
    assert set(encoded.pairs(np.arange(len(samples))).tolist()) >= set(model.state.met.tolist())


def test_a_restart_changes_no_score_of_an_estimator_with_a_memory(
    next_version: Model, samples: list[Sample], tmp_path: Path
) -> None:
    directory = versions.save(next_version, tmp_path / "v")
    for name in ("rho", "tracin", "novelty", "forgetting", "learnability", "gradient_alignment", "grand"):
        scored = []
        for _ in range(2):
            scorer = Scorer(ScoringConfig(parse(name, guarded=True)), CPU)
            scorer.swap("v", directory)
            scored.append(scorer.score(samples[:30]))
        np.testing.assert_array_equal(scored[0].importance, scored[1].importance)
        assert scored[0].mean_importance == scored[1].mean_importance > 0


def test_rho_and_the_guard_know_a_wrong_label(next_version: Model) -> None:
    """Of the same samples with their labels turned, the guard thinks less, and `rho` is not taken in as loss is."""
    on = plain(400, seed=9)
    encoded = next_version.tokens.encode(on.samples)
    names = [estimators.get(name) for name in ("loss", "rho", GUARD)]
    right, wrong = (run(next_version, encoded, labels, names).importance for labels in (on.labels, 1 - on.labels))
    assert wrong[GUARD].mean() < 0.6 * right[GUARD].mean()
    assert wrong["rho"].mean() / right["rho"].mean() < wrong["loss"].mean() / right["loss"].mean()


def test_a_mixture_is_scored_by_the_means_of_the_version(
    next_version: Model, samples: list[Sample], tmp_path: Path
) -> None:
    directory = versions.save(next_version, tmp_path / "v")
    scorer = Scorer(ScoringConfig(parse("0.5*entropy+2*novelty", guarded=True)), CPU)
    scorer.swap("v", directory)
    scores = scorer.score(samples[:30])
    names = ("entropy", "novelty", GUARD)
    _, seen = scorer.estimate(samples[:30], [estimators.get(name) for name in names])
    means = memory.mean_importance(next_version)
    expected = sum(f * seen.importance[n] / means[n] for f, n in ((0.5, "entropy"), (2, "novelty")))
    np.testing.assert_allclose(scores.importance, expected * seen.importance[GUARD], rtol=1e-6)
    assert scores.estimator == "p_holdout*(0.5*entropy+2*novelty)"
