"""Fewer runs of the garbage collector in a process that makes many objects and hardly any cycles."""

import gc


def calm_garbage_collection() -> None:
    """Keep the collector from searching in vain, which took a seventh of a worker's time.

    What is loaded by now stays, and need not be searched again; and of the many records and offers that a processing
    cycle makes hardly any is in a reference cycle, so that a search at every 700th is too frequent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
