"""Where a data set may lie on this machine, and what becomes of one that does not."""

from pathlib import Path

from importance.errors import NotFound


def places(name: str, data_dir: Path | None, home: Path) -> list[Path]:
    """Folders to look into: below ``data_dir`` or, without one, data/ and ../shared/data of the working folder.

    Last comes ``own_place``, where a download lands.
    """
    given = [data_dir] if data_dir else [Path("data"), Path("../shared/data")]
    return [*(folder / name for folder in given), own_place(name, home)]


def own_place(name: str, home: Path) -> Path:
    """Where downloads and what is made of them are kept."""
    return home / "data" / name


def missing(name: str, looked: list[Path], problem: object, wanted: str) -> NotFound:
    """The error of a data set that is nowhere and cannot be fetched."""
    return NotFound(
        f"{name} is in none of {', '.join(map(str, looked))}, and {problem}: put {wanted} there (WEIR_DATA_DIR names a "
        "folder of your own), or use the made-up data set simulation (weir up --replay simulation)"
    )
