"""Paths of data sets on this machine, and the error for a missing one."""

from pathlib import Path

from importance.errors import NotFound


def search_paths(name: str, data_dir: Path | None, home: Path) -> list[Path]:
    """Return the directories to search: below ``data_dir``, else below data/ and ../shared/data.

    Last comes ``home_path``, where a download lands.
    """
    given = [data_dir] if data_dir else [Path("data"), Path("../shared/data")]
    return [*(directory / name for directory in given), home_path(name, home)]


def home_path(name: str, home: Path) -> Path:
    """Return the directory of downloads and of the tables made from them."""
    return home / "data" / name


def missing(name: str, searched: list[Path], problem: object, wanted: str) -> NotFound:
    """Return the error of a data set that is nowhere and cannot be fetched."""
    return NotFound(
        f"{name} is in none of {', '.join(map(str, searched))}, and {problem}: put {wanted} there, or in a "
        "directory that WEIR_DATA_DIR names, or use the made-up data set simulation (weir up --replay simulation)"
    )
