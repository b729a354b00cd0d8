"""Ways to the norm of each sample's loss gradient, ours and others', and the passes they are measured against.

Each is made once from a network and rows, and then called again and again. One that returns norms returns [n].
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from transformers import BertPreTrainedModel

from benchmarks._subjects import Rows, Subject
from importance.estimators.gradient_norm import GradientNorm, squares

Way = Callable[[], Tensor | None]


def forward(subject: Subject, rows: Rows) -> Way:
    """The losses alone."""

    def run() -> None:
        with torch.inference_mode():
            subject(*rows.tensors)

    return run


def activations(subject: Subject, rows: Rows) -> Way:
    """Forward, and backward to the word embeddings: gradients of activations only, since all parameters are frozen."""
    subject = deepcopy(subject).requires_grad_(False)
    words: list[Tensor] = []

    def leaf(_: nn.Module, __: object, output: Tensor) -> None:
        words[:] = [output.requires_grad_()]

    _word_embeddings(subject).register_forward_hook(leaf)

    def run() -> None:
        torch.autograd.grad(subject(*rows.tensors).sum(), words)

    return run


def ours(subject: Subject, rows: Rows) -> Way:
    """`GradientNorm`."""
    gradient_norm = GradientNorm(subject)

    def run() -> Tensor:
        with gradient_norm.watch() as watched:
            return watched.norms(subject(*rows.tensors))

    return run


def opacus_ghost(subject: Subject, rows: Rows) -> Way:
    """Opacus' ghost clipping, up to the norms."""
    wrapped = GradSampleModuleFastGradientClipping(
        deepcopy(subject).train(), batch_first=True, loss_reduction="sum", max_grad_norm=1.0, use_ghost_clipping=True
    )

    def run() -> Tensor:
        wrapped(*rows.tensors).sum().backward()
        norms: Tensor = wrapped.get_norm_sample()
        wrapped.zero_grad()
        return norms

    return run


def opacus_hooks(subject: Subject, rows: Rows) -> Way:
    """Opacus' hooks, which form every sample's gradient."""
    wrapped = GradSampleModule(deepcopy(subject).train(), batch_first=True, loss_reduction="sum")

    def run() -> Tensor:
        wrapped(*rows.tensors).sum().backward()
        squared = [p.grad_sample.flatten(1).square().sum(dim=1) for p in wrapped.parameters() if p.requires_grad]
        wrapped.zero_grad()
        return torch.stack(squared).sum(dim=0).sqrt()

    return run


def vmapped(subject: Subject, rows: Rows) -> Way:
    """torch.func's vmap(grad), which forms every sample's gradient as well.

    Without the mask, which hides nothing here: transformers reads its values, which vmap does not allow. Attention is
    made of separate products, since vmap does not support the fused one and would compute it sample by sample.
    """
    subject = deepcopy(subject)
    for module in subject.modules():
        if isinstance(module, BertPreTrainedModel):
            module.set_attn_implementation("eager")
    chosen = {name: p.detach() for name, p in subject.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, Tensor], ids: Tensor, types: Tensor, label: Tensor) -> Tensor:
        arguments = (ids.unsqueeze(0), types.unsqueeze(0), None, label.unsqueeze(0))
        of_one: Tensor = functional_call(subject, parameters, arguments).squeeze(0)
        return of_one

    each = vmap(grad(loss), in_dims=(None, 0, 0, 0))

    def run() -> Tensor:
        gradients = each(chosen, rows.ids, rows.types, rows.labels)
        squared = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()]
        return torch.stack(squared).sum(dim=0).sqrt()

    return run


def loop(subject: Subject, rows: Rows) -> Way:
    """Sample by sample."""
    chosen = [p for p in subject.parameters() if p.requires_grad]

    def norm(row: int) -> Tensor:
        loss = subject(*(tensor[row : row + 1] for tensor in rows.tensors)).sum()
        return torch.stack([gradient.square().sum() for gradient in torch.autograd.grad(loss, chosen)]).sum().sqrt()

    return lambda: torch.stack([norm(row) for row in range(len(rows.labels))])


def products(subject: Subject, rows: Rows) -> Way:
    """The Gram products that our norms of the Linears need, and nothing else: what no bookkeeping can save."""
    shapes: list[tuple[int, torch.Size, torch.Size]] = []
    held: list[Tensor] = []  # so that no two inputs have one id

    def note(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        held.append(arguments[0])
        shapes.append((id(arguments[0]), arguments[0].shape, output.shape))

    handles = [m.register_forward_hook(note) for m in subject.modules() if isinstance(m, nn.Linear)]
    forward(subject, rows)()
    for handle in handles:
        handle.remove()
    inputs = {key: torch.randn(shape) for key, shape, _ in shapes if len(shape) == 3}
    outputs = [(key, torch.randn(shape)) for key, _, shape in shapes if len(shape) == 3]
    held.clear()

    def run() -> None:
        grams = {key: squares.gram(rows) for key, rows in inputs.items()}
        for key, gradients in outputs:
            squares.outer_given_gram(grams[key], gradients, bias=True)

    return run


WAYS: dict[str, Callable[[Subject, Rows], Way]] = {
    "forward": forward,
    "backward to activations": activations,
    "ours": ours,
    "opacus, ghost clipping": opacus_ghost,
    "vmap(grad)": vmapped,
    "loop": loop,
    "opacus, hooks": opacus_hooks,
}


def _word_embeddings(subject: Subject) -> nn.Module:
    named: dict[str, nn.Module] = dict(subject.named_modules())
    return named[next(name for name in named if name.endswith("word_embeddings"))]
