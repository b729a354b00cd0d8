"""Data sets to replay: history that trains the first model, and a stream of events in order of time.

Read `interaction` for what it is made of, `dataset` for what a data set gives; `shop` for how order lines become
interactions, `complete_journey` for the grocery that comes with the packages, `online_retail` for the gift shop
(`download` and `workbook` fetch it), `simulation` for the made-up one;
`open_bandit` for recommendations with their propensities (`bandit_logs` has its tables).
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from datasets import complete_journey, online_retail, open_bandit, shop, simulation
from datasets.dataset import Dataset
from importance.errors import InvalidInput

NAMES = (complete_journey.NAME, online_retail.NAME, open_bandit.NAME, simulation.NAME)

__all__ = ["NAMES", "Dataset", "check_name", "open_dataset"]


def check_name(name: str) -> None:
    """Refuse an unknown data set: InvalidInput, which names the known ones."""
    if name not in NAMES:
        raise InvalidInput(f"data set is {name!r}; it must be one of {', '.join(NAMES)}")


def open_dataset(
    name: str,
    seed: int = 0,
    data_dir: Path | None = None,
    home: Path = Path(".weir"),
    progress: Callable[[str, int, int], None] | None = None,
) -> Dataset:
    """Find a data set by name; one that no package carries is read from ``data_dir``, else downloaded.

    ``progress`` is called with the step, the amount done and the total. Raises InvalidInput for an unknown name,
    NotFound where the data are missing and cannot be fetched.
    """
    check_name(name)
    if name == open_bandit.NAME:
        directory = open_bandit.locate(data_dir, home, progress)
        return Dataset(
            name, open_bandit.ABOUT, open_bandit.STREAM_START_MS, lambda: open_bandit.interactions(directory, seed)
        )
    if name == complete_journey.NAME:
        tables = complete_journey.locate()
        return _of_shop(
            name, complete_journey.ABOUT, complete_journey.mapping(seed), lambda: complete_journey.lines(tables)
        )
    if name == online_retail.NAME:
        table = online_retail.locate(data_dir, home, progress)
        return _of_shop(name, online_retail.ABOUT, online_retail.mapping(seed), lambda: online_retail.lines(table))
    if name == simulation.NAME:
        return _of_shop(name, simulation.ABOUT, simulation.mapping(seed), lambda: simulation.lines(seed))
    raise AssertionError(f"{name} is in NAMES, and open_dataset has no branch for it")


def _of_shop(name: str, about: str, mapping: shop.Mapping, lines: Callable[[], Iterable[shop.Line]]) -> Dataset:
    return Dataset(name, about, mapping.stream_start_ms, lambda: shop.interactions(lines(), mapping))
