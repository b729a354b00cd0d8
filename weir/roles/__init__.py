"""The three roles, put together from all rooms: the only place that names the concrete parts of each.

Each is a process of its own. Heavy libraries are imported when a role starts.
"""

from weir.settings import Settings


def run_worker(settings: Settings) -> int:
    """Read interactions until told to stop; the exit status."""
    from weir.roles.worker import run

    return run(settings)


def run_trainer(settings: Settings) -> int:
    """Fine-tune and promote until told to stop; the exit status."""
    from weir.roles.trainer import run

    return run(settings)


def run_api(settings: Settings) -> int:
    """Serve HTTP until told to stop; the exit status."""
    from weir.roles.api import run

    return run(settings)
