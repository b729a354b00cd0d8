"""AdaLoRA, by peft: LoRA in the form of a singular value decomposition whose least useful parts are cut."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainer.model import Network
from trainer.tuning.methods.base import Attached
from trainer.tuning.methods.lora import ADAPTER, Injected, inject, refuse_rank, targets
from trainer.version_directory import Weights


@dataclass(frozen=True, slots=True)
class AdaLoRA:
    """W + (α/r₀)·B diag(λ) A; of r₀ = 3/2·rank parts of each layer those of least sensitivity are cut to ``rank``.

    Zhang et al. 2023, arXiv:2303.10512. The mean over the layers is ``rank``; one layer may keep more than another.
    The first tenth of the steps cuts nothing, the last third trains what was kept; fewer than 3 steps cut nothing.
    A penalty keeps A and B near orthogonal. An average of the weights is cut with them; an early stop that keeps the
    weights of a step before the last third keeps the parts that they had.
    """

    rank: int = 8
    name: ClassVar[str] = "adalora"
    rate_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """Refuse a rank that holds nothing."""
        refuse_rank(self.rank)

    def attach(self, network: Network, steps: int) -> Attached:
        """Put A, λ and B into every linear layer of the encoder."""
        from peft import AdaLoraConfig, AdaLoraModel

        first = self.rank + (self.rank + 1) // 2
        config = AdaLoraConfig(
            init_r=first,
            target_r=self.rank,
            lora_alpha=2 * first,
            tinit=steps // 10,
            tfinal=steps // 3,
            total_step=steps,
            **targets(network),
        )
        return inject(network, AdaLoraModel, config, _Allocated)


class _Allocated(Injected):
    """Also keeps the sensitivity of each weight, smoothed over the steps, and which parts were kept at last."""

    def penalty(self) -> Tensor:
        """Return ½ · the mean over A and B of ‖P Pᵀ − I‖_F, P the matrix with a part a row."""
        found = [
            parameter if "lora_A" in name else parameter.T
            for name, parameter in self.network.named_parameters()
            if "lora_A" in name or "lora_B" in name
        ]
        off = [torch.linalg.matrix_norm(one @ one.T - torch.eye(len(one), device=one.device)) for one in found]
        penalty: Tensor = self._config.orth_reg_weight * torch.stack(off).mean()
        return penalty

    def after_step(self, step: int) -> None:
        """Smooth the sensitivities |w ∂ℓ/∂w| and cut down to the budget of this step."""
        self.tuner.update_and_allocate(step)

    def cut(self, average: Weights) -> None:
        """Set λ to 0 in the average where it was cut: its values of earlier steps would bring the part back."""
        for name, parameter in self.network.named_parameters():
            if "lora_E" in name:
                average[name].masked_fill_(parameter.detach() == 0, 0)

    def state(self) -> Weights:
        """Return the sensitivities, their uncertainty, and the parts that were kept."""
        allocator, kept = self.tuner.rankallocator, self._config.rank_pattern or {}
        return (
            {f"sensitivity.{name}": value.clone() for name, value in allocator.exp_avg_ipt.items()}
            | {f"uncertainty.{name}": value.clone() for name, value in allocator.exp_avg_unc.items()}
            | {f"kept.{name}": torch.tensor(value) for name, value in kept.items()}
        )

    def restore(self, state: Weights) -> None:
        """Continue with these; what is computed again from a step's gradients is left out."""
        allocator = self.tuner.rankallocator
        allocator.reset_ipt()
        allocator.exp_avg_ipt = self._of(state, "sensitivity.")
        allocator.exp_avg_unc = self._of(state, "uncertainty.")
        allocator.ipt = {name: torch.zeros_like(value) for name, value in allocator.exp_avg_ipt.items()}
        self._config.rank_pattern = {
            name.removeprefix("kept."): value.tolist() for name, value in state.items() if name.startswith("kept.")
        } or None

    def _of(self, state: Weights, kind: str) -> Weights:
        """Return copies of what the state has of a kind, each on the device of its parameter."""
        devices = {name: parameter.device for name, parameter in self.network.named_parameters()}
        found = {name.removeprefix(kind): value for name, value in state.items() if name.startswith(kind)}
        return {name: value.clone().to(devices[name]) for name, value in found.items()}

    @property
    def _config(self) -> Any:
        return self.tuner.peft_config[ADAPTER]
