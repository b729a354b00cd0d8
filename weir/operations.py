"""The changes that an operator or a program may make: promote, roll back, lift, freeze, unfreeze, train now.

Each operation takes an actor and a reason, which the promotion log or the training request keeps, and the audit log
with the way by which the change was made. The change is made
first and then announced on the topic ``models``: Postgres holds the truth, the topic only wakes workers and apis, and a
change that is made never fails because Kafka is unavailable.
"""

from collections.abc import Callable

from importance.errors import BadArtifact, Conflict, InvalidInput, StoreUnavailable, Unavailable
from storage.artifacts import Artifacts
from storage.audit import Author, Via
from storage.engine import Engine
from storage.lock import TrainerLock
from storage.quarantine import Quarantine
from storage.registry import Entry, Registry, walk_back
from storage.requests import Requests
from stream.announcements import Announcement
from stream.announcements import announce as send
from weir.settings import Settings
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics

ANNOUNCE_SECONDS = 5.0

Announce = Callable[[Entry], None]
"""Announces an entry that activated a version. Raises nothing: the change is made already."""


class Operations:
    """The changes of models and training, each recorded and announced.

    ``via`` is recorded with each change. ``warn`` is given a line when a rollback goes ahead although the files of its
    target could not be read. Without ``announce`` nothing is announced: for a caller that starts the workers later.
    """

    def __init__(
        self,
        engine: Engine,
        artifacts: Artifacts,
        warn: Callable[[str], None],
        via: Via,
        announce: Announce = lambda _entry: None,
    ) -> None:
        self._registry, self._requests = Registry(engine, via=via), Requests(engine, via=via)
        self._quarantine, self._via = Quarantine(engine), via
        self._artifacts = artifacts
        self._announce = announce
        self._warn = warn

    def promote(self, version: str, *, actor: str, reason: str) -> Entry:
        """Activate a version, whatever the gate decided; Conflict when its files are not as registered.

        A damaged version would leave workers unready, so nothing is changed then.
        """
        if (fault := _fault(self._registry, self._artifacts, version)) is not None:
            raise Conflict(f"version {version} was not promoted: {fault}; promote another one, or restore its files")
        return self._announced(self._registry.promote(version, expected_sequence=None, actor=actor, reason=reason))

    def promote_new(
        self,
        version: str,
        *,
        actor: str,
        reason: str,
        expected_sequence: int | None = None,
        lock: TrainerLock | None = None,
    ) -> Entry:
        """Activate a version that the caller has just written, so its files are not read again.

        A trainer gives ``expected_sequence`` and ``lock``: see `Registry.promote`.
        """
        entry = self._registry.promote(
            version, expected_sequence=expected_sequence, actor=actor, reason=reason, lock=lock
        )
        return self._announced(entry)

    def rollback(self, to: str | None, *, actor: str, reason: str, replacing: str | None = None) -> Entry:
        """Activate an earlier version, by default the previous one, and freeze training.

        A program gives the version ``replacing`` that it found to be bad: see `Registry.rollback`.

        Conflict, which names the next intact version below, when the files of the target are not as registered; nothing
        is changed then. While the artifact store does not answer, the rollback goes ahead with a warning: a bad version
        has to be replaced and training frozen in any case.
        """
        below = walk_back(self._registry.log())[:-1]
        target = below[-1] if to is None and below else to
        try:
            if target in below:
                _require_intact(self._registry, self._artifacts, target, below[: below.index(target)])
        except StoreUnavailable as error:
            self._warn(f"the files of {target} were not read: {error}; each worker takes it once it can fetch them")
        return self._announced(self._registry.rollback(target, actor=actor, reason=reason, replacing=replacing))

    def lift(self, version: str, *, actor: str, reason: str) -> None:
        """End the quarantine of a version; NotFound for an unknown version, Conflict where none stands."""
        self._quarantine.lift(version, Author(actor, self._via, reason))

    def freeze(self, *, actor: str, reason: str) -> Entry:
        """Stop training. Not announced: no worker serves another version, and the trainer reads the log itself."""
        return self._registry.freeze(actor=actor, reason=reason)

    def unfreeze(self, *, actor: str, reason: str) -> Entry:
        """Resume training. Not announced, like `freeze`."""
        return self._registry.unfreeze(actor=actor, reason=reason)

    def train_now(self, *, actor: str, reason: str) -> bool:
        """Request a fine-tune; False when one is requested or running already, Conflict while training is frozen."""
        return self._requests.ask(actor, reason)

    def _announced(self, entry: Entry) -> Entry:
        self._announce(entry)
        return entry


def announcer(
    settings: Settings,
    registry: Registry,
    report: Callable[[str], None],
    trouble: Callable[[], str | None] = lambda: None,
) -> Announce:
    """Return what announces an entry on the topic of ``settings``; ``report`` is given why one was not announced.

    ``trouble`` returns why Kafka is known to be unavailable, which saves waiting for its timeout; None otherwise.
    """

    def announce(entry: Entry) -> None:
        problem = trouble() if settings.kafka_bootstrap else "no Kafka is known"
        if problem is None:
            problem = _send(settings, registry, entry)
        if problem is not None:
            report(problem)

    return announce


def _send(settings: Settings, registry: Registry, entry: Entry) -> str | None:
    """Announce the version that ``entry`` activated; None, or why that failed."""
    assert entry.to_version is not None
    try:
        announcement = Announcement(
            sequence=entry.sequence,
            version=entry.to_version,
            previous=entry.from_version,
            actor=entry.actor,
            reason=entry.reason,
            time=entry.time,
            sha256=registry.version(entry.to_version).sha256,
        )
        send(kafka_connection(settings), named_topics(settings).models, announcement, ANNOUNCE_SECONDS)
    except (Unavailable, InvalidInput) as error:  # a password file that is gone must not fail a change that is made
        return str(error)
    return None


def _require_intact(registry: Registry, artifacts: Artifacts, version: str, below: list[str]) -> None:
    """Raise Conflict unless a rollback's target can be served; the remedy is the last intact version of ``below``."""
    if (fault := _fault(registry, artifacts, version)) is None:
        return
    intact = next((each for each in reversed(below) if _fault(registry, artifacts, each) is None), None)
    remedy = f"roll back to {intact}" if intact else "no version below it is intact: restore its files"
    raise Conflict(f"nothing was rolled back, version {version} cannot be served: {fault}; {remedy}")


def _fault(registry: Registry, artifacts: Artifacts, version: str) -> str | None:
    """Return the fault of a version's files; None when they are as registered. NotFound for an unknown version."""
    found = registry.version(version)
    try:
        artifacts.check(found.artifact, found.sha256)
    except BadArtifact as error:
        return str(error)
    return None
