"""When to train: one file a trigger, behind one protocol. Pure; the clock is an argument.

In reading order: ``base`` what a trigger sees and answers; ``amount``, ``mass``, ``time``, ``drift``, ``performance``,
``cost`` and ``operator`` the triggers; ``policy`` how they are combined; ``waits`` what the next run waits for;
``waiting`` what waiting has cost; ``simulation`` when a policy would have started runs over a recorded stream.

To add a trigger: see CONTRIBUTING.md.
"""

from trainer.triggers.amount import Amount
from trainer.triggers.base import Due, LearningState, RecentQuality, Trigger
from trainer.triggers.cost import Cost
from trainer.triggers.drift import Drift
from trainer.triggers.mass import Mass
from trainer.triggers.operator import Operator
from trainer.triggers.performance import Performance
from trainer.triggers.policy import HeldBack, TriggerPolicy, held_back, training_due
from trainer.triggers.time import Time
from trainer.triggers.waits import Waits, waits

__all__ = [
    "Amount",
    "Cost",
    "Drift",
    "Due",
    "HeldBack",
    "LearningState",
    "Mass",
    "Operator",
    "Performance",
    "RecentQuality",
    "Time",
    "Trigger",
    "TriggerPolicy",
    "Waits",
    "held_back",
    "training_due",
    "waits",
]
