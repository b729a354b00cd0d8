"""The report of a benchmark, as text, tables and plots, including where importance sampling loses."""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

from experiments import plots
from experiments.findings import FULL, Arm, Comparison, Findings, Metric
from experiments.grid import Grid
from experiments.noise import Noise
from experiments.page import Block, Heading, Plot, Table, Text
from experiments.policies import DEFAULT, RS2, UNIFORM, policy
from experiments.quality import METRICS
from experiments.ranks import Ranks
from importance.evidence import Interval

_WORDS = {"+": "better in", "=": "no difference seen in", "−": "worse in"}
_ROUNDING = 0.05  # rounding to whole rounds and batches changes compute by up to 3 %
_DPI = 80  # readable, and all plots of a report together stay far below a megabyte


def blocks(about: str, grid: Grid, findings: Findings, ranks: Ranks | None, missing: int) -> list[Block]:
    """Return the whole report. ``about`` describes the data; ``missing`` counts the grid's cells that were not run."""
    steps_uniform, steps_rs2 = (findings.comparisons(rival, "steps", "auc") for rival in (UNIFORM.name, RS2.name))
    compute = findings.comparisons(RS2.name, "compute", "auc")
    accuracy = findings.comparisons(UNIFORM.name, "steps", "accuracy")
    return [
        *_conditions(about, grid, findings, missing),
        Heading("What was to be reached"),
        *_goals(findings),
        Heading("Where importance wins, and where it loses"),
        *_best(findings),
        Text("+ better, − worse, = no difference seen (Holm, 5 %)."),
        *_verdicts("uniform, as many steps", steps_uniform),
        *_verdicts("RS2, as many steps", steps_rs2),
        *_verdicts("RS2, as much compute (scoring is paid for)", compute),
        *(block for noise in findings.noises for block in _quality(findings, noise, steps_uniform, steps_rs2)),
        Heading("Accuracy against uniform, as many steps"),
        _by_condition(accuracy, _gain),
        Heading("AUC against RS2, as much compute"),
        Text("The other side trains on as many more random samples as scoring would have cost."),
        _by_condition(compute, _gain),
        *_unmatched(findings, compute),
        *(block for noise in findings.noises for block in _metrics(findings, noise)),
        Heading("Steps to 97 % and 99 % of full quality"),
        _steps(findings),
        *_noise(findings),
        Heading("What it costs"),
        _costs(findings),
        *_plots(findings, ranks),
    ]


def _conditions(about: str, grid: Grid, findings: Findings, missing: int) -> Iterator[Block]:
    runs = sum(map(len, findings.arms.values()))
    yield Text(about)
    yield Text(
        f"Learner: {grid.learner}. {runs} runs, {missing} of the grid not run. Keep ratios "
        f"{', '.join(f'{ratio:.0%}' for ratio in grid.keep_ratios)}; {findings.seeds} seeds, the same candidates, "
        "weights and wrong labels for every policy of a seed. The full run is one pass over a stream, else "
        f"{grid.epochs} passes over the pool, the learning rate decaying to 0 along half a cosine over the steps that "
        "a ratio allows; a stream never ends, so there it stays. Labels are wrong in what is learned from, never in "
        "what judges."
    )
    yield Text(
        "uniform: one random part, fixed (in a stream: a random part of what arrives). rs2: a new random part every "
        "pass (in a stream: of all there was so far). Others score every candidate with the model of the moment and "
        "keep by their rule: proportional with a floor of 25 %, with loss weights 1/p or (unweighted) without, or the "
        "top scores alone. Intervals are 95 %, by bootstrap over seeds and over groups of examples (queries or "
        "subjects); * marks p < .05 after Holm's correction over the policies of one noise and ratio."
    )


def _goals(findings: Findings) -> Iterator[Block]:
    scored = [name for name in findings.policies if policy(name).scores]
    rows: list[tuple[str, ...]] = []
    clean = findings.noises[0]
    for goal, max_ratio in ((0.99, 0.33), (0.97, 0.10)):
        for name in (DEFAULT.name, RS2.name, UNIFORM.name):
            arm = Arm(clean, name, max_ratio)
            kept = findings.retention(arm)
            if kept is not None:
                answer = _answer(kept, goal)
                rows.append((f"{goal:.0%} of full AUC at {max_ratio:.0%} of the steps", name, _percent(kept), answer))
    for noise in (noise for noise in findings.noises if noise.rate):
        for metric in ("auc", "accuracy"):
            rows += _noise_goal(findings, noise, scored, metric)
        for ratio in findings.ratios(DEFAULT.name, noise):
            arm = Arm(noise, DEFAULT.name, ratio)
            share, base = findings.noise_share(arm), findings.mean(arm, "noise_base")
            inside = "reached" if share.low <= base <= share.high else "missed"
            what = f"weighted noise share holds the base rate {base:.1%}, keep {ratio:.0%}, {noise}"
            rows.append((what, DEFAULT.name, _percent(share), inside))
    yield Table(("goal", "policy", "found", ""), rows)


def _answer(found: Interval, goal: float) -> str:
    """Return whether a goal is reached: with certainty only where the whole interval is above it."""
    if found.estimate < goal:
        return "missed"
    return "reached" if found.low >= goal else "reached, not surely"


def _noise_goal(findings: Findings, noise: Noise, scored: Sequence[str], metric: Metric) -> list[tuple[str, ...]]:
    """Check for +1 point over uniform at up to half its steps: by the default, and by the best policy (optimistic)."""
    full, found = Arm(noise, UNIFORM.name, FULL), []
    for name in scored:
        for ratio in (ratio for ratio in findings.ratios(name, noise) if ratio <= 0.5):
            for rival in (Arm(noise, UNIFORM.name, ratio), full):
                difference = findings.difference(Arm(noise, name, ratio), rival, metric)
                if difference is not None:
                    found.append((name, ratio, rival, difference.interval))
    rows: list[tuple[str, ...]] = []
    for against in ("as many steps", "all steps"):
        here = [each for each in found if (each[2] == full) == (against == "all steps")]
        for names in ((DEFAULT.name,), tuple(scored)):
            best = max((each for each in here if each[0] in names), key=lambda each: each[3].estimate, default=None)
            if best is not None:
                name, ratio, _, gain = best
                answer = _answer(gain, 0.01)
                what = f"+1 point of {metric} over uniform of {against}, {noise}"
                rows.append((what, f"{name}, keep {ratio:.0%}", _points(gain), answer))
    return rows


def _best(findings: Findings) -> Iterator[Block]:
    """Rank all policies by their mean difference to uniform, and test whether one is better than the default."""
    rivals = (UNIFORM.name, RS2.name, DEFAULT.name)
    found = {
        name: [findings.overall(name, rival) if name != rival else None for rival in rivals]
        for name in findings.policies
    }
    gains = {name: columns[0].interval.estimate if columns[0] else 0.0 for name, columns in found.items()}
    order = sorted(found, key=lambda name: -gains[name])
    rows = [[name, *(_points(each.interval) if each else "" for each in found[name])] for name in order]
    yield Text("Mean difference in AUC, in points, over all label noises and keep ratios below 100 %, as many steps:")
    yield Table(("policy", *(f"− {rival}" for rival in rivals)), rows)
    scored = [name for name in order if policy(name).scores]
    if scored and scored[0] == DEFAULT.name:
        yield Text(f"Of the policies that score, the default, {DEFAULT.name}, comes first.")
        return
    ahead = found[scored[0]][2] if scored else None
    if ahead is None:
        yield Text(f"The default, {DEFAULT.name}, was not run where others were: it is not ranked here.")
        return
    is_significant = ahead.interval.low > 0
    yield Text(
        f"Of the policies that score, {scored[0]} comes first; its difference to the default "
        f"{DEFAULT.name} is {_points(ahead.interval)} points; "
        + ("the interval is above 0, so it should be the default here." if is_significant else "the interval holds 0.")
    )


def _verdicts(against: str, comparisons: list[Comparison]) -> Iterator[Block]:
    """Count how often importance wins and loses, with a sign for each policy, noise and ratio."""
    scored = [each for each in comparisons if policy(each.arm.policy).scores]
    counts = {sign: sum(each.verdict == sign for each in scored) for sign in _WORDS}
    summary = "; ".join(f"{word} {counts[sign]}" for sign, word in _WORDS.items())
    yield Text(f"Against {against}, AUC, {len(scored)} comparisons: {summary}.")
    yield _by_condition(scored, lambda each: each.verdict)


def _quality(
    findings: Findings, noise: Noise, against_uniform: list[Comparison], against_rs2: list[Comparison]
) -> Iterator[Block]:
    """Tabulate AUC by policy and ratio, with the paired differences to both random policies."""
    ratios = sorted({arm.keep_ratio for arm in findings.arms if policy(arm.policy).scores and arm.noise == noise})
    by_arm = [{each.arm: each for each in comparisons} for comparisons in (against_uniform, against_rs2)]
    yield Heading(f"AUC, label noise {noise}")
    rows = []
    for name in findings.policies:
        row = [name]
        for ratio in ratios:
            arm = Arm(noise, name, ratio)
            row.append(f"{findings.mean(arm, 'auc'):.4f}")
            row += [_gain(found[arm]) if arm in found else "" for found in by_arm]
        rows.append(row)
    head = [cell for ratio in ratios for cell in (f"keep {ratio:.0%}", "− uniform", "− RS2")]
    yield Table(("policy", *head), rows)
    full = Arm(noise, UNIFORM.name, FULL)
    yield Text(f"All data: {findings.mean(full, 'auc'):.4f} ± {findings.deviation(full, 'auc'):.4f} (standard error).")


def _by_condition(comparisons: list[Comparison], shown: Callable[[Comparison], str]) -> Table:
    """Tabulate policies in rows, and pairs of noise and ratio in columns."""
    conditions = sorted({(each.arm.noise, each.arm.keep_ratio) for each in comparisons})
    cells = {(each.arm.policy, each.arm.noise, each.arm.keep_ratio): shown(each) for each in comparisons}
    names = dict.fromkeys(each.arm.policy for each in comparisons)
    rows = [[name, *(cells.get((name, *condition), "") for condition in conditions)] for name in names]
    return Table(("policy", *(f"{noise}, keep {ratio:.0%}" for noise, ratio in conditions)), rows)


def _unmatched(findings: Findings, comparisons: list[Comparison]) -> Iterator[Block]:
    """List policies that spent more compute than the random one they are compared with: this favours them."""
    passes = {each: [findings.mean(arm, "forward_passes") for arm in (each.arm, each.rival)] for each in comparisons}
    rows = {
        (each.arm.policy, f"{each.arm.keep_ratio:.0%}", *map(_count, (ours, theirs))): None
        for each, (ours, theirs) in passes.items()
        if ours > (1 + _ROUNDING) * theirs
    }
    if rows:
        yield Text(
            "Here RS2 had less compute than the policy, so the comparison favours the policy: RS2 never takes more "
            "than all steps."
        )
        yield Table(("policy", "keep", "forward passes", "of its RS2"), list(rows))


def _metrics(findings: Findings, noise: Noise) -> Iterator[Block]:
    """Tabulate all metrics at the largest ratio below full."""
    ratio = max((arm.keep_ratio for arm in findings.arms if policy(arm.policy).scores), default=FULL)
    yield Heading(f"All metrics, keep {ratio:.0%}, label noise {noise}")
    arms = [arm for name in findings.policies if (arm := Arm(noise, name, ratio)) in findings.arms]
    arms.append(Arm(noise, UNIFORM.name, FULL))
    rows = [
        ["all data" if arm.keep_ratio == FULL else arm.policy, *(f"{findings.mean(arm, name):.4f}" for name in METRICS)]
        for arm in arms
        if arm in findings.arms
    ]
    yield Table(("policy", *METRICS), rows)


def _steps(findings: Findings) -> Table:
    shares = (0.97, 0.99)
    rows = [
        [name, *(_count(findings.steps_to(share, name, noise)) for noise in findings.noises for share in shares)]
        for name in findings.policies
    ]
    head = [f"{share:.0%}, noise {noise}" for noise in findings.noises for share in shares]
    return Table(("policy", *head), rows)


def _noise(findings: Findings) -> Iterator[Block]:
    for noise in (noise for noise in findings.noises if noise.rate):
        yield Heading(f"Wrong labels among the selected, {noise}")
        rows = []
        for name in findings.policies:
            for ratio in findings.ratios(name, noise):
                arm = Arm(noise, name, ratio)
                if not policy(name).scores and ratio not in findings.scored_ratios:
                    continue
                share = _percent(findings.noise_share(arm)) if policy(name).strategy.draws else "–"
                raw, in_loss, base = (findings.mean(arm, f"noise_{part}") for part in ("raw", "loss", "base"))
                rows.append((name, f"{ratio:.0%}", f"{base:.1%}", f"{raw:.1%}", f"{in_loss:.1%}", share))
        yield Text("–: nothing is drawn by chance in each round (the top alone, a fixed part), so 1/p weighs nothing.")
        yield Table(("policy", "keep", "base", "as drawn", "in the loss", "weighted by 1/p, 95 %"), rows)


def _costs(findings: Findings) -> Table:
    clean = findings.noises[0]
    counts = ("steps", "candidates", "forward_passes")
    spent = tuple(f"{what}_{clock}_seconds" for what in ("scoring", "training") for clock in ("cpu", "wall"))
    rows = []
    for name in findings.policies:
        for ratio in findings.ratios(name, clean):
            arm = Arm(clean, name, ratio)
            rows.append((name, f"{ratio:.0%}", *(_count(findings.mean(arm, column)) for column in counts),
                         *(f"{findings.mean(arm, column):.2f}" for column in spent)))  # fmt: skip
    return Table(("policy", "keep", *(column.replace("_", " ") for column in (*counts, *spent))), rows)


def _plots(findings: Findings, ranks: Ranks | None) -> Iterator[Block]:
    scored = sorted({arm.keep_ratio for arm in findings.arms if policy(arm.policy).scores})
    middle = scored[len(scored) // 2] if scored else FULL
    yield Heading("Plots")
    yield Text("Bars are the standard error over seeds. What lies more than 3 points below uniform is off the scale.")
    yield _plot("steps", "AUC against steps", plots.quality(findings, "steps", "steps"))
    yield _plot(
        "compute", "AUC against compute", plots.quality(findings, "forward_passes", "forward passes, scoring paid for")
    )
    if any(noise.rate for noise in findings.noises):
        noisy = next(noise for noise in findings.noises if noise.rate)
        yield _plot(
            "noise", f"Wrong labels among the selected, keep {middle:.0%}", plots.noise_shares(findings, middle)
        )
        yield _plot("scores", f"Scores of right and wrong labels, {noisy}", plots.histograms(findings, noisy, middle))
    if ranks is not None:
        alike = [group for group in ranks.alike() if len(group) > 1]
        named = "; ".join(" = ".join(group) for group in alike) or "none"
        yield Text(
            f"Estimators that rank alike (|Spearman| > .999; − the other way), of which one stands for all: {named}."
        )
        yield _plot("ranks", "Rank correlation between estimators", plots.correlations(ranks))


def _plot(name: str, caption: str, figure: Any) -> Plot:
    out = BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    return Plot(name, caption, out.getvalue())


def _gain(comparison: Comparison) -> str:
    return _points(comparison.difference.interval) + ("*" if comparison.adjusted < 0.05 else "")


def _points(interval: Interval) -> str:
    """Return a difference in percentage points.

    >>> _points(Interval(0.0123, -0.001, 0.02))
    '+1.23 [−0.10, +2.00]'
    """
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(
        *(100 * part for part in (interval.estimate, interval.low, interval.high))
    ).replace("-", "−")


def _percent(interval: Interval) -> str:
    return f"{interval.estimate:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _count(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f}"
