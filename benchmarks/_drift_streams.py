"""Streams of samples with known parameters, stationary or shifted, for each feature that drift is detected in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from importance.arrays import Floats
from importance.sample import Outcome

SAMPLES = 100
"""In one block."""
WIDTH = 384
_CATEGORIES = 40
_OUTCOMES = tuple(Outcome)


@dataclass(frozen=True)
class Stream:
    """Parameters of the samples, at their stationary values; ``block_spread`` makes blocks differ (log scale)."""

    importance: float = 1.0
    click_rate: float = 0.05
    mix: float = 0.0
    text_length: float = 60.0
    turn: float = 0.0
    block_spread: float = 0.0

    def draw(self, feature: str, random: np.random.Generator, blocks: int) -> Iterator[Any]:
        """The values of ``blocks`` blocks in order, a hundred blocks at a time."""
        for start in range(0, blocks, 100):
            spread = random.standard_normal(min(100, blocks - start))
            level = np.exp(self.block_spread * np.repeat(spread, SAMPLES))
            yield _DRAWS[feature](self, random, level)

    def clicked(self, random: np.random.Generator, level: Floats) -> Floats:
        """The label of each sample."""
        return (random.random(len(level)) < self.click_rate * level).astype(np.float64)


def _loss(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Of a model that predicts the stationary rate for all."""
    clicked = stream.clicked(random, level)
    return -np.log(np.where(clicked == 1, STATIONARY.click_rate, 1 - STATIONARY.click_rate))


def _categories(stream: Stream, random: np.random.Generator, level: Floats) -> list[str]:
    """Of shares by Zipf's law."""
    weights = 1 / np.arange(1, _CATEGORIES + 1)
    weights[3] *= 1 + stream.mix
    return [f"category {index}" for index in random.choice(_CATEGORIES, len(level), p=weights / weights.sum())]


def _scores(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Lognormal."""
    return stream.importance * level * random.lognormal(-0.5, 1, len(level))


def _lengths(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Whole numbers, about lognormal."""
    return np.ceil(stream.text_length * level * random.lognormal(0, 0.5, len(level)))


def _prices(_: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Lognormal."""
    return level * random.lognormal(2.5, 1, len(level))


def _predictions(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Of a model that is calibrated, and unsure."""
    return random.beta(2, 2 / (stream.click_rate * level) - 2)


def _embeddings(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Around a direction, at about 45° from it."""
    centre = np.zeros(WIDTH)
    centre[:2] = np.cos(stream.turn), np.sin(stream.turn)
    vectors: Floats = centre + random.standard_normal((len(level), WIDTH)) / WIDTH**0.5
    return vectors


def _outcomes(stream: Stream, random: np.random.Generator, level: Floats) -> list[str]:
    """None, or one of the three that make a label, in fixed proportions."""
    which = random.choice([3, 4, 5], len(level), p=[0.7, 0.2, 0.1])
    return [_OUTCOMES[index] for index in np.where(stream.clicked(random, level) == 1, which, 0)]


_Draw = Callable[[Stream, np.random.Generator, Floats], Any]
_DRAWS: dict[str, _Draw] = {
    "loss": _loss,
    "click_rate": Stream.clicked,
    "mean_importance": _scores,
    "importance": _scores,
    "prediction": _predictions,
    "text_length": _lengths,
    "price": _prices,
    "category": _categories,
    "embedding": _embeddings,
    "outcome": _outcomes,
}
STATIONARY = Stream()
SHIFTS: dict[str, tuple[Stream, tuple[str, ...]]] = {
    "mean score × 1.25": (replace(STATIONARY, importance=1.25), ("mean_importance", "importance")),
    "label rate 5 % → 7.5 %": (replace(STATIONARY, click_rate=0.075), ("click_rate", "loss", "outcome", "prediction")),
    "a category's share 6 % → 11 %": (replace(STATIONARY, mix=1.0), ("category",)),
    "text length × 1.25": (replace(STATIONARY, text_length=75.0), ("text_length",)),
    "embedding direction by 15°": (replace(STATIONARY, turn=np.pi / 12), ("embedding",)),
}
