"""The learning rate of each weight at each step: lower towards the input, rising at the start. Pure."""

from torch import nn

from trainer.model import Network
from trainer.tuning import anatomy
from trainer.tuning.moments import trained


def rate_groups(network: Network, rate: float, layer_decay: float) -> list[dict[str, object]]:
    """Return AdamW's groups of what is trained: ``rate`` · layer_decay^depth, with depth 0 at what follows the blocks.

    The last of L blocks has depth 1, what precedes the first one L + 1. Howard & Ruder 2018, arXiv:1801.06146.
    """
    if layer_decay == 1:
        return [{"params": list(trained(network).values()), "lr": rate, "full_rate": rate}]
    groups: dict[int, list[nn.Parameter]] = {}
    names, parameters = list(trained(network)), list(trained(network).values())
    for depth, parameter in zip(_depths(network, names), parameters, strict=True):
        groups.setdefault(depth, []).append(parameter)
    rates = {depth: rate * layer_decay**depth for depth in groups}
    return [{"params": groups[depth], "lr": rates[depth], "full_rate": rates[depth]} for depth in sorted(groups)]


def warm(step: int, warmup_steps: int) -> float:
    """Return the part of the full rate at a step, from 0: a line that reaches 1 at step ``warmup_steps`` − 1.

    >>> [warm(step, 4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _depths(network: Network, names: list[str]) -> list[int]:
    blocks = anatomy.blocks(network)
    order = [name for name, _ in network.named_parameters()]
    inside = {name: at for name in order for at, block in enumerate(blocks) if name.startswith(f"{block}.")}
    first = order.index(next(iter(inside), order[0]))
    head = {id(parameter) for parameter in anatomy.head(network)}
    above = {name for name, parameter in network.named_parameters() if id(parameter) in head}

    def depth(name: str) -> int:
        if name in inside:
            return len(blocks) - inside[name]
        return len(blocks) + 1 if order.index(name) < first and name not in above else 0

    return [depth(name) for name in names]
