"""Mirror the registry in MLflow while a trainer works, on a thread of its own: learning never waits for MLflow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event

from importance.errors import Conflict, WeirError
from monitoring.metrics import TrainerMetrics
from storage.engine import Engine
from storage.registry import Registry
from weir.learning.exchange import card_of
from weir.learning.mlflow_mirror import MlflowMirror
from weir.process import logs
from weir.process.background import Background
from weir.settings import Settings

_log = logs.logger(__name__)
_POLL_SECONDS = 2.0


def mlflow_mirror(settings: Settings, engine: Engine) -> MlflowMirror:
    """Return the mirror that the settings name."""
    card = partial(card_of, settings, Registry(engine))
    return MlflowMirror(settings.mlflow_uri, settings.mlflow_model, engine, card, settings.artifacts_url)


@contextmanager
def mirroring(settings: Settings, engine: Engine, metrics: TrainerMetrics, leads: Callable[[], bool]) -> Iterator[None]:
    """Mirror within the block, while this trainer ``leads``; nothing without `WEIR_MLFLOW_URI`."""
    if not settings.mlflow_uri:
        yield
        return
    stop = Event()
    mirror = mlflow_mirror(settings, engine)
    with Background("mlflow", partial(_mirror, mirror, metrics, leads, stop, settings.retry_limit_seconds), stop.set):
        yield


def _mirror(
    mirror: MlflowMirror, metrics: TrainerMetrics, leads: Callable[[], bool], stop: Event, retry_seconds: float
) -> None:
    """Mirror until ``stop``. Each failed attempt is counted, and logged unless the one before failed alike."""
    failure: type[Exception] | None = None
    pause = _POLL_SECONDS
    while not stop.wait(pause):
        if not leads():
            continue
        try:
            changes = mirror.synchronise()
        except Conflict:  # another trainer until now, or `weir models mirror`: what it leaves is seen next time
            continue
        except Exception as error:
            metrics.mlflow_failures.inc()
            if type(error) is not failure:
                trace = None if isinstance(error, WeirError) else error
                _log.warning(
                    "versions are not mirrored in MLflow; learning continues", reason=str(error), exc_info=trace
                )
            failure, pause = type(error), max(_POLL_SECONDS, retry_seconds)
            continue
        if failure is not None:
            _log.info("versions are mirrored in MLflow again", changes=changes)
        failure, pause = None, _POLL_SECONDS
