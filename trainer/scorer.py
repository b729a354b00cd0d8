"""Score for a worker: predictions and importance of a batch, by a version that can change between two.

Independent of Kafka and where versions come from: it is given directories.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from importance import estimators
from importance import sample as outcomes
from importance.arrays import Booleans, Floats, Vectors
from importance.errors import Unavailable
from importance.estimators import Estimator
from importance.mixture import Mixture, parse
from importance.race.seen import Seen
from importance.sample import Outcome, Sample
from importance.scale import TOP_FRACTION, Scale, complete
from importance.scores import BASELINE, MIRROR, REFERENCE, SERVING, SHADOW, Embeddings, Predictions, Scores
from trainer import version_directory as versions
from trainer.forward import MICRO_BATCH, Pass, provided, run
from trainer.model import last_layer
from trainer.tokens import Encoded
from trainer.validation import validate
from trainer.version_directory import Model


@dataclass(frozen=True, eq=False, slots=True)
class Served:
    """A version that is ready to score: which estimators it can serve, and what its scores are measured by.

    ``missing`` names the parts of the mixture that it cannot compute, for lack of state: of these nothing is
    known, so that every sample counts alike. ``rivals`` are the estimators of a race with their scales, and
    ``last_layer`` [H + 1] what its heads start from: the weights of a single logit, bias last.
    """

    version: str
    model: Model
    able: Sequence[Estimator]
    missing: Sequence[str]
    scale: Scale
    rivals: Mapping[str, tuple[Mixture, Scale]]
    last_layer: Floats


Choose = Callable[[Sequence[Sample]], Booleans]
"""Returns which samples [n] a further model predicts."""


@dataclass(frozen=True, eq=False, slots=True)
class _Compared:
    """A version that predicts next to the serving one: all samples, or those that ``choose`` returns."""

    served: Served
    choose: Choose | None


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How importance is computed: the mixture, the top fraction, and whether networks may compute in bfloat16.

    Samples are labelled 1 from ``positive_from`` on. ``embeddings``: scores carry hidden vectors, to watch their drift.
    ``rivals``: the estimators of a race of policies, whose scores are computed too.
    """

    mixture: Mixture
    top_fraction: float = TOP_FRACTION
    autocast: bool = False
    positive_from: Outcome = Outcome.CLICK
    embeddings: bool = False
    rivals: tuple[str, ...] = ()


class Scorer:
    """Scores samples by the serving version, and predicts them by further versions for comparison.

    `score` and `swap` may be called from different threads: a version never changes within a batch, and once `swap`
    has returned nothing is scored by the one before it.
    """

    def __init__(
        self,
        config: ScoringConfig,
        device: torch.device,
        micro_batch: int = MICRO_BATCH,
    ) -> None:
        self._config = config
        self._device = device
        self._micro_batch = micro_batch
        self._scoring = Lock()
        self._swapping = Lock()
        self._served: Served | None = None
        self._previous: Served | None = None
        self._compared: Mapping[str, _Compared] = {}  # by predictor; replaced as a whole

    @property
    def version(self) -> str | None:
        """Return the version that scores the next batch."""
        return self._served.version if self._served else None

    @property
    def autocast(self) -> bool:
        """Return whether networks may compute in bfloat16."""
        return self._config.autocast

    @property
    def missing(self) -> Sequence[str]:
        """Return the parts of the mixture that the serving version cannot serve yet."""
        return self._served.missing if self._served else ()

    @property
    def previous(self) -> str | None:
        """Return the previous version, still in memory for an instant rollback."""
        return self._previous.version if self._previous else None

    @property
    def compared(self) -> dict[str, str]:
        """Return the versions that predict next to the serving one, by predictor."""
        return {predictor: compared.served.version for predictor, compared in self._compared.items()}

    def compare(
        self, predictor: str, version: str, directory: Path | Callable[[], Path], choose: Choose | None = None
    ) -> None:
        """Load a version that predicts as ``predictor``, such as `BASELINE`; `BadArtifact` leaves all as it was.

        Of a `SHADOW` or `MIRROR` only the samples that ``choose`` returns are predicted, the others are NaN. As in
        `swap`, nothing is fetched that is in memory.
        """
        with self._swapping:
            ready = self._in_memory(version) or self._ready(version, directory)
            with self._scoring:
                self._compared = {**self._compared, predictor: _Compared(ready, choose)}

    def drop(self, predictor: str) -> None:
        """Predict by ``predictor`` no longer."""
        with self._swapping, self._scoring:
            self._compared = {name: compared for name, compared in self._compared.items() if name != predictor}

    def swap(self, version: str, directory: Path | Callable[[], Path]) -> float:
        """Load, warm up, and let this version score from the next batch on. Returns the seconds that it took.

        ``directory`` may be a callable that fetches it; it is not called for a version that is in memory (the previous
        one, or a compared one), which makes a rollback instant. `BadArtifact` leaves the active version as it was.
        """
        with self._swapping:
            started = perf_counter()
            if self.version == version:
                return 0.0
            fresh = self._in_memory(version) or self._ready(version, directory)
            with self._scoring:
                self._previous, self._served = self._served, fresh
            return perf_counter() - started

    @contextmanager
    def serving(self, predictor: str = SERVING) -> Iterator[Served]:
        """Yield a version, which no other one replaces within the block; Unavailable where there is none.

        It is the serving one unless another ``predictor`` is compared with it.
        """
        with self._scoring:
            compared = self._compared.get(predictor)
            served = compared.served if compared is not None else self._served
            if served is None:
                raise Unavailable("no model is served yet: run weir models init")
            yield served

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Return importance and predictions of samples, in order."""
        with self.serving() as served:
            compared = self._compared
            encoded = served.model.tokens.encode(samples)
            keep_hidden = self._config.embeddings
            wanted = keep_hidden or bool(served.rivals)
            seen, bad = self._run(served, encoded, self._labels(samples), served.able, wanted)
            predictions = {SERVING: Predictions(served.version, seen.prediction)}
            hidden = {SERVING: seen.hidden if keep_hidden else None}
            passes = {served.version: seen}  # by version: no second pass of any
            for predictor, other in compared.items():
                if predictor in (SHADOW, MIRROR):
                    continue
                version = other.served.version
                if version not in passes:
                    theirs = _encoded(other.served, served, encoded, samples)
                    passes[version], worse = self._run(other.served, theirs, keep_hidden=keep_hidden)
                    bad |= worse
                predictions[predictor] = Predictions(version, passes[version].prediction)
                hidden[predictor] = passes[version].hidden if keep_hidden else None
            for predictor in compared.keys() & {SHADOW, MIRROR}:
                predictions[predictor] = self._predict_chosen(compared[predictor], served, encoded, samples, passes)
            predictions[REFERENCE] = Predictions("", _references(samples))
        mixture, scale = self._config.mixture, served.scale
        columns = complete(mixture, seen.importance, len(samples))
        return Scores(
            importance=mixture.combine(columns, scale.means),
            estimator=str(mixture),
            model=served.version,
            mean_importance=scale.mean,
            top_threshold=scale.top_threshold,
            predictions=predictions,
            known=_known(samples, (compared[BASELINE].served if BASELINE in compared else served).model.known_items),
            non_finite=int(bad.sum()),
            embeddings=_embeddings(predictions, hidden),
            seen=_seen(served, seen),
        )

    def _predict_chosen(
        self,
        other: _Compared,
        served: Served,
        encoded: Encoded,
        samples: Sequence[Sample],
        passes: Mapping[str, Pass],
    ) -> Predictions:
        """Predict the samples that are compared, the others are NaN; a non-finite prediction becomes NaN too."""
        version = other.served.version
        chosen = np.ones(len(samples), np.bool_) if other.choose is None else other.choose(samples)
        values = np.full(len(samples), nan)
        if version in passes:
            values[chosen] = passes[version].prediction[chosen]
        elif chosen.any():
            rows = np.flatnonzero(chosen)
            theirs = _encoded(other.served, served, encoded.rows(rows), [samples[row] for row in rows.tolist()])
            shown, bad = self._run(other.served, theirs)
            values[rows[~bad]] = shown.prediction[~bad]
        return Predictions(version, values)

    def estimate(self, samples: Sequence[Sample], chosen: Sequence[Estimator] = ()) -> tuple[str, Pass]:
        """Return the serving version, its predictions of samples in order, and their importance by any estimators."""
        with self.serving() as served:
            encoded = served.model.tokens.encode(samples)
            return served.version, self._run(served, encoded, self._labels(samples), chosen)[0]

    def _labels(self, samples: Sequence[Sample]) -> NDArray[np.int64]:
        return np.array(outcomes.labels(samples, self._config.positive_from), np.int64)

    def _run(
        self,
        served: Served,
        encoded: Encoded,
        labels: NDArray[np.int64] | None = None,
        chosen: Sequence[Estimator] = (),
        keep_hidden: bool = False,
    ) -> tuple[Pass, NDArray[np.bool_]]:
        autocast = self._config.autocast
        return run(served.model, encoded, labels, chosen, self._micro_batch, autocast, keep_hidden).repaired()

    def _in_memory(self, version: str) -> Served | None:
        held = (self._previous, *(compared.served for compared in self._compared.values()))
        return next((served for served in held if served is not None and served.version == version), None)

    def _ready(self, version: str, directory: Path | Callable[[], Path]) -> Served:
        """Load, and warm up by a first pass, which also shows a network that cannot compute.

        It also shows an estimator that does not cover the network: `InvalidInput` names what it does not.
        """
        path = directory if isinstance(directory, Path) else directory()
        model = versions.load(path, self._device, with_auxiliary=True)
        mixture = self._config.mixture
        rivals = {text: parse(text) for text in self._config.rivals}
        met, columns = provided(model), dict.fromkeys(mixture.columns)
        columns |= dict.fromkeys(name for each in rivals.values() for name in each.columns)
        wanted = [estimators.get(name) for name in columns]
        able = [estimator for estimator in wanted if estimator.needs <= met]
        missing = [name for name in mixture.columns if not estimators.get(name).needs <= met]
        scale = Scale.of(mixture, model.measured, self._config.top_fraction)
        validate(model, f"version {version} in {path}", able, self._config.autocast)
        fraction = self._config.top_fraction
        measured = {text: (each, Scale.of(each, model.measured, fraction)) for text, each in rivals.items()}
        return Served(version, model, able, missing, scale, measured, _last_layer(model))


def _encoded(other: Served, served: Served, encoded: Encoded, samples: Sequence[Sample]) -> Encoded:
    """Return the samples as ``other`` reads them; ``encoded`` are the same as ``served`` does."""
    same_tokens = other.model.tokens.definition == served.model.tokens.definition
    return encoded if same_tokens else other.model.tokens.encode(samples)


def _known(samples: Sequence[Sample], items: frozenset[str]) -> NDArray[np.bool_]:
    """Return whether the first model's data had the item [n]."""
    return np.fromiter((sample.item in items for sample in samples), np.bool_, len(samples))


def _embeddings(predictions: Mapping[str, Predictions], hidden: Mapping[str, Vectors | None]) -> Embeddings | None:
    """Those of the first version, which a promotion does not change; else of the serving one."""
    predictor = BASELINE if BASELINE in hidden else SERVING
    values = hidden[predictor]
    return None if values is None else Embeddings(predictions[predictor].version, values)


def _last_layer(model: Model) -> Floats:
    """Return the last layer [H + 1] as that of a single logit: of two the difference, which the softmax reads."""
    layer = last_layer(model.network).cpu().double()
    single: Floats = (layer[-1] - layer[0] if len(layer) > 1 else layer[0]).numpy()
    return single


def _seen(served: Served, seen: Pass) -> Seen | None:
    """Return what a race is run on; None without one."""
    if not served.rivals or seen.hidden is None:
        return None
    count = len(seen.prediction)
    scores = {
        text: mixture.combine(complete(mixture, seen.importance, count), scale.means)
        for text, (mixture, scale) in served.rivals.items()
    }
    means = {text: scale.mean for text, (_, scale) in served.rivals.items()}
    return Seen(served.version, served.last_layer, seen.hidden, scores, means)


def _references(samples: Sequence[Sample]) -> Floats:
    """Return the reference score x / (1 + x) [n] of the attribute ``popularity`` x ≥ 0; NaN without it."""
    return np.fromiter((_reference(sample.attributes.get("popularity")) for sample in samples), float, len(samples))


def _reference(popularity: object) -> float:
    if isinstance(popularity, bool) or not isinstance(popularity, int | float) or not 0 <= popularity < inf:
        return nan
    return popularity / (1 + popularity)
