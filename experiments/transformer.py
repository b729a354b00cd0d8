"""The built-in transformer as a learner: the trainer's own network, scoring and fine-tuning."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer

from experiments.examples import Examples
from experiments.learner import BATCH, STATE_NEEDS, snapshot
from experiments.results import replace_file
from importance.arrays import Floats, Integers
from importance.estimators import Estimator
from importance.sample import Sample
from trainer import forward
from trainer.bootstrap import FirstTraining, train_tokenizer
from trainer.model import InteractionModel, Shape
from trainer.tokens import Encoded, Tokens
from trainer.tuning import Optimisation, TrainingBatches, train
from trainer.version_directory import INTERACTION, Card, Model

_DROPOUT_SEEDS = 100_000  # each round of learning takes one; a run has far fewer


class TransformerLearners:
    """Untrained built-in models over one set of examples, all with one tokenizer.

    Runs with different tokenizers are not comparable, and training one again gives another: it is stored in
    ``directory`` with the results, by the digest of the examples.
    """

    provides: ClassVar = frozenset({"logits", "hidden", "label", "embeddings", "gradient_norm"}) | STATE_NEEDS

    def __init__(self, examples: Examples, directory: Path) -> None:
        training = FirstTraining()
        samples = [_sample(examples, row) for row in range(len(examples))]
        file = tokenizer_file(directory, examples)
        if not file.exists():
            replace_file(file, train_tokenizer(examples.texts, training.vocabulary).to_str().encode())
        self._tokens = Tokens.load(file, pad_id=0, max_tokens=training.max_tokens)
        self._vocabulary = Tokenizer.from_file(str(file)).get_vocab_size()
        self._encoded = self._tokens.encode(samples)

    def fresh(self, seed: int) -> "TransformerLearner":
        """Create a learner; its weights and dropout depend on the seed only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = InteractionModel(Shape(self._vocabulary, max_tokens=self._tokens.max_tokens))
        network.eval()
        card = Card(INTERACTION, self._tokens.max_tokens, pad_id=0, seed=seed)
        return TransformerLearner(Model(network, self._tokens, card), self._encoded, _DROPOUT_SEEDS * seed)


class TransformerLearner:
    """One model, and its own random state of dropout."""

    def __init__(self, model: Model, encoded: Encoded, seed: int) -> None:
        self._model = model
        self._encoded = encoded
        self._seed = seed

    def predict(self, rows: Integers) -> Floats:
        """Return P(label = 1) [n]."""
        return forward.run(self._model, _part(self._encoded, rows)).prediction

    def update_state(self, rows: Integers, labels: Integers, needs: frozenset[str]) -> None:
        """Compute the state that `score` reads from now on."""
        encoded = _part(self._encoded, rows)
        needed = frozenset({"logits", "hidden", "label"})
        ((_, seen),) = forward.passes(self._model, encoded, labels, needed, micro_batch=len(rows))
        final = self._model.network.final
        last_layer = torch.cat([final.weight, final.bias.unsqueeze(1)], dim=1)
        self._model = replace(self._model, state=snapshot(seen, last_layer, needs))

    def score(self, rows: Integers, labels: Integers, estimators: tuple[Estimator, ...]) -> dict[str, Floats]:
        """Return scores [n] by estimator."""
        return forward.run(self._model, _part(self._encoded, rows), labels, estimators).importance

    def learn(self, rows: Integers, labels: Integers, weights: Floats, learning_rate: float) -> int:
        """Train by AdamW on the weighted loss, with the moments of earlier steps; return the number of steps."""
        batches = [np.arange(start, min(start + BATCH, len(rows))) for start in range(0, len(rows), BATCH)]
        prepared = TrainingBatches(_part(self._encoded, rows), labels, weights, batches)
        optimisation = Optimisation(batch_size=BATCH, learning_rate=learning_rate)
        self._model = train(self._model, prepared, optimisation, self._seed).model
        self._seed += 1
        return len(batches)

    def clone(self) -> "TransformerLearner":
        """Copy the weights, the moments and the random state of dropout."""
        model = replace(self._model, network=deepcopy(self._model.network), moments=deepcopy(self._model.moments))
        return TransformerLearner(model, self._encoded, self._seed)


def tokenizer_file(directory: Path, examples: Examples) -> Path:
    """Return the path of these examples' tokenizer in a directory of results."""
    return directory / f"tokenizer-{examples.digest()}.json"


def _part(encoded: Encoded, rows: Integers) -> Encoded:
    return Encoded(encoded.ids[rows], encoded.types[rows], encoded.lengths[rows])


def _sample(examples: Examples, row: int) -> Sample:
    text, query = examples.texts[row], ", ".join(examples.queries[row])
    return Sample(str(row), str(examples.groups[row]), examples.name, query, text, text, 0, 0, row)
