"""Types of callables that long work reports to."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with the step under way, how far it is, and how far it goes (0: unknown)."""
