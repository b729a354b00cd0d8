from pathlib import Path

import pytest

from experiments.grid import GRIDS, Grid, Size, paid_ratio, read_grid
from experiments.noise import NoiseKind
from experiments.policies import policy
from importance.errors import InvalidInput

SIZE = Size(pool=30_000, memory=2_000)
SMALL = Grid(learner="head", policies=("last_layer_norm",), keep_ratios=(0.1, 1.0), seeds=2)


@pytest.mark.parametrize("name", GRIDS)
def test_the_named_grids_hold_the_random_policies_and_have_a_name_for_each_cell(name: str) -> None:
    cells = list(GRIDS[name].cells("data", SIZE))
    assert {"uniform", "rs2", "last_layer_norm", "gradient_output_top"} <= {cell.policy.name for cell in cells}
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.seed for cell in cells} == set(range(5))


def test_cells_that_differ_by_little_have_keys_of_their_own_and_cells_named_twice_run_once() -> None:
    ratios, rates = (0.12341, 0.12342, 0.1234, 0.1234), (0.0, 0.004, 0.07, 0.07)
    noise = tuple((rate, kind) for rate in rates for kind in NoiseKind)
    grid = Grid(learner="head", policies=("loss",), keep_ratios=ratios, noise=noise, seeds=2)
    cells = list(grid.cells("data", SIZE))
    assert len({cell.key for cell in cells}) == len(set(cells)) == len(cells)
    assert sum(cell.policy.name == "loss" for cell in cells) == 3 * 3 * 2 * 2
    assert not any(set(cell.key) & set("/\\ ") for cell in cells)


def test_seeds_come_one_after_the_other_so_that_a_stopped_grid_lacks_no_policy() -> None:
    seeds = [cell.seed for cell in SMALL.cells("data", SIZE)]
    assert seeds == sorted(seeds)


def test_the_random_policies_also_run_for_the_steps_that_scoring_would_have_paid_for() -> None:
    ratios = [cell.keep_ratio for cell in SMALL.cells("data", SIZE) if cell.policy.name == "rs2" and cell.seed == 0]
    assert ratios == [0.1, 0.43, 1.0]  # 0.1 + 1/3, a forward pass being a third of a step on the sample


def test_what_a_memory_reads_again_every_round_is_paid_for_too() -> None:
    plain, remembering = (paid_ratio(policy(name), 0.1, SIZE) for name in ("loss", "rho"))
    assert remembering - plain == pytest.approx(2_000 / 3_840 / 3, abs=0.01)  # 3,840 candidates a round
    grid = Grid(learner="head", policies=("rho",), keep_ratios=(0.1, 1.0), seeds=1)
    ratios = {cell.keep_ratio for cell in grid.cells("data", SIZE) if cell.policy.name == "rs2"}
    assert ratios == {0.1, remembering, 1.0}


def test_where_everything_is_kept_only_the_random_policies_run() -> None:
    assert {cell.policy.scores for cell in SMALL.cells("data", SIZE) if cell.keep_ratio == 1} == {False}


@pytest.mark.parametrize("ratio", [0.0, 2.0, -0.5, float("nan")])
def test_a_keep_ratio_outside_its_bounds_is_refused(ratio: float) -> None:
    with pytest.raises(InvalidInput, match="above 0 and at most 1"):
        Grid(learner="head", policies=(), keep_ratios=(ratio,))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('learner = "head"\npolicies = ["nonsense"]', "unknown estimator 'nonsense'"),
        ('learner = "head"\npolicies = []\nseeds = 0', "seeds of the grid is 0"),
        ('learner = "tree"\npolicies = []', "is not a valid grid"),
        ('learner = "head"\npolicies = []\nsides = 3', "is not a valid grid"),
        ("learner =", "is not a valid grid"),
        ('learner = "head"\npolicies = []\nnoise = []', "noise of the grid is empty"),
        ('learner = "head"\npolicies = []\nkeep_ratios = []', "keep_ratios of the grid is empty"),
    ],
)
def test_a_file_that_is_no_grid_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=problem) as refusal:
        read_grid(str(file))
    assert "\n" not in str(refusal.value)


def test_a_grid_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('learner = "transformer"\npolicies = ["rho"]\nnoise = [[0.4, "confusable"]]\nseeds = 3')
    assert {str(cell.noise) for cell in read_grid(str(file)).cells("data", SIZE)} == {"40 % confusable"}
