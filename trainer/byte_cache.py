"""A cache that is bounded in bytes and drops what was not used for the longest time."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from importance.errors import InvalidInput

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 200
"""What an entry needs besides key and value: its share of the table, and a node of the list that orders it."""


class ByteCache(Generic[K, V]):
    """Keeps values up to ``max_bytes``, each counted as the caller measures it. Not thread-safe.

    >>> cache = ByteCache[str, int](2 * (ENTRY_BYTES + 8))
    >>> for name in ("a", "b"):
    ...     cache.put(name, 1, size_bytes=8)
    >>> cache.get("a"), cache.put("c", 3, size_bytes=8), cache.get("b"), cache.get("a")
    (1, None, None, 1)
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise InvalidInput(f"the cache's bound is {max_bytes} bytes; it must be at least 0, which keeps nothing")
        self._max_bytes = max_bytes
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value, which counts as used now; None where it is not held."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Hold a value, and drop the least recently used ones for it; one that alone is over the bound is not held."""
        size = size_bytes + ENTRY_BYTES
        before = self._entries.pop(key, None)
        self.size_bytes -= before[1] if before else 0
        if size > self._max_bytes:
            return
        while self.size_bytes + size > self._max_bytes:
            _, (_, dropped) = self._entries.popitem(last=False)
            self.size_bytes -= dropped
        self._entries[key] = value, size
        self.size_bytes += size
