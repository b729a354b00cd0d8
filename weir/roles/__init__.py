"""The three roles, assembled from all packages; no other module names the concrete classes of each.

Each is a process of its own. Heavy libraries are imported when a role starts.
"""

from weir.settings import Settings


def run_worker(settings: Settings) -> int:
    """Read interactions until a signal; return the exit status."""
    from weir.roles.worker import run

    return run(settings)


def run_trainer(settings: Settings) -> int:
    """Fine-tune and promote until a signal; return the exit status."""
    from weir.roles.trainer import run

    return run(settings)


def run_api(settings: Settings) -> int:
    """Serve HTTP until a signal; return the exit status."""
    from weir.roles.api import run

    return run(settings)
