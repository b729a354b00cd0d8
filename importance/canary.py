"""Which subjects are answered by the candidate in shadow. Pure; independent of models and requests."""

from importance.hashing import uniform

_PURPOSE = "canary"


def is_canary(subject: str | None, share: float, salt: str) -> bool:
    """Return whether a subject belongs to the share that is chosen by its hash; a request without a subject never does.

    A larger share keeps the subjects of a smaller one.

    >>> [is_canary(subject, 0.5, "salt") for subject in ("ann", "bob", None)]
    [True, False, False]
    """
    return subject is not None and share > 0 and uniform(subject, salt, _PURPOSE) < share
