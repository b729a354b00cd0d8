"""The model: its base, its device, and how it scores."""

from typing import Literal

from pydantic import Field

from weir.settings.sections.base import Seconds, Section


class Model(Section):
    """Base model, device and scoring."""

    model: str = Field(
        default="builtin", min_length=1, description="base model: builtin, minilm, a Hugging Face name, or a directory"
    )
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of a role's tensor arithmetic")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="seed of training, simulation and replay; never of the buffer's keys"
    )
    score_batch: int = Field(default=256, ge=1, le=65_536, description="samples of one forward pass")
    score_precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="what a network computes in when it scores; bfloat16 is for GPUs"
    )
    gradient_fallback: bool = Field(
        default=False,
        description="let version 1, and all that follow it, compute gradient norms sample by sample where no rule "
        "covers a layer of WEIR_MODEL: exact, and slow",
    )
    models_poll_seconds: Seconds = Field(
        default=2.0,
        gt=0,
        description="how often a worker or api looks for another active version where no announcement woke it",
    )
