"""The loss on samples that neither train nor decide about the candidate, by the weights between two steps."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.forward import MICRO_BATCH
from trainer.model import losses
from trainer.tokens import Encoded
from trainer.tuning.processes import Processes
from trainer.version_directory import Model


@dataclass(frozen=True, eq=False, slots=True)
class Validation:
    """Encoded samples with ``labels`` [n], n at least 1."""

    encoded: Encoded
    labels: NDArray[np.int64]

    @torch.no_grad()
    def mean_loss(self, model: Model, processes: Processes, bfloat16: bool) -> float:
        """Return the mean loss in nats, without dropout; each process computes a share, and all return the same."""
        total = torch.zeros((), device=model.device)
        model.network.eval()
        for number, rows in enumerate(self.encoded.by_length(MICRO_BATCH)):
            if number % processes.count != processes.number:
                continue
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
                logits = model.network(self.encoded.batch(rows).to(model.device)).logits
            total += losses(logits, torch.from_numpy(self.labels[rows]).to(model.device)).sum()
        model.network.train()
        return processes.sum(total).item() / len(self.labels)
