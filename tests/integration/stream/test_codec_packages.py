"""A package that a codec needs and that cannot be imported is named, in interpreters that really lack it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def without(packages: tuple[str, ...], code: str) -> list[str]:
    """The lines that code prints where the packages cannot be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_packages_of_workers_and_of_commands_are_distinguished() -> None:
    code = """
from stream.codecs import COMMAND_LIBRARY, WORKER_LIBRARY, unreadable
print(*unreadable(WORKER_LIBRARY), "--", *unreadable(COMMAND_LIBRARY), sep="\\n")
"""
    assert without((), code) == ["--"]
    assert without(("cramjam",), code) == [
        "batches compressed with snappy, lz4, zstd cannot be read: install cramjam",
        "--",
        "batches compressed with snappy cannot be read: install python-snappy",  # which needs cramjam itself
    ]
    assert without(("lz4.frame",), code) == ["--", "batches compressed with lz4 cannot be read: install lz4"]


def test_weir_check_says_which_codec_cannot_be_read_and_what_to_install() -> None:
    code = """
from weir.cli.check import inspect
from weir.settings import Settings
found = next(finding for finding in inspect(Settings()) if finding.name == "codecs")
print(found.state, found.detail, sep="\\n")
"""
    assert without((), code) == ["ok", "gzip, snappy, lz4, zstd"]
    assert without(("zstandard", "snappy"), code) == [
        "wrong",
        "batches compressed with snappy cannot be read: install python-snappy; "
        "batches compressed with zstd cannot be read: install zstandard",
    ]
