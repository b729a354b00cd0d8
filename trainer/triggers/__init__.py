"""When to train: one file a trigger, behind one protocol. Pure; the clock is an argument.

In reading order: ``base`` what a trigger sees and answers, ``amount``, ``time``, ``drift`` and ``operator`` the
triggers, ``policy`` how they are combined, ``waits`` what the next run waits for.

To add a trigger: see CONTRIBUTING.md.
"""

from trainer.triggers.amount import Amount
from trainer.triggers.base import Due, LearningState, Trigger
from trainer.triggers.drift import Drift
from trainer.triggers.operator import Operator
from trainer.triggers.policy import TriggerPolicy, training_due
from trainer.triggers.time import Time
from trainer.triggers.waits import Waits, waits

__all__ = [
    "Amount",
    "Drift",
    "Due",
    "LearningState",
    "Operator",
    "Time",
    "Trigger",
    "TriggerPolicy",
    "Waits",
    "training_due",
    "waits",
]
