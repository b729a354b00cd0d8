"""One suite over every registered estimator, and what is particular to some.

Each is compared with its formula written down literally and computed in float64. A new estimator needs a line in
REFERENCES; without it the suite fails.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from importance.errors import InvalidInput
from importance.estimators import Forward, State, get, names
from importance.estimators.base import NEEDS
from importance.mixture import GUARD, LABEL_FREE, NAMES

TOKENS, WIDTH, HIDDEN, PROJECTED, CENTRES, PAIRS = 5, 4, 6, 5, 3, 8
OF_ROWS = {"embeddings", "mask", "labels", "gradient_norm", "earlier_norms", "projection", "average_logits", "pairs"}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

every_estimator = pytest.mark.parametrize("name", [*names(), GUARD])
every_device = pytest.mark.parametrize("device", DEVICES)
every_width = pytest.mark.parametrize("classes", [1, 2, 7])


def tensors(count: int, classes: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs, weights and labels of a small model, in float64."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    lengths = torch.randint(1, TOKENS + 1, (count, 1), generator=random)
    return {
        "embeddings": normal(count, TOKENS, WIDTH),
        "mask": torch.arange(TOKENS) < lengths,
        "inner": normal(WIDTH, HIDDEN),
        "weight": 2 * normal(HIDDEN, classes),
        "bias": normal(classes),
        "labels": torch.randint(0, max(classes, 2), (count,), generator=random),
        "gradient_norm": normal(count).abs(),
        "earlier_norms": normal(count, 2).abs(),
        "projection": normal(count, PROJECTED),
        "average_logits": normal(count, classes),
        "pairs": torch.randint(0, 2 * PAIRS, (count,), generator=random),
        "holdout": normal(classes, HIDDEN + 1),
        "validation": normal(classes, HIDDEN + 1),
        "direction": normal(PROJECTED),
        "centres": normal(CENTRES, HIDDEN),
        "forgotten": torch.randint(0, 4, (PAIRS,), generator=random),
    }


def run(
    parts: dict[str, Tensor], dtype: torch.dtype = torch.float32, device: str = "cpu", **changes: object
) -> Forward:
    """Mean of the unmasked tokens, a layer with tanh, and the final Linear."""
    moved = {name: part.to(device, dtype if part.is_floating_point() else None) for name, part in parts.items()}
    x, mask = moved["embeddings"].requires_grad_(), moved["mask"]
    # Padding flows into the output on purpose: the estimator has to leave its gradient out, not the model.
    hidden = torch.tanh((x * (0.3 + 0.7 * mask.to(dtype)).unsqueeze(-1)).sum(dim=1) @ moved["inner"])
    logits = hidden @ moved["weight"] + moved["bias"]
    memory = State(
        holdout=moved["holdout"],
        validation=moved["validation"],
        direction=moved["direction"],
        centres=moved["centres"],
        met=torch.arange(0, 2 * PAIRS, 2, device=device),
        forgotten=moved["forgotten"],
    )
    fields: dict[str, object] = {
        "logits": logits, "hidden": hidden, **{name: moved[name] for name in OF_ROWS}, "state": memory, **changes,
    }  # fmt: skip
    return Forward(**fields)  # type: ignore[arg-type]  # the fields by name


def tolerance(name: str) -> float:
    """What float32 leaves of terms of about 1 that may cancel each other; the others keep all their digits."""
    return 1e-6 if name in ("rho", "learnability", "tracin", "gradient_alignment", "novelty") else 1e-9


def without(parts: dict[str, Tensor], need: str) -> Forward:
    """The same pass, but for one thing that an estimator may need."""
    forward = run(parts)
    if need in forward.state.parts():
        return replace(forward, state=replace(forward.state, **{need: None}))
    return replace(forward, **{{"label": "labels", "average": "average_logits"}.get(need, need): None})


def rows_of(parts: dict[str, Tensor], rows: Tensor | slice) -> dict[str, Tensor]:
    return {key: part[rows] if key in OF_ROWS else part for key, part in parts.items()}


def probabilities(forward: Forward) -> Tensor:
    """[n, C ≥ 2]: of one logit (1 − σ, σ)."""
    if forward.logits.shape[1] == 1:
        sigma = torch.sigmoid(forward.logits)
        return torch.cat([1 - sigma, sigma], dim=1)
    return torch.softmax(forward.logits, dim=1)


def of_the_label(forward: Forward) -> Tensor:
    assert forward.labels is not None
    return probabilities(forward).gather(1, forward.labels.unsqueeze(1)).squeeze(1)


def two_largest(forward: Forward) -> Tensor:
    return probabilities(forward).topk(2, dim=1).values


def error_norm(forward: Forward) -> Tensor:
    assert forward.labels is not None
    if forward.logits.shape[1] == 1:
        return (torch.sigmoid(forward.logits[:, 0]) - forward.labels).abs()
    one_hot = torch.nn.functional.one_hot(forward.labels, forward.logits.shape[1])
    return (probabilities(forward) - one_hot).norm(dim=1)


def last_layer(forward: Forward) -> Tensor:
    assert forward.hidden is not None
    return error_norm(forward) * torch.sqrt(forward.hidden.square().sum(dim=1) + float(forward.has_bias))


def gradient_times_output(forward: Forward) -> Tensor:
    """Sample by sample, through autograd alone."""
    assert forward.embeddings is not None
    assert forward.mask is not None
    of_one_logit = forward.logits.shape[1] == 1
    output = torch.sigmoid(forward.logits[:, 0]) if of_one_logit else probabilities(forward).max(dim=1).values
    scores = []
    for row, value in enumerate(output):
        (gradient,) = torch.autograd.grad(value, forward.embeddings, retain_graph=True)
        scores.append(gradient[row][forward.mask[row]].norm() * value)
    return torch.stack(scores)


def input_gradients(forward: Forward) -> Tensor:
    """Sample by sample, through autograd alone."""
    assert forward.embeddings is not None
    assert forward.mask is not None
    scores = []
    for row, loss in enumerate(-torch.log(of_the_label(forward))):
        (gradient,) = torch.autograd.grad(loss, forward.embeddings, retain_graph=True)
        scores.append(gradient[row][forward.mask[row]].norm())
    return torch.stack(scores)


def excess_loss(forward: Forward, other: Tensor) -> Tensor:
    """max(0, ℓ(θ) − ℓ(other)) of two sets of logits."""
    return (torch.log(of_the_label(replace(forward, logits=other))) - torch.log(of_the_label(forward))).clamp(min=0)


def with_holdout_layer(forward: Forward) -> Tensor:
    assert forward.hidden is not None
    assert forward.state.holdout is not None
    return torch.stack([forward.state.holdout[:, :-1] @ h + forward.state.holdout[:, -1] for h in forward.hidden])


def along_validation(forward: Forward) -> Tensor:
    """The product of the gradients of the last layer's weight and bias, entry by entry."""
    assert forward.hidden is not None
    assert forward.labels is not None
    assert forward.state.validation is not None
    scores = []
    for h, p, label in zip(forward.hidden, probabilities(forward), forward.labels, strict=True):
        e = p.clone()
        e[label] -= 1
        e = e[-1:] if forward.logits.shape[1] == 1 else e
        gradient = torch.outer(e, torch.cat([h, torch.ones(1, dtype=h.dtype)]))
        scores.append((gradient * forward.state.validation).sum().clamp(min=0))
    return torch.stack(scores)


def cosine_of_projections(forward: Forward) -> Tensor:
    assert forward.projection is not None
    assert forward.state.direction is not None
    towards = forward.state.direction
    return torch.stack([(g @ towards / (g.norm() * towards.norm())).clamp(min=0) for g in forward.projection])


def nearest_centre(forward: Forward) -> Tensor:
    assert forward.hidden is not None
    assert forward.state.centres is not None
    return torch.stack([min((h - centre).norm() for centre in forward.state.centres) for h in forward.hidden])


def times_forgotten(forward: Forward) -> Tensor:
    assert forward.pairs is not None
    assert forward.state.met is not None
    assert forward.state.forgotten is not None
    known = dict(zip(forward.state.met.tolist(), forward.state.forgotten.tolist(), strict=True))
    return torch.tensor([known.get(pair, 0) for pair in forward.pairs.tolist()])


def norm(forward: Forward) -> Tensor:
    assert forward.gradient_norm is not None
    return forward.gradient_norm


def mean_norm(forward: Forward) -> Tensor:
    assert forward.earlier_norms is not None
    return (norm(forward) + forward.earlier_norms[:, 0] + forward.earlier_norms[:, 1]) / 3


REFERENCES: dict[str, Callable[[Forward], Tensor]] = {
    "uniform": lambda forward: torch.ones(len(forward.logits), dtype=torch.float64),
    "entropy": lambda forward: torch.special.entr(probabilities(forward)).sum(dim=1),
    "confidence": lambda forward: 1 - probabilities(forward).max(dim=1).values,
    "margin": lambda forward: 1 - (two_largest(forward)[:, 0] - two_largest(forward)[:, 1]),
    "loss": lambda forward: -torch.log(of_the_label(forward)),
    "output_norm": lambda forward: forward.logits.norm(dim=1),
    "last_layer_norm": last_layer,
    "el2n": lambda forward: error_norm(forward) * (2**0.5 if forward.logits.shape[1] == 1 else 1),
    "rho": lambda forward: excess_loss(forward, with_holdout_layer(forward)),
    "tracin": along_validation,
    "novelty": nearest_centre,
    "forgetting": times_forgotten,
    "learnability": lambda forward: excess_loss(forward, forward.average_logits),
    "gradient_output": gradient_times_output,
    "input_gradient": input_gradients,
    "gradient_norm": norm,
    "gradient_alignment": cosine_of_projections,
    "grand": mean_norm,
    GUARD: lambda forward: of_the_label(replace(forward, logits=with_holdout_layer(forward))),
}


@every_estimator
@every_device
@every_width
def test_a_score_is_its_formula_in_float64(name: str, device: str, classes: int) -> None:
    parts = tensors(40, classes)
    scores = get(name)(run(parts, device=device))
    expected = REFERENCES[name](run(parts, torch.float64)).detach().float().cpu()
    torch.testing.assert_close(scores.cpu(), expected, rtol=2e-5, atol=tolerance(name))


@every_estimator
@every_device
@every_width
@pytest.mark.parametrize("count", [0, 1, 33])
def test_scores_are_finite_float32_at_least_zero_and_one_each(name: str, device: str, classes: int, count: int) -> None:
    forward = run(tensors(count, classes), device=device)
    scores = get(name)(forward)
    assert scores.shape == (count,)
    assert scores.dtype == torch.float32
    assert scores.device == forward.logits.device
    assert not scores.requires_grad
    assert bool((torch.isfinite(scores) & (scores >= 0)).all())


@every_estimator
@every_width
def test_scores_move_with_their_samples(name: str, classes: int) -> None:
    parts = tensors(20, classes)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    shuffled, expected = get(name)(run(rows_of(parts, order))), get(name)(run(parts))[order]
    torch.testing.assert_close(shuffled, expected, rtol=1e-5, atol=tolerance(name))


@every_estimator
@every_width
def test_a_score_does_not_depend_on_its_neighbours(name: str, classes: int) -> None:
    parts = tensors(20, classes)
    alone = [get(name)(run(rows_of(parts, slice(row, row + 1)))) for row in range(20)]
    torch.testing.assert_close(torch.cat(alone), get(name)(run(parts)), rtol=1e-5, atol=tolerance(name))


@every_estimator
@every_device
@pytest.mark.parametrize("scale", [30.0, 1e4])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_model_that_is_very_sure_still_gets_finite_scores(name: str, device: str, scale: float, classes: int) -> None:
    parts = tensors(50, classes)
    parts["weight"] = parts["weight"] * scale
    scores = get(name)(run(parts, device=device))
    assert bool((torch.isfinite(scores) & (scores >= 0)).all())


@every_estimator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_are_scored_in_single(name: str, dtype: torch.dtype) -> None:
    scores = get(name)(run(tensors(10, 3), dtype))
    expected = get(name)(run(tensors(10, 3)))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, rtol=0.3, atol=0.05)


@every_estimator
def test_what_an_estimator_needs_is_all_it_reads(name: str) -> None:
    parts = tensors(8, 2)
    for need in NEEDS - get(name).needs - {"logits"}:
        torch.testing.assert_close(get(name)(without(parts, need)), get(name)(run(parts)))


@every_estimator
def test_what_an_estimator_lacks_is_named(name: str) -> None:
    for need in get(name).needs - {"logits"}:
        with pytest.raises(InvalidInput, match=f"estimator {name} needs {need}"):
            get(name)(without(tensors(3, 2), need))


@every_estimator
@every_device
def test_a_score_comes_out_the_same_every_time(name: str, device: str) -> None:
    parts = tensors(20, 2)
    assert torch.equal(get(name)(run(parts, device=device)), get(name)(run(parts, device=device)))


def test_the_names_that_settings_know_are_those_of_the_registry() -> None:
    assert names() == NAMES
    assert {name for name in NAMES if "label" not in get(name).needs} == LABEL_FREE


def test_an_unknown_estimator_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"unknown estimator 'guess'; choose one of uniform, entropy, .*grand"):
        get("guess")
    with pytest.raises(InvalidInput, match=r"unknown estimator 'novel'; did you mean novelty\?"):
        get("novel")


def sure(margin: float, label: int, classes: int) -> Forward:
    """One sample whose logit lies ``margin`` above the others in float32; hidden input 0, so that e alone counts."""
    logits = torch.tensor([[margin]]) if classes == 1 else torch.tensor([[0.0, margin] + [-200.0] * (classes - 2)])
    return Forward(logits, torch.zeros(1, 1), labels=torch.tensor([label]))


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("margin", [18.0, 30.0, 60.0])
def test_a_sure_model_keeps_all_its_digits(margin: float, classes: int) -> None:
    """The naive p_y − 1 loses 28 % of the norm at 18 in float32, and all of it at 30."""
    small = torch.exp(torch.tensor(-margin, dtype=torch.float64)).item()
    small /= 1 + small
    # ‖e‖ of two classes is √2 times the scalar's of one logit.
    expected = {
        "confidence": small, "margin": 2 * small, "loss": small * (1 + small / 2), "entropy": small * (1 + margin),
        "last_layer_norm": small if classes == 1 else small * 2**0.5, "el2n": small * 2**0.5,
    }  # fmt: skip
    for name, value in expected.items():
        assert get(name)(sure(margin, 1, classes)).item() == pytest.approx(value, rel=1e-5, abs=0)


@pytest.mark.parametrize("classes", [1, 2])
def test_gradient_output_of_a_sure_model_does_not_vanish(classes: int) -> None:
    """∂σ/∂z = e⁻³⁰ at z = 30, where float32's (1 − σ)σ is 0."""
    x = torch.tensor([[[30.0]]], requires_grad=True)
    logits = x.view(1, 1) if classes == 1 else torch.cat([torch.zeros(1, 1), x.view(1, 1)], dim=1)
    assert get("gradient_output")(Forward(logits, embeddings=x)).item() == pytest.approx(9.3576e-14, rel=1e-4, abs=0)


@every_width
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_last_layer_norm_is_the_norm_of_the_loss_gradient(classes: int, has_bias: bool) -> None:
    parts = tensors(10, classes, seed=2)
    forward = run(parts, torch.float64, has_bias=has_bias)
    layer = torch.nn.Linear(HIDDEN, classes, bias=has_bias, dtype=torch.float64)
    assert forward.hidden is not None
    assert forward.labels is not None
    forward = Forward(layer(forward.hidden), forward.hidden, has_bias, forward.labels)
    expected = []
    for row, label in zip(forward.logits, parts["labels"], strict=True):
        loss = (
            torch.nn.functional.binary_cross_entropy_with_logits(row[0], label.double())
            if classes == 1
            else torch.nn.functional.cross_entropy(row, label)
        )
        gradients = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
        expected.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    torch.testing.assert_close(get("last_layer_norm")(forward), torch.stack(expected).float(), rtol=1e-6, atol=0)


def test_one_logit_and_its_two_logits_are_the_same_model() -> None:
    one = run(tensors(20, 1))
    two = Forward(torch.cat([torch.zeros_like(one.logits), one.logits], dim=1), one.hidden, labels=one.labels)
    for name in ("entropy", "confidence", "margin", "loss"):
        torch.testing.assert_close(get(name)(one), get(name)(two))
    torch.testing.assert_close(get("last_layer_norm")(one) * 2**0.5, get("last_layer_norm")(two))


def test_padding_has_no_part_in_the_gradient() -> None:
    parts = tensors(10, 2)
    everything = get("gradient_output")(run(parts, mask=None))
    assert bool((everything >= get("gradient_output")(run(parts))).all())
    integers = get("gradient_output")(run(parts, mask=parts["mask"].long()))
    torch.testing.assert_close(integers, get("gradient_output")(run(parts)))


def test_the_graph_survives_and_parameters_gain_no_gradient() -> None:
    layer = torch.nn.Linear(WIDTH, 2)
    x = torch.randn(3, TOKENS, WIDTH, requires_grad=True)
    forward = Forward(layer(x.mean(dim=1)), embeddings=x)
    torch.testing.assert_close(get("gradient_output")(forward), get("gradient_output")(forward))
    assert layer.weight.grad is None
    assert x.grad is None


def test_a_forward_pass_without_gradients_is_refused() -> None:
    with torch.no_grad():
        forward = run(tensors(3, 2))
    with pytest.raises(InvalidInput, match="with gradients on"):
        get("gradient_output")(forward)


@pytest.mark.parametrize(("classes", "label"), [(1, 2), (3, 3), (3, -1)])
@pytest.mark.parametrize("name", ["loss", "last_layer_norm", "el2n"])
def test_a_label_outside_the_classes_is_refused(name: str, classes: int, label: int) -> None:
    with pytest.raises(InvalidInput, match="labels must be 0 to"):
        get(name)(sure(1.0, label, classes))
