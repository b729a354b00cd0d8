"""How the next version learns: one fine-tune, from rows to a tuned model. Knows nothing of files, buffers or gates.

In reading order: ``anatomy`` the parts of a network, ``methods`` what is trained of it, ``optimisation`` the
parameters, ``rows`` what may be learned from, ``batches`` the rows of each step, ``moments`` the optimizer, ``rates``
its learning rates, ``processes`` several that compute a batch together, ``validation`` the loss on other samples,
``early_stop`` when that ends a fine-tune, ``averaging`` the mean of the weights over the steps, ``loop`` the steps,
with a state that can be taken between any two of them, ``checkpoint`` that state on disk, ``group`` the further
processes of a fine-tune, ``increment`` a fine-tune of some steps.
"""

from trainer.tuning.batches import TrainingBatches, mixed_batches
from trainer.tuning.checkpoint import Checkpoints
from trainer.tuning.early_stop import EarlyStop, Evaluations
from trainer.tuning.group import FineTuneFailed
from trainer.tuning.increment import Progress, Stop, fine_tune, train
from trainer.tuning.loop import LoopState, TrainingLoop, Tuned
from trainer.tuning.optimisation import FineTuning, Optimisation
from trainer.tuning.rows import TrainingRows

__all__ = [
    "Checkpoints",
    "EarlyStop",
    "Evaluations",
    "FineTuneFailed",
    "FineTuning",
    "LoopState",
    "Optimisation",
    "Progress",
    "Stop",
    "TrainingBatches",
    "TrainingLoop",
    "TrainingRows",
    "Tuned",
    "fine_tune",
    "mixed_batches",
    "train",
]
