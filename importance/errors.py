"""The error tree: everything Weir raises on purpose.

::

    WeirError                 one line: what, the value, the bound, the remedy
    ├── InvalidEvent          a message that cannot be an event; becomes a dead letter
    ├── InvalidInput          a wrong setting, argument or request; exit status 2, HTTP 422
    ├── NotFound              no such version, sample or data set; HTTP 404
    ├── Conflict              not now: the log moved on, or training is frozen; HTTP 409
    ├── Fenced                this worker lost its partition; its effects must not be stored
    ├── Unavailable           Kafka, Postgres or the artifact store does not answer; retried
    │   └── StoreUnavailable  the artifact store does not answer; it or the local disk is read-only or full
    └── BadArtifact           a model file fails its checksum or does not load; never served
"""


class WeirError(Exception):
    """Base of all errors that Weir raises on purpose. Its text is one line."""


class InvalidEvent(WeirError):
    """A message that cannot be decoded into an event.

    ``reason`` is one of a small set of stable words (it becomes a metric label and the header ``weir-reason``);
    the text names the field, the value and the bound.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class InvalidInput(WeirError):
    """A setting, argument, file or request that cannot be used; nothing was started."""


class NotFound(WeirError):
    """A version, sample, or data set that does not exist."""


class Conflict(WeirError):
    """The action is not possible now: the promotion log moved on, or training is frozen."""


class Fenced(WeirError):
    """The progress row belongs to another epoch: this worker lost the partition, and nothing of it was stored."""


class Unavailable(WeirError):
    """A dependency does not answer. The caller may try again later; nothing was lost."""


class StoreUnavailable(Unavailable):
    """The artifact store does not answer, or it or the local disk takes no files."""


class BadArtifact(WeirError):
    """A model file whose checksum is wrong, or that does not load."""
