"""Which compressed batches can be read here: each client library needs packages of its own.

Asked by a round trip of a few bytes, so that a package which is installed and broken is found, too. gzip comes with
Python.
"""

from collections.abc import Mapping
from itertools import groupby
from types import MappingProxyType, ModuleType
from typing import NamedTuple

import aiokafka.codec
import kafka.codec

from importance.errors import Unavailable

_TEXT = b"weir " * 8


class Library(NamedTuple):
    """A client library's module of codecs, and codec → the package that it needs."""

    module: ModuleType
    packages: Mapping[str, str]


WORKER_LIBRARY = Library(aiokafka.codec, MappingProxyType(dict.fromkeys(("snappy", "lz4", "zstd"), "cramjam")))
"""aiokafka, through which workers read."""

COMMAND_LIBRARY = Library(kafka.codec, MappingProxyType({"snappy": "python-snappy", "lz4": "lz4", "zstd": "zstandard"}))
"""kafka-python, through which commands read."""


def unreadable(library: Library) -> list[str]:
    """Return the codecs that the library cannot read here, a line for each package that is missing or broken.

    >>> unreadable(WORKER_LIBRARY)
    []
    """
    lacking = [(package, codec) for codec, package in library.packages.items() if not _reads(library.module, codec)]
    return [
        f"batches compressed with {', '.join(codec for _, codec in codecs)} cannot be read: install {package}"
        for package, codecs in groupby(lacking, key=lambda pair: pair[0])
    ]


def require_codecs(library: Library) -> bool:
    """Return True; raise :class:`Unavailable` when a codec cannot be read."""
    if lines := unreadable(library):
        raise Unavailable("; ".join(lines))
    return True


def _reads(module: ModuleType, codec: str) -> bool:
    try:
        packed = getattr(module, f"{codec}_encode")(_TEXT)
        return bool(getattr(module, f"{codec}_decode")(packed) == _TEXT)
    except Exception:  # without its package a codec is None or raises; a broken one may do anything
        return False
