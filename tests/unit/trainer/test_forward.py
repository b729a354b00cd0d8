"""Every estimator over real networks: what a pass computes, and what it leaves as it was.

The formulas are held to their references in the estimators' own suite; here it is what they are fed with.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from importance import estimators
from importance.estimators import Forward
from importance.estimators.base import NEEDS
from importance.mixture import GUARD
from importance.sample import Sample
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import passes, run, wearing
from trainer.labelled import Labelled
from trainer.memory import update_state, weights_of
from trainer.model import losses
from trainer.tuning import FineTuning, Optimisation, TrainingRows, fine_tune
from trainer.version_directory import Model

from .conftest import ARCHITECTURES, hugging_face_directory, labels_of

COUNT = 24
every_estimator = pytest.mark.parametrize("name", [*estimators.names(), GUARD])


@pytest.fixture(scope="module", params=["builtin", "bert", "distilbert", "roberta"])
def model(
    request: pytest.FixtureRequest,
    first: Path,
    samples: list[Sample],
    labels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Model:
    """A version with everything that estimators read, the weights before it included."""
    scratch = tmp_path_factory.mktemp(request.param)
    directory = first
    if request.param != "builtin":
        source = hugging_face_directory(scratch / "source", ARCHITECTURES[request.param](2))
        directory = from_pretrained(str(source), scratch / "version")
    return next_version(directory, samples, labels)


@pytest.fixture(scope="module")
def builtin(first: Path, samples: list[Sample], labels: np.ndarray) -> Model:
    return next_version(first, samples, labels)


def next_version(directory: Path, samples: list[Sample], labels: np.ndarray) -> Model:
    base = versions.load(directory, with_auxiliary=True)
    before = weights_of(base)
    rows = TrainingRows(samples, labels, np.ones(len(samples)), np.ones(len(samples), bool))
    tuned = fine_tune(base, rows, FineTuning(steps=3, optimisation=Optimisation(batch_size=16)), seed=0)
    return update_state(tuned, before, Labelled(samples[100:160], labels[100:160]))


def scores(model: Model, name: str, samples: list[Sample], micro_batch: int = 128) -> np.ndarray:
    encoded = model.tokens.encode(samples)
    return run(model, encoded, labels_of(samples), [estimators.get(name)], micro_batch).importance[name]


def tolerance(expected: np.ndarray) -> float:
    """What float32 leaves of terms that cancel each other, beside the larger scores."""
    return 2e-6 * max(1.0, float(expected.max(initial=0)))


@every_estimator
def test_scores_are_finite_at_least_zero_and_one_each(name: str, model: Model, samples: list[Sample]) -> None:
    found = scores(model, name, samples[:COUNT])
    assert found.shape == (COUNT,)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


@every_estimator
def test_a_score_depends_neither_on_neighbours_nor_on_their_padding(
    name: str, model: Model, samples: list[Sample]
) -> None:
    """In one batch all are padded to the longest; alone none is."""
    chosen = samples[:COUNT]
    together = scores(model, name, chosen)
    order = np.random.default_rng(0).permutation(COUNT)
    shuffled = scores(model, name, [chosen[row] for row in order], micro_batch=5)
    alone = scores(model, name, chosen, micro_batch=1)
    for other in (alone, shuffled[np.argsort(order)]):
        np.testing.assert_allclose(other, together, rtol=1e-5, atol=tolerance(together))


@every_estimator
def test_the_same_pass_gives_the_same_bits(name: str, model: Model, samples: list[Sample]) -> None:
    assert np.array_equal(scores(model, name, samples[:COUNT]), scores(model, name, samples[:COUNT]))


@every_estimator
def test_a_pass_leaves_weights_modes_and_gradients_as_they_were(name: str, model: Model, samples: list[Sample]) -> None:
    network = model.network
    before = {key: (weight, weight.clone()) for key, weight in network.state_dict(keep_vars=True).items()}
    flags = [parameter.requires_grad for parameter in network.parameters()]
    scores(model, name, samples[:COUNT])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    after = network.state_dict(keep_vars=True)
    assert all(after[key] is weight and torch.equal(weight, copy) for key, (weight, copy) in before.items())


@pytest.mark.parametrize("name", [name for name in estimators.names() if name not in ("uniform", "forgetting")])
def test_scores_differ_between_samples(name: str, builtin: Model, samples: list[Sample]) -> None:
    found = scores(builtin, name, samples[:COUNT]).tolist()
    assert len(set(found)) > COUNT / 8  # many of those that are cut off at 0 may lie there


def one_by_one(model: Model, samples: list[Sample]) -> Iterator[tuple[Tensor, Forward]]:
    """Each sample's loss and logits, in float64, with a graph to the weights."""
    network = model.network
    encoded, labels = model.tokens.encode(samples), torch.from_numpy(labels_of(samples))
    for row in range(len(samples)):
        batch = encoded.batch(np.array([row]))
        output = network(batch)
        yield losses_of(output.logits, labels[row : row + 1]), output


def losses_of(logits: Tensor, label: Tensor) -> Tensor:
    """−log p_y in float64."""
    if logits.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(logits[0], label.to(logits.dtype))
    return nn.functional.cross_entropy(logits, label)


def gathered(model: Model, samples: list[Sample]) -> dict[str, Tensor]:
    """What passes find, in the samples' order."""
    encoded = model.tokens.encode(samples)
    found: dict[str, Tensor] = {}
    for rows, seen in passes(model, encoded, labels_of(samples), NEEDS):
        for field in ("gradient_norm", "earlier_norms", "projection", "average_logits", "pairs"):
            value = getattr(seen, field)
            found.setdefault(field, torch.zeros(len(samples), *value.shape[1:], dtype=value.dtype))[rows] = value
    return found


def gradient_of(model: Model, loss: Tensor) -> dict[str, Tensor]:
    named = dict(model.network.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: part for name, part in zip(named, gradients, strict=True) if part is not None}


def norm_of(gradients: dict[str, Tensor]) -> float:
    """Over all parameters but the embeddings of positions and types."""
    counted = [part for name, part in gradients.items() if "position" not in name and "token_type" not in name]
    return float(torch.cat([part.flatten() for part in counted]).norm())


def test_what_is_fed_to_gradient_estimators_is_that_of_a_loop_in_float64(model: Model, samples: list[Sample]) -> None:
    chosen = samples[:6]
    found = gathered(model, chosen)
    assert model.earlier is not None
    exact = replace(model, network=model.network.double())
    try:
        modules = {path: part for path, part in exact.network.named_modules() if isinstance(part, nn.Linear)}
        frames = dict(zip(map(id, model.projection._layers.values()), model.projection._matrices, strict=True))
        for row, (loss, _) in enumerate(one_by_one(exact, chosen)):
            gradients = gradient_of(exact, loss)
            assert float(found["gradient_norm"][row]) == pytest.approx(norm_of(gradients), rel=1e-5)
            by_id = {id(exact.network.get_parameter(name)): part for name, part in gradients.items()}
            parts = [
                frames[id(module)][1].double().T @ by_id[id(module.weight)] @ frames[id(module)][0].double()
                for module in dict.fromkeys(modules.values())
                if id(module.weight) in by_id
            ]
            # A layer's numbers are laid out r_out by r_in; the layers follow each other as the network lists them.
            expected = torch.cat([part.flatten() for part in parts])
            torch.testing.assert_close(found["projection"][row].double(), expected, rtol=1e-4, atol=1e-6)
        with wearing(exact, {name: weight.double() for name, weight in model.earlier.items()}):
            for row, (loss, _) in enumerate(one_by_one(exact, chosen)):
                assert float(found["earlier_norms"][row, 0]) == pytest.approx(
                    norm_of(gradient_of(exact, loss)), rel=1e-5
                )
    finally:
        model.network.float()


def test_the_average_predicts_by_its_own_weights(model: Model, samples: list[Sample]) -> None:
    found = gathered(model, samples[:6])["average_logits"]
    assert model.average is not None
    with wearing(model, model.average), torch.no_grad():
        expected = model.network(model.tokens.encode(samples[:6]).batch(np.arange(6))).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_pair_is_what_the_model_reads_of_query_and_item(model: Model, samples: list[Sample]) -> None:
    one, other = samples[0], next(sample for sample in samples if sample.text != samples[0].text)
    pairs = gathered(model, [one, other, one])["pairs"]
    assert pairs[0] == pairs[2] != pairs[1]


def test_weights_come_back_when_a_pass_with_others_fails(model: Model) -> None:
    own = {name: parameter.data_ptr() for name, parameter in model.network.named_parameters()}
    assert model.average is not None
    with pytest.raises(RuntimeError, match="broken"), wearing(model, model.average):
        raise RuntimeError("broken")
    assert own == {name: parameter.data_ptr() for name, parameter in model.network.named_parameters()}


@every_estimator
def test_bfloat16_moves_the_mean_by_a_hundredth_and_a_score_by_a_tenth_of_it(
    name: str, builtin: Model, samples: list[Sample]
) -> None:
    """It has 8 bits. What a score is compared with is the mean, by which it is divided; large ones lose 3 %."""
    chosen = samples[200:300]
    encoded, labels = builtin.tokens.encode(chosen), labels_of(chosen)
    exact, half = (
        run(builtin, encoded, labels, [estimators.get(name)], autocast=autocast).importance[name]
        for autocast in (False, True)
    )
    assert np.isfinite(half).all()
    assert (half >= 0).all()
    assert half.mean() == pytest.approx(exact.mean(), rel=0.01)
    np.testing.assert_allclose(half, exact, rtol=0.03, atol=0.1 * exact.mean())


def test_in_bfloat16_only_the_network_computes_so(builtin: Model, samples: list[Sample]) -> None:
    encoded, labels = builtin.tokens.encode(samples[:COUNT]), labels_of(samples[:COUNT])
    for _, seen in passes(builtin, encoded, labels, NEEDS, autocast=True):
        assert seen.logits.dtype == torch.bfloat16
        for found in (seen.gradient_norm, seen.earlier_norms, seen.projection):
            assert found is not None
            assert found.dtype == torch.float32
            assert not torch.equal(found, found.bfloat16().float())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: CPU and GPU cannot be compared")
@every_estimator
def test_a_gpu_gives_the_same_scores(name: str, builtin: Model, samples: list[Sample], tmp_path: Path) -> None:
    expected = scores(builtin, name, samples[:COUNT])
    on_gpu = versions.load(versions.save(builtin, tmp_path / "v"), torch.device("cuda"), with_auxiliary=True)
    np.testing.assert_allclose(
        scores(on_gpu, name, samples[:COUNT]), expected, rtol=1e-4, atol=10 * tolerance(expected)
    )


def test_losses_of_a_pass_are_those_of_training(model: Model, samples: list[Sample]) -> None:
    encoded, labels = model.tokens.encode(samples[:8]), labels_of(samples[:8])
    found = run(model, encoded, labels, [estimators.get("loss")]).importance["loss"]
    with torch.no_grad():
        expected = losses(model.network(encoded.batch(np.arange(8))).logits, torch.from_numpy(labels))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)
