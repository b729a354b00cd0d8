"""When a store that refused is asked again."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from importance.errors import StoreUnavailable
from storage.artifacts import Artifacts
from weir.learning.store_health import StoreHealth


class Filling(LocalFileSystem):
    """A store of local files that is full now and then, and counts what is begun in it."""

    protocol = "filling"
    is_full = False
    begun = 0

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "w" in mode:
            Filling.begun += 1
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return super()._open(path, mode, **options)


fsspec.register_implementation("filling", Filling, clobber=True)


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[Artifacts]:
    Filling.begun = 0
    yield Artifacts(f"filling://{tmp_path}/models")
    Filling.is_full = False


def test_a_store_that_refused_is_asked_once_a_pause_until_it_takes_files(artifacts: Artifacts) -> None:
    now, told = [0.0], list[tuple[bool, str]]()
    health = StoreHealth(artifacts, lambda *change: told.append(change), 10.0, lambda: now[0])
    assert all(health.takes_files() for _ in range(20))
    assert Filling.begun == 0, "nothing is asked before it refused"
    Filling.is_full = True
    with pytest.raises(StoreUnavailable) as error:
        health.require(3_000_000)
    health.refused(error.value)
    assert not any(health.takes_files() for _ in range(20))
    now[0] = 10.0
    assert not any(health.takes_files() for _ in range(20))
    assert Filling.begun == 2
    Filling.is_full = False
    assert not health.takes_files(), "the pause is not over"
    now[0] = 20.0
    assert health.takes_files()
    assert [available for available, _ in told] == [False, False, True]
    assert "No space left on device" in told[0][1]


def test_what_a_killed_probe_left_goes_with_the_next_one(artifacts: Artifacts, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / ".probe-0123").write_bytes(bytes(1_000))
    (models / "v1-0123").mkdir()
    artifacts.probe(5)
    assert [path.name for path in models.iterdir()] == ["v1-0123"]
