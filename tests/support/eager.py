"""Settings of a trainer that always finds something to do, and whose gate passes everything."""

from tests.support.service import Service

DUE_SAMPLES = 40


def eager(service: Service) -> dict[str, str]:
    """Return the environment of such a trainer."""
    return service.environment | {
        "WEIR_TRAIN_AFTER_SAMPLES": str(DUE_SAMPLES),
        "WEIR_TRAIN_LEAST_SAMPLES": "50",
        "WEIR_TRAIN_COOLDOWN_SECONDS": "0",
        "WEIR_TRAIN_STEPS": "300",
        "WEIR_TRAIN_BATCH": "16",
        "WEIR_GATE_MARGIN": "0.5",
        "WEIR_GATE_LEAST_SAMPLES": "4",
    }
