"""The plots of a benchmark, drawn by matplotlib without a screen."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from experiments.findings import Arm, Findings
from experiments.noise import Noise
from experiments.policies import DEFAULT, RS2, UNIFORM, policy
from experiments.ranks import Ranks
from experiments.trial import HISTOGRAM
from importance.errors import InvalidInput

_BELOW = 0.03  # of AUC
_STRONG = {UNIFORM.name: "black", RS2.name: "tab:gray", DEFAULT.name: "tab:red"}


def check_installed() -> None:
    """Raise InvalidInput when matplotlib is missing: before hours of training rather than after."""
    if find_spec("matplotlib") is None:
        raise InvalidInput("the report needs the package matplotlib: pip install 'weirstream[benchmark]'")


def quality(findings: Findings, against: str, label: str) -> Any:
    """Plot AUC against a column, log scale, a panel for each noise; bars are the standard error over seeds.

    Values far below uniform are off the scale, so that those above it can be distinguished.
    """
    figure, panels = _panels(findings.noises, label, "AUC")
    shades = dict(zip(findings.policies, _shades(len(findings.policies)), strict=True))
    for noise, panel in zip(findings.noises, panels, strict=True):
        for name in findings.policies:
            arms = [Arm(noise, name, ratio) for ratio in findings.ratios(name, noise)]
            if not arms:
                continue
            strong = name in _STRONG
            panel.errorbar(
                [findings.mean(arm, against) for arm in arms],
                [findings.mean(arm, "auc") for arm in arms],
                [findings.deviation(arm, "auc") for arm in arms],
                label=name,
                color=_STRONG.get(name, shades[name]),
                linewidth=2.2 if strong else 1.0,
                linestyle="-" if policy(name).weighted or strong else "--",
                marker="o",
                markersize=3,
            )
        panel.set_xscale("log")
        random = [
            findings.mean(Arm(noise, UNIFORM.name, ratio), "auc") for ratio in findings.ratios(UNIFORM.name, noise)
        ]
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, min(random) - _BELOW), high)
    return _with_legend(figure, panels)


def noise_shares(findings: Findings, ratio: float) -> Any:
    """Plot raw and weighted share of wrong labels in the selection with the base rate, a panel for each noise."""
    noises = [noise for noise in findings.noises if noise.rate]
    figure, panels = _panels(noises, "share of wrong labels", None)
    for noise, panel in zip(noises, panels, strict=True):
        arms = [arm for name in findings.policies if (arm := Arm(noise, name, ratio)) in findings.arms]
        positions = np.arange(len(arms))
        drawn = [position for position, arm in enumerate(arms) if policy(arm.policy).strategy.draws]
        shares = [findings.noise_share(arms[position]) for position in drawn]
        panel.barh(positions, [findings.mean(arm, "noise_raw") for arm in arms], color="lightgray", label="as drawn")
        panel.errorbar(
            [share.estimate for share in shares],
            drawn,
            xerr=[[share.estimate - share.low for share in shares], [share.high - share.estimate for share in shares]],
            fmt="o",
            color="tab:red",
            markersize=4,
            label="weighted, 95 %",
        )
        if arms:
            panel.axvline(findings.mean(arms[0], "noise_base"), color="black", linewidth=1, label="base rate")
        panel.set_yticks(positions, [arm.policy for arm in arms], fontsize=7)
        panel.invert_yaxis()
    return _with_legend(figure, panels)


def histograms(findings: Findings, noise: Noise, ratio: float) -> Any:
    """Plot scores over their mean at the end of training, for right and wrong labels, a panel for each estimator."""
    by_estimator: dict[str, list[dict[str, Any]]] = {}
    for arm, runs in findings.arms.items():
        if arm.noise == noise and arm.keep_ratio == ratio and policy(arm.policy).scores:
            by_estimator.setdefault(str(policy(arm.policy).mixture), list(runs.values()))
    figure, panels = _panels(list(by_estimator), "score over its mean", "samples", columns=4)
    middle = (HISTOGRAM[1:] + HISTOGRAM[:-1]) / 2
    for records, panel in zip(by_estimator.values(), panels, strict=True):
        for column, color, label in (("scores_right", "tab:blue", "right"), ("scores_wrong", "tab:red", "wrong label")):
            counts = np.sum([record[column] for record in records], axis=0)
            panel.step(middle, counts / max(counts.sum(), 1), where="mid", color=color, label=label)
    return _with_legend(figure, panels)


def correlations(ranks: Ranks) -> Any:
    """Plot Spearman's correlation of each pair of estimators."""
    figure, (panel,) = _panels(["rank correlation"], "", None)
    figure.set_size_inches(6, 5.5)
    panel.imshow(ranks.correlation, cmap="RdBu", vmin=-1, vmax=1)
    positions = np.arange(len(ranks.names))
    panel.set_xticks(positions, ranks.names, rotation=60, ha="right", fontsize=7)
    panel.set_yticks(positions, ranks.names, fontsize=7)
    for row in positions:
        for column in positions:
            value = ranks.correlation[row, column]
            shade = "white" if abs(value) > 0.6 else "black"
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5, color=shade)
    return figure


def _shades(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["tab20"](position % 20) for position in range(count)]


def _panels(titles: Sequence[object], across: str, up: str | None, columns: int = 3) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    columns = max(1, min(columns, len(titles)))
    rows = max(1, -(-len(titles) // columns))
    figure = Figure(figsize=(4.3 * columns, 3.4 * rows), layout="constrained")
    panels = [figure.add_subplot(rows, columns, position + 1) for position in range(len(titles))]
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(f"label noise: {title}" if isinstance(title, Noise) else str(title), fontsize=9)
        panel.set_xlabel(across, fontsize=8)
        panel.set_ylabel(up or "", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.3)
    return figure, panels


def _with_legend(figure: Any, panels: list[Any]) -> Any:
    """Add one legend under all panels."""
    seen = {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    if seen:
        figure.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=5, fontsize=7)
    return figure
