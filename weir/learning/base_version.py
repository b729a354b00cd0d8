"""The version that a fine-tune starts from. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RejectedCandidate:
    """The candidate of the last run that learned, where the gate rejected it.

    ``sequence``: the promotion log's last entry when its run started; ``difference``: its AUC minus that of the serving
    version.
    """

    version: str
    sequence: int | None
    difference: float


def base_version(active: str, sequence: int, rejected: RejectedCandidate | None, margin: float) -> str:
    """Return the last candidate if it was only not good enough yet, else the active version.

    A candidate that is worse by ``margin`` or more is dropped; so is one from before a promotion or a rollback.

    >>> base_version("v1", 3, RejectedCandidate("v2", 3, -0.001), margin=0.01)
    'v2'
    >>> base_version("v1", 3, RejectedCandidate("v2", 3, -0.02), margin=0.01)
    'v1'
    >>> base_version("v1", 4, RejectedCandidate("v2", 3, -0.001), margin=0.01)
    'v1'
    """
    if rejected is None or rejected.sequence != sequence or not rejected.difference > -margin:
        return active
    return rejected.version
