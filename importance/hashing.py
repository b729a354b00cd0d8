"""Uniform numbers that belong to an id: the same in every process, and unknown without the salt.

All random choices of the buffer come from here. Independent of samples and buffers.
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput


def check_salt(salt: str) -> None:
    """Refuse a salt that blake2b cannot take as its key."""
    size = len(salt.encode())
    if not 1 <= size <= blake2b.MAX_KEY_SIZE:
        raise InvalidInput(f"the salt has {size} bytes; it must have 1 to {blake2b.MAX_KEY_SIZE}: choose another one")


def uniforms(ids: Iterable[str], salt: str, purpose: str) -> Floats:
    """Return one number in the open interval (0, 1) for each id, independent between purposes.

    u = ((h >> 12) + ½) / 2⁵², h = blake2b-64 of the id, keyed by the salt and personalised by the purpose, read
    big-endian. 52 bits, because with 53 the largest value rounds to 1. Keyed, so that no producer can aim an id at the
    buffer; purposes (at most 16 bytes) keep the draw apart from the holdout and the holdout from the control arm.

    >>> uniforms(["a", "b", "a"], salt="s", purpose="draw").round(4).tolist()
    [0.8294, 0.7867, 0.8294]
    """
    return from_digests(_digests(ids, salt, purpose))


def hashes(texts: Iterable[str], salt: str, purpose: str) -> Integers:
    """Return the 64 bits of the same hash for each text, as signed integers, which is what Postgres stores.

    >>> hashes(["a", "b", "a"], salt="s", purpose="draw").tolist()
    [-3147443096545267435, -3934749378673667637, -3147443096545267435]
    """
    return np.frombuffer(b"".join(_digests(texts, salt, purpose)), dtype=">i8").astype(np.int64)


def _digests(texts: Iterable[str], salt: str, purpose: str) -> list[bytes]:
    copy = blake2b(digest_size=8, key=salt.encode(), person=purpose.encode()).copy  # cheaper than a new state
    digests = []
    for text in texts:
        state = copy()
        state.update(text.encode())
        digests.append(state.digest())
    return digests


def from_digests(digests: Iterable[bytes]) -> Floats:
    """Return the numbers of 8-byte digests; see `uniforms`."""
    words = np.frombuffer(b"".join(digests), dtype=">u8")
    # Both steps are exact in float64: 53 bits hold the half, and the divisor is a power of two.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52


def uniform(text: str, salt: str, purpose: str) -> float:
    """Return the number of one id; see `uniforms`."""
    return float(uniforms((text,), salt, purpose)[0])
