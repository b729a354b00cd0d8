"""Types of callables that long work reports to."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with the name of the step, the amount done, and the total (0: unknown)."""
