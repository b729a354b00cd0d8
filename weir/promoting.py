"""Let a version serve, by an operator's word, after its files were read: a damaged one would leave workers unready.

What a trainer promotes it has just written itself; it goes by `storage.registry` alone.
"""

from collections.abc import Callable

from importance.errors import BadArtifact, Conflict, StoreUnavailable
from storage.artifacts import Artifacts
from storage.registry import Entry, Registry, walk_back


def promote(registry: Registry, artifacts: Artifacts, version: str, *, actor: str, reason: str) -> Entry:
    """Promote a version whose files are as registered; Conflict with the fault, and nothing is changed, otherwise."""
    if (fault := fault_of(registry, artifacts, version)) is not None:
        raise Conflict(f"version {version} was not promoted: {fault}; promote another one, or restore its files")
    return registry.promote(version, expected_sequence=None, actor=actor, reason=reason)


def rollback(
    registry: Registry, artifacts: Artifacts, to: str | None, *, actor: str, reason: str, warn: Callable[[str], None]
) -> Entry:
    """Roll back to a version whose files are as registered, by default the one before.

    Conflict, which names the next good version below, when they are not; nothing is changed then. While the store does
    not answer it goes ahead unread, and ``warn`` is given a line: a bad version has to go, and training to be frozen.
    """
    below = walk_back(registry.log())[:-1]
    target = below[-1] if to is None and below else to
    try:
        if target in below and (fault := fault_of(registry, artifacts, target)) is not None:
            good = next_good(registry, artifacts, below[: below.index(target)])
            remedy = f"roll back to {good}" if good else "no version below it is intact: restore its files"
            raise Conflict(f"nothing was rolled back, version {target} cannot be served: {fault}; {remedy}")
    except StoreUnavailable as error:
        warn(f"the files of {target} were not read: {error}; each worker takes it once it can fetch them")
    return registry.rollback(target, actor=actor, reason=reason)


def fault_of(registry: Registry, artifacts: Artifacts, version: str) -> str | None:
    """What is wrong with a version's files; None when they are as registered. NotFound for an unknown version."""
    found = registry.version(version)
    try:
        artifacts.check(found.artifact, found.sha256)
    except BadArtifact as error:
        return str(error)
    return None


def next_good(registry: Registry, artifacts: Artifacts, versions: list[str]) -> str | None:
    """The last of these versions whose files are as registered."""
    return next((each for each in reversed(versions) if fault_of(registry, artifacts, each) is None), None)
