"""Whether a model that was loaded can compute at all: asked before it is served, or taken over.

A file can have the right sha256 and still be unfit: a tokenizer with more ids than the network has rows, or a network
with fewer positions than its input may have tokens.
"""

from collections.abc import Sequence

import numpy as np

from importance.errors import BadArtifact, WeirError
from importance.estimators import Estimator
from importance.sample import Sample
from trainer.forward import run
from trainer.tokens import Encoded
from trainer.version_directory import Model

_SHORT = (
    Sample(
        "validation-1", "validation", "search", "a query", "validation", "an item", 0, 0, 0, attributes={"price": 1.0}
    ),
    Sample("validation-2", "validation", "recommendation", "", "validation", "another item", 0, 0, 1),
)


def validate(model: Model, name: str, estimators: Sequence[Estimator] = (), autocast: bool = False) -> None:
    """Let the model predict and be scored; the first pass also allocates what later ones use.

    Two samples, and one input of full length of the largest token id. Raises `BadArtifact`, with ``name`` in it, when
    the network fails or yields no finite numbers, and `InvalidInput` when an estimator does not cover the network.
    """
    length = model.tokens.max_tokens
    longest = np.full((1, length), model.tokens.largest_id)
    try:
        short = run(model, model.tokens.encode(_SHORT), np.zeros(2, np.int64), estimators, autocast=autocast)
        long = run(model, Encoded(longest, np.zeros_like(longest), np.array([length])), autocast=autocast)
    except WeirError:
        raise
    except Exception as error:  # torch raises errors of several kinds for what does not fit together
        reason = " ".join(str(error).split())[:200]
        raise BadArtifact(
            f"{name} cannot compute an input of {length} tokens up to id {model.tokens.largest_id}: {reason}"
        ) from error
    if not np.isfinite([*short.prediction, *long.prediction]).all():
        raise BadArtifact(f"{name} predicts values that are not finite")
