"""A parent like ``weir up``, for the tests to interrupt and to kill: ``python parent.py HOME KAFKA ROLE``.

KAFKA is an address that is not used, or ``own``; ROLE is the code of one role. Prints lines, and ``{"kafka": …}`` when
everything runs.
"""

import json
import os
import sys
from pathlib import Path

from importance.errors import WeirError
from weir.local.install import install
from weir.local.lock import locked
from weir.local.stack import LocalStack
from weir.local.supervisor import ended_by_signals


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


def main() -> None:
    """Start, say so, wait, end in order."""
    home, kafka, role = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with locked(home) as held:
        given = None if kafka == "own" else kafka
        stack = LocalStack(home, given, None, install=install, report=say, held=held)
        with ended_by_signals(stack.supervisor):
            try:
                say("starting")
                stack.start()
                stack.start_role("role", [sys.executable, "-I", "-S", "-c", role], os.environ)
                say(json.dumps({"kafka": stack.kafka_bootstrap, "database_url": stack.database_url}))
                stack.supervisor.wait()
            except KeyboardInterrupt:
                say("broken off")
            finally:
                stack.stop()


if __name__ == "__main__":
    try:
        main()
    except WeirError as error:
        sys.exit(str(error))
