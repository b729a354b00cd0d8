"""The networks: what every one of them promises the estimators."""

import math

import numpy as np
import pytest
import torch
import transformers
from transformers.modeling_outputs import SequenceClassifierOutput

from importance import estimators
from importance.errors import InvalidInput
from importance.sample import Sample
from trainer.forward import provided, run
from trainer.model import PairClassifier, losses, positive_probability
from trainer.version_directory import Model

from .conftest import ARCHITECTURES, SIZE

CASES = [("built-in", 1), *((name, count) for name in ARCHITECTURES for count in (1, 2))]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def model(request: pytest.FixtureRequest, untrained: Model) -> Model:
    name, count = request.param
    if name == "built-in":
        return untrained
    torch.manual_seed(0)
    config = ARCHITECTURES[name](count)
    config.vocab_size = 200  # the built-in tokenizer's ids must fit
    network = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    return Model(PairClassifier(network, name != "distilbert"), untrained.tokens, untrained.card)


def test_hidden_is_what_the_final_layer_turns_into_the_logits(model: Model, samples: list[Sample]) -> None:
    batch = model.tokens.encode(samples[:5]).batch(np.arange(5))
    output = model.network(batch)
    assert output.logits.shape == (5, model.network.final.out_features)
    assert output.hidden.shape == (5, model.network.final.in_features)
    torch.testing.assert_close(model.network.final(output.hidden), output.logits)


def test_the_logits_depend_on_the_embeddings_handed_out(model: Model, samples: list[Sample]) -> None:
    batch = model.tokens.encode(samples[:5]).batch(np.arange(5))
    output = model.network(batch, embeddings=True)
    assert output.embeddings is not None
    assert output.embeddings.shape[:2] == batch.ids.shape
    (gradient,) = torch.autograd.grad(output.logits[0].sum(), output.embeddings)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0  # no sample looks at its neighbours
    torch.testing.assert_close(output.logits.detach(), model.network(batch).logits.detach())


def test_a_prediction_does_not_depend_on_the_batch(model: Model, samples: list[Sample]) -> None:
    chosen = samples[:40]
    together = run(model, model.tokens.encode(chosen)).prediction
    alone = [run(model, model.tokens.encode([sample])).prediction[0] for sample in chosen]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_every_estimator_gives_a_finite_score_at_least_zero(model: Model, samples: list[Sample]) -> None:
    chosen = [found for found in map(estimators.get, estimators.names()) if found.needs <= provided(model)]
    seen = run(model, model.tokens.encode(samples[:20]), np.arange(20) % 2, chosen)
    for name in seen.importance:
        assert np.isfinite(seen.importance[name]).all()
        assert (seen.importance[name] >= 0).all()
    assert seen.importance["gradient_output"].max() > 0


def test_a_network_of_three_classes_is_refused() -> None:
    network = transformers.AutoModelForSequenceClassification.from_config(transformers.BertConfig(**SIZE, num_labels=3))
    with pytest.raises(InvalidInput, match="3 outputs"):
        PairClassifier(network, True)


def test_a_network_whose_logits_come_from_no_linear_layer_is_refused() -> None:
    class Squashed(torch.nn.Module):
        """Logits that are a function of a layer's output."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=self.layer((input_ids * attention_mask).float()).tanh() + 1)

    with pytest.raises(InvalidInput, match="final Linear"):
        PairClassifier(Squashed(), False)


def test_one_logit_and_two_say_the_same() -> None:
    z, labels = torch.tensor([[-3.0], [0.0], [4.0]]), torch.tensor([0, 1, 1])
    two = torch.cat([torch.zeros(3, 1), z], dim=1)
    torch.testing.assert_close(positive_probability(z), positive_probability(two))
    torch.testing.assert_close(losses(z, labels), losses(two, labels))


@pytest.mark.parametrize("logits", [1, 2])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("margin", [10.0, 17.0, 30.0, 60.0, -30.0])
def test_the_gradient_of_a_sure_loss_keeps_all_its_digits(margin: float, label: int, logits: int) -> None:
    """That of a cross entropy is p − y, which is 0 in float32 from a margin of 17."""
    z = torch.tensor([[margin if label else -margin]])
    z = (z if logits == 1 else torch.cat([torch.zeros(1, 1), z], dim=1)).requires_grad_()
    loss = losses(z, torch.tensor([label]))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    wrong = 1 / (1 + math.exp(margin))  # p of the other class
    assert loss.item() == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-6, abs=0)
    assert abs(gradient[0, -1].item()) == pytest.approx(wrong, rel=1e-6, abs=0)
