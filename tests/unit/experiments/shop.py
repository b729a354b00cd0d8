"""A small shop whose customers want the colour of what they have, as examples and as vectors."""

from random import Random

import numpy as np

from experiments.examples import Examples, Fold

COLOURS, THINGS = ("red", "blue", "green", "white"), ("lantern", "mug", "cushion")


def shop(is_stream: bool = False, count: int = 600) -> Examples:
    """One example in six is history or test, one in six holdout."""
    random = Random(4)
    colours, wanted = ([random.choice(COLOURS) for _ in range(count)] for _ in range(2))
    chance = [0.9 if colour == want else 0.1 for colour, want in zip(colours, wanted, strict=True)]
    labels = np.array([int(random.random() < p) for p in chance])
    folds = np.resize([Fold.POOL] * 4 + [Fold.HOLDOUT, Fold.HISTORY if is_stream else Fold.TEST], count)
    return Examples(
        "shop",
        tuple(f"{colour} {random.choice(THINGS)}" for colour in colours),
        tuple((f"{want} {random.choice(THINGS)}",) if random.random() < 0.9 else () for want in wanted),
        labels,
        labels.astype(np.float64),
        np.arange(count) // 3,
        np.arange(count) // 3,
        np.sort(folds)[::1] if is_stream else folds,
        is_stream,
    )


def vectors(examples: Examples) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """A made-up encoder: each word has a random direction, a text is their mean."""
    random, words = np.random.default_rng(0), {}
    for word in (*COLOURS, *THINGS):
        words[word] = random.normal(size=16)
    found = np.zeros((len(examples), 2, 16), np.float32)
    for row, (text, query) in enumerate(zip(examples.texts, examples.queries, strict=True)):
        for side, read in enumerate((text, *query)):
            mean = np.mean([words[word] for word in read.split()], axis=0)
            found[row, side] = mean / np.linalg.norm(mean)
    return found
