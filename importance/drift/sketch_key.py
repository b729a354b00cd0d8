"""Whose sums a block of the stream holds."""

import msgspec

ALL = "all"
"""The segment of every sample."""


class SketchKey(msgspec.Struct, frozen=True, order=True):
    """The partition and block of event time, the feature, and the segment of the samples that were summed.

    ``block_ms`` is the start of the block in event time. ``version`` is the model version that has a part in the
    feature, empty where none has: blocks of two versions are never compared.
    """

    partition: int
    block_ms: int
    version: str
    feature: str
    segment: str
