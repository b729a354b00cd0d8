"""Importance of a sample, as written in a setting: one estimator, or a sum of several, guarded or not.

``last_layer_norm`` · ``rho+entropy`` · ``0.5*entropy+0.5*novelty``. Uses the estimators' names only; no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from math import inf
from typing import TYPE_CHECKING, Final

from importance.errors import InvalidInput

if TYPE_CHECKING:  # the settings read this language, and must not wait for numpy
    from importance.arrays import Floats

NAMES: Final = (
    "uniform", "entropy", "confidence", "margin", "loss", "el2n", "output_norm", "last_layer_norm", "rho", "tracin",
    "novelty", "forgetting", "learnability", "gradient_output", "input_gradient", "gradient_norm",
    "gradient_alignment", "grand",
)  # fmt: skip
"""The keys of all estimators, in the order of their cost."""

LABEL_FREE: Final = frozenset({
    "uniform", "entropy", "confidence", "margin", "output_norm", "novelty", "forgetting", "gradient_output",
})  # fmt: skip
"""Those that need no label."""

GUARD: Final = "p_holdout"
"""The column of p_holdout(y | x), by which a guarded score is multiplied."""


@dataclass(frozen=True, slots=True)
class Part:
    """An estimator and its factor in a sum."""

    estimator: str
    factor: float = 1.0

    def __str__(self) -> str:
        return self.estimator if self.factor == 1 else f"{_decimal(self.factor)}*{self.estimator}"


@dataclass(frozen=True, slots=True)
class Mixture:
    """One or more parts. A single one is the raw score; of several each is divided by its own mean first.

    The means are those that were measured when the model version was evaluated, so that a score is a function of
    sample and version. A part whose mean is 0, or was not measured, is not known yet: it counts as 1 for every sample.
    With ``guarded`` the whole is multiplied by p_holdout(y | x), which is small where a label is probably wrong.
    """

    parts: tuple[Part, ...]
    guarded: bool = False

    def __str__(self) -> str:
        """Return the name under which scores are kept: those of different names are not compared.

        >>> str(parse("0.5*entropy + rho", guarded=True))
        'p_holdout*(0.5*entropy+rho)'
        """
        text = "+".join(map(str, self.parts))
        if not self.guarded:
            return text
        return f"{GUARD}*{text}" if len(self.parts) == 1 else f"{GUARD}*({text})"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of what has to be computed."""
        return (*(part.estimator for part in self.parts), *([GUARD] if self.guarded else []))

    def combine(self, scores: "Mapping[str, Floats]", means: Mapping[str, float]) -> "Floats":
        """Return the mixture's score [n] of its columns' scores, each [n].

        >>> import numpy as np
        >>> parse("rho+entropy").combine({"rho": np.array([2.0, 0.0]), "entropy": np.array([0.1, 0.3])},
        ...                              {"rho": 1.0, "entropy": 0.2}).tolist()
        [2.5, 1.4999999999999998]
        """
        first, *others = self.parts
        if others:
            total = first.factor * _relative(scores, means, first.estimator)
            for part in others:
                total = total + part.factor * _relative(scores, means, part.estimator)
        else:
            total = scores[first.estimator] * first.factor
        return total * scores[GUARD] if self.guarded else total


def _decimal(factor: float) -> str:
    """Return the shortest decimal that is read as this number, with no exponent: its + would end a part."""
    return f"{Decimal(repr(factor)):f}".removesuffix(".0")


def _relative(scores: "Mapping[str, Floats]", means: Mapping[str, float], name: str) -> "Floats":
    mean = means.get(name, 0.0)
    return scores[name] / mean if mean > 0 else scores[name] * 0.0 + 1.0


def parse(text: str, guarded: bool = False) -> Mixture:
    """Read ``name``, ``name+name`` or ``factor*name+factor*name``; spaces do not matter.

    >>> parse("0.5*entropy + novelty").parts
    (Part(estimator='entropy', factor=0.5), Part(estimator='novelty', factor=1.0))
    """
    parts = tuple(_part(piece.strip(), text) for piece in text.split("+"))
    names = [part.estimator for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"estimator {text!r} names {twice} twice: give it one factor")
    return Mixture(parts, guarded)


def _part(piece: str, whole: str) -> Part:
    factor, star, name = piece.rpartition("*")
    name = name.strip()
    if not name:
        raise InvalidInput(f"estimator {whole!r} has an empty part: write it like rho+entropy or 0.5*entropy+0.5*loss")
    check_name(name)
    return Part(name, _factor(factor.strip(), whole) if star else 1.0)


def _factor(text: str, whole: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = inf
    if not 0 < factor <= 1e6:
        raise InvalidInput(f"factor {text!r} of estimator {whole!r} must be a number above 0 and at most 1000000")
    return factor


def check_name(name: str) -> None:
    """Refuse an unknown estimator."""
    if name not in NAMES:
        close = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(NAMES)}"
        raise InvalidInput(f"unknown estimator {name!r}; {hint}")
