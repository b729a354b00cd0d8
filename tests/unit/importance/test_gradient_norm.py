"""The exact per-sample gradient norm against a loop over samples, on tiny random networks of every supported kind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import GradientNorm, Subset, gradient_norms, squares
from tests.support.networks import LENGTH, NETWORKS, PAD, SAMPLES, Case, bert, built_in, classifier, gemma, token_ids

ROWS = torch.arange(SAMPLES)
every_network = pytest.mark.parametrize("name", NETWORKS)


def loop(case: Case, chosen: Callable[[str], bool]) -> Tensor:
    """Sample by sample, through autograd alone."""
    case.network.eval()
    parameters = [p for name, p in case.network.named_parameters() if p.requires_grad and chosen(name)]
    norms = []
    for row in range(SAMPLES):
        gradients = torch.autograd.grad(case.losses(torch.tensor([row])).sum(), parameters, allow_unused=True)
        norms.append(torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt())
    return torch.stack(norms)


def norms_of(case: Case, subset: Subset = "all", fallback: bool = False) -> Tensor:
    """Of the second pass; the first one, which also checks, must say the same."""
    gradient_norm = GradientNorm(case.network, subset, fallback)
    passes = []
    for _ in range(2):
        with gradient_norm.watch() as watched:
            passes.append(watched.norms(case.losses(ROWS)))
    torch.testing.assert_close(*passes, rtol=1e-5, atol=0)
    return passes[1]


def is_place(name: str) -> bool:
    return "position" in name or "token_type" in name or "wpe" in name


def anything(_: str) -> bool:
    return True


def assert_equal(norms: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert bool((expected > 1e-3).all())
    torch.testing.assert_close(norms, expected, rtol=tolerance, atol=0)


@every_network
def test_the_norm_is_that_of_a_loop_over_samples(name: str) -> None:
    case = NETWORKS[name]()
    assert_equal(norms_of(case), loop(case, lambda name: not is_place(name)))


@every_network
def test_in_float64_it_is_that_of_the_loop_to_the_last_digits(name: str) -> None:
    case = NETWORKS[name]()
    case.network.double()
    # Llama's norms, and the loss of the built-in network, are computed in float32 whatever they are given.
    tolerance = {"built in": 1e-6, "Llama": 1e-8, "Llama, causal LM, tied": 1e-8}.get(name, 1e-11)
    assert_equal(norms_of(case).double(), loop(case, lambda name: not is_place(name)), tolerance)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("BERT", {"classifier.weight", "classifier.bias"}),
        ("RoBERTa", {f"classifier.{layer}.{part}" for layer in ("dense", "out_proj") for part in ("weight", "bias")}),
        ("GPT-2", {"score.weight"}),
        ("built in", {"compare.weight", "compare.bias", "final.weight", "final.bias"}),
        ("LoRA", {f"base_model.model.classifier.modules_to_save.default.{part}" for part in ("weight", "bias")}),
        # The head of a tied language model is its word embedding: both uses of the table count.
        ("GPT-2, causal LM, tied", {"transformer.wte.weight"}),
    ],
)
def test_the_head_is_what_lies_behind_the_encoder(name: str, head: set[str]) -> None:
    case = NETWORKS[name]()
    assert_equal(norms_of(case, "head"), loop(case, head.__contains__))


def test_trainable_means_all_that_requires_grad_and_nothing_frozen() -> None:
    case = NETWORKS["LoRA"]()
    trainable = {name for name, p in case.network.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in trainable)
    assert_equal(norms_of(case, "trainable"), loop(case, trainable.__contains__))


@pytest.mark.parametrize("part", ["bias", "LayerNorm.weight", "query", "word_embeddings", "encoder.layer.1.", "pooler"])
def test_a_predicate_chooses_by_name(part: str) -> None:
    case = NETWORKS["BERT"]()
    assert_equal(norms_of(case, lambda name: part in name), loop(case, lambda name: part in name))


def test_the_bias_of_a_tied_head_counts_without_its_weight() -> None:
    case = NETWORKS["BERT, masked LM, tied"]()
    assert_equal(norms_of(case, lambda name: name.endswith("bias")), loop(case, lambda name: name.endswith("bias")))


def test_position_embeddings_count_when_they_are_looked_up_for_each_sample() -> None:
    network, (tokens, mask) = bert(), token_ids()
    positions = torch.arange(LENGTH).expand(SAMPLES, -1)

    def of(rows: Tensor) -> Tensor:
        logits = network(tokens[rows], mask[rows], position_ids=positions[rows]).logits
        return functional.cross_entropy(logits, rows % 3, reduction="none")

    case = Case(network, of)
    assert_equal(norms_of(case, anything), loop(case, anything))


def test_positions_shared_by_the_batch_are_refused_with_the_remedy() -> None:
    message = r"position_embeddings.weight: .*position_embeddings was given 1 rows for 5 samples; leave it out, or"
    with pytest.raises(InvalidInput, match=message):
        norms_of(classifier(bert()), anything)


def test_the_fallback_takes_positions_shared_by_the_batch() -> None:
    case = classifier(bert())
    assert_equal(norms_of(case, anything, fallback=True), loop(case, anything))


class Odd(nn.Module):
    """An embedding, and layers that no rule covers or that are used behind their backs."""

    def __init__(self, use: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.use = use
        self.words = nn.Embedding(12, 6)
        self.recurrent = nn.LSTM(6, 6, batch_first=True) if use == "LSTM" else nn.Identity()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True) if use == "attention" else nn.Identity()
        self.final = nn.Linear(6, 1)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        if self.use == "LSTM":
            x, _ = self.recurrent(x)
        if self.use == "attention":
            x, _ = self.attention(x, x, x)
        if self.use == "function":
            return functional.linear(self.final(x).sigmoid() * x, self.final.weight).sum(dim=(1, 2))
        if self.use == "table":
            return (self.final(x) + x @ self.words.weight.T[:, :1]).sum(dim=(1, 2))
        return self.final(x.mean(dim=1)).squeeze(1)

    def losses(self, rows: Tensor) -> Tensor:
        ids = torch.tensor([[1, 2, 3, 2], [4, 4, 4, 4], [5, 6, 7, 8], [9, 10, 11, 0], [0, 0, 1, 1]])
        return functional.softplus(self(ids[rows]))


ODD = {
    "LSTM": r"does not cover recurrent \(LSTM\): choose other parameters, or allow the per-sample fallback",
    "attention": r"does not cover attention \(MultiheadAttention\)",
    "function": r"cannot follow final.weight: it is used outside its layer; leave it out, or allow the per-sample",
    "table": "cannot follow words.weight: it is used outside its layer",
}


@pytest.mark.parametrize(("use", "message"), ODD.items())
def test_what_is_not_covered_is_refused_by_its_name(use: str, message: str) -> None:
    network = Odd(use)
    with pytest.raises(InvalidInput, match=message):
        gradient_norms(network, lambda: network.losses(ROWS))


@pytest.mark.parametrize("use", ODD)
def test_the_fallback_covers_the_rest_sample_by_sample(use: str) -> None:
    network = Odd(use)
    case = Case(network, network.losses)
    assert_equal(norms_of(case, fallback=True), loop(case, anything))


def test_a_scaled_embedding_is_no_plain_one() -> None:
    case = gemma()
    with pytest.raises(InvalidInput, match=r"does not cover model.embed_tokens \(GemmaTextScaledWordEmbedding\)"):
        norms_of(case)
    assert_equal(norms_of(case, fallback=True), loop(case, anything))
    norms = norms_of(case, lambda name: "embed" not in name)  # the norms of Gemma scale by 1 + w
    assert_equal(norms, loop(case, lambda name: "embed" not in name))


class GatedNorm(nn.Module):
    """Looks like an RMSNorm, and is none."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(6)), 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (6,), eps=self.eps) * self.weight * x.sigmoid()


def test_a_norm_that_computes_something_else_is_refused() -> None:
    network = nn.Sequential(nn.Embedding(12, 6), GatedNorm())
    with pytest.raises(InvalidInput, match=r"cannot follow 1.weight: 1 does not compute as its type does"):
        gradient_norms(network, lambda: network(torch.ones(3, 2, dtype=torch.long)).sum(dim=(1, 2)))


def test_an_input_changed_in_place_is_refused() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    network = nn.ModuleList([first, second])

    def of() -> Tensor:
        x = torch.ones(2, 3)
        hidden = first(x)
        loss = second(hidden).sum(dim=1)
        x.add_(1.0)
        return loss

    with pytest.raises(InvalidInput, match="changed in place after a layer had read it"):
        gradient_norms(network, of)


def test_a_layer_that_is_suddenly_called_twice_is_refused() -> None:
    layer = nn.Linear(3, 3)
    gradient_norm = GradientNorm(layer)
    for calls in (1, 1, 2):
        with gradient_norm.watch() as watched:
            x = torch.ones(2, 2, 3)
            if calls == 2:
                x = layer(x)
                with pytest.raises(InvalidInput, match="Linear is called again, and was called once in the first pass"):
                    layer(x)
            else:
                watched.norms(layer(x).sum(dim=(1, 2)))


@pytest.mark.parametrize("name", ["BERT", "GPT-2, causal LM, tied", "built in"])
def test_a_sample_is_worth_the_same_in_any_company(name: str) -> None:
    case = NETWORKS[name]()
    whole = norms_of(case)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(
        gradient_norms(case.network, lambda: case.losses(order)), whole[order], rtol=1e-5, atol=0
    )
    for row in range(SAMPLES):
        alone = gradient_norms(case.network, lambda row=row: case.losses(torch.tensor([row])))
        torch.testing.assert_close(alone, whole[row : row + 1], rtol=1e-5, atol=0)


def test_padding_changes_nothing() -> None:
    network, (tokens, mask) = bert(), token_ids()

    def of(extra: int) -> Tensor:
        ids, seen = (functional.pad(part, (0, extra), value=PAD) for part in (tokens, mask))
        return functional.cross_entropy(network(ids, seen).logits, ROWS % 3, reduction="none")

    norms = [gradient_norms(network, lambda extra=extra: of(extra)) for extra in (0, 1, 6)]
    torch.testing.assert_close(norms[1], norms[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(norms[2], norms[0], rtol=1e-5, atol=0)


def test_the_network_is_left_as_it_was() -> None:
    case = NETWORKS["LoRA"]()
    case.network.train()
    case.network.get_submodule("base_model.model.bert.pooler").eval()
    flags = [p.requires_grad for p in case.network.parameters()]
    modes = [m.training for m in case.network.modules()]
    with GradientNorm(case.network).watch() as watched:
        assert not any(m.training for m in case.network.modules())
        assert not any(p.requires_grad for p in case.network.parameters())
        watched.norms(case.losses(ROWS))
    with pytest.raises(InvalidInput, match="losses have shape"), GradientNorm(case.network).watch() as watched:
        watched.norms(case.losses(ROWS).sum())
    assert [p.requires_grad for p in case.network.parameters()] == flags
    assert [m.training for m in case.network.modules()] == modes
    assert all(p.grad is None for p in case.network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in case.network.modules())


def test_the_same_pass_serves_other_gradients_and_none_of_them_counts() -> None:
    case = NETWORKS["BERT"]()
    expected = norms_of(case)
    words: list[Tensor] = []
    embedding = case.network.get_submodule("bert.embeddings.word_embeddings")
    handle = embedding.register_forward_hook(lambda _, __, output: words.append(output))
    with torch.no_grad(), GradientNorm(case.network).watch() as watched:
        losses = case.losses(ROWS)
        (before,) = torch.autograd.grad(losses.sum(), words[-1], retain_graph=True)
        norms = watched.norms(losses, retain_graph=True)
        (after,) = torch.autograd.grad(losses.sum(), words[-1])
    handle.remove()
    torch.testing.assert_close(norms, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(before, after)
    assert not norms.requires_grad


def test_in_bfloat16_the_norm_is_that_of_float32_within_two_percent() -> None:
    case = built_in()
    expected = norms_of(case)
    with torch.autocast("cpu", torch.bfloat16):
        norms = gradient_norms(case.network, lambda: case.losses(ROWS).float())
    torch.testing.assert_close(norms, expected, rtol=2e-2, atol=0)


def test_of_a_pass_in_bfloat16_the_norm_is_computed_in_float32() -> None:
    """Small integers: exact in bfloat16, and their sums are not. So wide a layer is squared by way of AAᵀ."""
    random = torch.Generator().manual_seed(0)
    x, gradient = (torch.randint(-9, 10, (3, 5, 64), generator=random).float() for _ in range(2))
    layer = nn.Linear(64, 64)
    gradient_norm = GradientNorm(layer)
    found = []
    for autocast in (False, False, True, True):  # AAᵀ is kept from the second pass on
        with gradient_norm.watch() as watched:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                output = layer(x)
            found.append(watched.norms((output * gradient).sum(dim=(1, 2))))
    for norms in found[1:]:
        torch.testing.assert_close(norms, found[0], rtol=1e-6, atol=0)


def test_a_layer_whose_output_leads_nowhere_is_named() -> None:
    network = nn.ModuleDict({"used": nn.Linear(2, 1), "idle": nn.Linear(2, 1)})

    def of() -> Tensor:
        network["idle"](torch.ones(3, 2))
        return network["used"](torch.ones(3, 2)).squeeze(1)

    with pytest.raises(InvalidInput, match="the output of idle does not reach the losses: leave it out"):
        gradient_norms(network, of)


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ("tail", "parameter subset 'tail' is unknown; choose all, head, trainable, or a predicate on names"),
        (
            lambda name: "nothing" in name,
            "no parameter of BertForSequenceClassification that requires grad is in subset",
        ),
    ],
)
def test_a_subset_that_chooses_nothing_is_refused(subset: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        GradientNorm(bert(), subset)


def test_a_network_without_an_encoder_has_no_head() -> None:
    with pytest.raises(InvalidInput, match="Linear has no head next to an encoder: choose parameters by name"):
        GradientNorm(nn.Linear(2, 1), "head")


def test_losses_of_another_pass_are_refused() -> None:
    network = nn.Linear(2, 1)
    losses = network(torch.ones(3, 2)).squeeze(1).detach()
    with GradientNorm(network).watch() as watched, pytest.raises(InvalidInput, match="compute them inside watch"):
        watched.norms(losses)


@pytest.mark.parametrize(
    ("positions", "width", "height"),
    [
        (1, 5, 7),  # no positions: (‖a‖² + 1)‖g‖²
        (4, 30, 20),  # Gram matrices: 4 · 50 ≤ 600
        (40, 30, 20),  # the product: 40 · 50 > 600
        (300, 600, 700),  # Gram matrices in three blocks, one sample a chunk: 300 · 1300 ≤ 420,000
        (400, 600, 700),  # the product, wider than a chunk: 420,000 > 262,144
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_is_squared_the_same_whichever_way_is_cheaper(
    positions: int, width: int, height: int, bias: bool
) -> None:
    random = torch.Generator().manual_seed(0)
    a = torch.randn(3, positions, width, generator=random, dtype=torch.float64)
    g = torch.randn(3, positions, height, generator=random, dtype=torch.float64)
    expected = (g.mT @ a).square().sum(dim=(1, 2)) + bias * g.sum(dim=1).square().sum(dim=1)
    torch.testing.assert_close(squares.outer(a, g, bias), expected)
    torch.testing.assert_close(squares.outer_given_gram(squares.gram(a), g, bias), expected)


@given(
    ids=st.integers(1, 5).flatmap(
        lambda length: st.lists(st.lists(st.integers(0, 6), min_size=length, max_size=length), min_size=1, max_size=4)
    ),
    length=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_a_tied_table_is_squared_with_its_cross_term(ids: list[list[int]], length: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    looked_up = torch.tensor(ids)
    n, positions = looked_up.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    by_lookup, inputs, by_outer = normal(n, positions, 3), normal(n, length, 3), normal(n, length, 7)
    first = functional.one_hot(looked_up, 7).double().mT @ by_lookup
    second = by_outer.mT @ inputs
    total = squares.lookup(looked_up, by_lookup) + squares.outer(inputs, by_outer)
    total = total + 2 * squares.tied(looked_up, by_lookup, inputs, by_outer)
    torch.testing.assert_close(total, (first + second).square().sum(dim=(1, 2)))
