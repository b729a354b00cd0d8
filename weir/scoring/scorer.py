"""Score rows by several mixtures, from one forward pass for each batch."""

from collections.abc import Sequence

import numpy as np

from importance import estimators
from importance.arrays import Floats
from importance.errors import InvalidInput
from importance.mixture import Mixture
from importance.scale import Scale
from trainer.forward import provided, run
from trainer.version_directory import Model
from weir.scoring.rows import Rows


class ModelScorer:
    """A model that scores rows by mixtures; refuses those whose estimator state or means it lacks."""

    def __init__(
        self, name: str, model: Model, mixtures: Sequence[Mixture], micro_batch: int, autocast: bool = False
    ) -> None:
        self.name = name
        self._model = model
        self._micro_batch = micro_batch
        self._autocast = autocast
        names = dict.fromkeys(name for mixture in mixtures for name in mixture.columns)
        self._estimators = [estimators.get(name) for name in names]
        self._means = {mixture: Scale.of(mixture, model.measured).means for mixture in mixtures}
        self._check()

    def __call__(self, rows: Rows) -> tuple[dict[str, Floats], int]:
        """Return scores [n] by mixture, and the number of rows with a non-finite score, which is replaced by 0."""
        encoded = self._model.tokens.encode(rows.samples())
        labels = np.array([label or 0 for label in rows.labels], np.int64)
        seen, bad = run(self._model, encoded, labels, self._estimators, self._micro_batch, self._autocast).repaired()
        scores = {str(mixture): mixture.combine(seen.importance, means) for mixture, means in self._means.items()}
        return scores, int(bad.sum())

    def _check(self) -> None:
        met = provided(self._model)
        for estimator in self._estimators:
            if missing := sorted(estimator.needs - met):
                raise InvalidInput(
                    f"model {self.name} cannot score by {estimator.name}: it has no {missing[0]}, which is made when a "
                    "version is evaluated, where its network allows it; choose another estimator or version"
                )
        for mixture, means in self._means.items():
            if len(mixture.parts) > 1 and not means.keys() >= set(mixture.columns):
                raise InvalidInput(
                    f"model {self.name} cannot score by {mixture}: the means of its parts were not measured, which is "
                    "done when a version is evaluated; choose single estimators or another version"
                )
