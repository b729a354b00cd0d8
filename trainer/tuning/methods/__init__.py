"""What a fine-tune trains: one file a method, behind one protocol, each merged back into plain weights at its end.

In reading order: ``base`` what a method is, ``full`` and ``head_only`` train weights of the network, ``lora``,
``adalora`` and ``adapters`` few new ones, ``registry`` the methods by name.

To add a method: see CONTRIBUTING.md.
"""

from trainer.tuning.methods.adalora import AdaLoRA
from trainer.tuning.methods.adapters import Adapters
from trainer.tuning.methods.base import Attached, Method
from trainer.tuning.methods.full import Full
from trainer.tuning.methods.head_only import HeadOnly
from trainer.tuning.methods.lora import LoRA
from trainer.tuning.methods.registry import METHODS, method

__all__ = ["METHODS", "AdaLoRA", "Adapters", "Attached", "Full", "HeadOnly", "LoRA", "Method", "method"]
