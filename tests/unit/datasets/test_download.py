"""A download is resumed, retried, checked, and never half there. Against a real server on loopback."""

from pathlib import Path

import pytest

from datasets.download import fetch
from importance.errors import Unavailable
from tests.unit.datasets.originals import source
from tests.unit.datasets.server import serving

CONTENT = bytes(range(256)) * 1_000


def test_a_file_is_fetched_with_progress_and_leaves_no_part(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with serving(CONTENT) as server:
        path = fetch(source(server.url, CONTENT), tmp_path / "new" / "file", lambda *now: told.append(now))
    assert path.read_bytes() == CONTENT
    assert [child.name for child in path.parent.iterdir()] == ["file"]
    assert told[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    waited: list[float] = []
    with serving(CONTENT, "cut", "cut") as server:
        path = fetch(source(server.url, CONTENT), tmp_path / "file", wait=waited.append)
        asked = server.asked
    assert path.read_bytes() == CONTENT
    assert asked == [None, "bytes=128000-", "bytes=192000-"]
    assert waited == [1.0, 2.0]


def test_a_later_call_takes_up_what_an_earlier_one_left(tmp_path: Path) -> None:
    with serving(CONTENT, "cut") as server:
        with pytest.raises(Unavailable):
            fetch(source(server.url, CONTENT), tmp_path / "file", attempts=1)
        assert not (tmp_path / "file").exists()
        fetch(source(server.url, CONTENT), tmp_path / "file")
        assert server.asked[1] == "bytes=128000-"
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    with serving(CONTENT, "cut", ranges=False) as server:
        fetch(source(server.url, CONTENT), tmp_path / "file", wait=lambda _: None)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    with serving(CONTENT) as server:
        fetch(source(server.url, CONTENT), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(tmp_path: Path) -> None:
    with serving(CONTENT, 503, 500) as server:
        fetch(source(server.url, CONTENT), tmp_path / "file", wait=lambda _: None)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_again(tmp_path: Path) -> None:
    with serving(CONTENT, 404, 404) as server:
        with pytest.raises(Unavailable, match=rf"^{server.url.replace('+', '.')} answers 404$"):
            fetch(source(server.url, CONTENT), tmp_path / "file", wait=lambda _: None)
        assert len(server.asked) == 1


def test_another_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    with serving(CONTENT[:-1] + b"x") as server, pytest.raises(Unavailable, match=r"sha256 .*; it must be "):
        fetch(source(server.url, CONTENT), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        gone = server.url
    with pytest.raises(Unavailable, match=r"^127.0.0.1 does not answer \(.*\), tried 2 times$"):
        fetch(source(gone, CONTENT), tmp_path / "file", attempts=2, wait=lambda _: None)
