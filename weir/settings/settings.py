"""All settings in one frozen value, assembled from the sections."""

from weir.settings.sections.addresses import Addresses
from weir.settings.sections.api import Api
from weir.settings.sections.buffer import Buffer
from weir.settings.sections.drift import Drift
from weir.settings.sections.gate import Gate
from weir.settings.sections.importance import Importance
from weir.settings.sections.join import Join
from weir.settings.sections.kafka import Kafka
from weir.settings.sections.model import Model
from weir.settings.sections.monitoring import Monitoring
from weir.settings.sections.process import Process
from weir.settings.sections.shadow import Shadow
from weir.settings.sections.training import Training


# Fields are shown, and defaults computed, from the last base class to the first.
class Settings(
    Process, Shadow, Gate, Training, Model, Importance, Buffer, Join, Kafka, Drift, Monitoring, Api, Addresses
):
    """All settings. Frozen; not used outside ``weir``."""
