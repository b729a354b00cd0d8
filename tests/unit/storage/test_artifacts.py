"""Model files are stored whole, fetched only with the right hash, and never outside their directory."""

import errno
import hashlib
import os
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from importance.errors import BadArtifact, InvalidInput, StoreUnavailable, Unavailable
from storage.artifacts import MANIFEST, Artifacts, manifest_of


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "directory" else f"memory://{uuid4()}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    (directory / "tokens").mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (directory / "tokens" / "größe.json").write_text('{"a": 1}')
    return directory


def stored(url: str) -> dict[str, bytes]:
    files, root = fsspec.url_to_fs(url)
    return {name.removeprefix(root): files.cat_file(name) for name in files.find(root)}


def spoil(url: str, ending: str, content: bytes) -> None:
    files, root = fsspec.url_to_fs(url)
    (name,) = (name for name in files.find(root) if name.endswith(ending))
    files.pipe_file(name, content)


def test_what_was_saved_is_fetched(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    fetched = artifacts.fetch(artifact, sha256, tmp_path / "cache")
    assert manifest_of(fetched) == manifest_of(directory)
    assert (fetched / "tokens" / "größe.json").read_text() == '{"a": 1}'


def test_a_check_reads_every_file_where_it_lies(url: str, directory: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    artifacts.check(artifact, sha256)
    spoil(url, "größe.json", b"{}")
    with pytest.raises(BadArtifact, match=r"größe.json of artifact v1-.* does not have the sha256"):
        artifacts.check(artifact, sha256)
    with pytest.raises(BadArtifact, match="lacks a file"):
        artifacts.check("v2-0", sha256)


def test_a_probe_leaves_nothing_and_a_store_that_takes_no_files_is_unavailable(url: str, tmp_path: Path) -> None:
    Artifacts(url).probe(3_000_000)
    assert stored(url) == {}
    (tmp_path / "file").write_text("in the way of a directory")
    with pytest.raises(StoreUnavailable, match="file"):
        Artifacts(str(tmp_path / "file" / "store")).probe()


def test_saving_the_same_again_gives_the_same_name_and_hash(url: str, directory: Path) -> None:
    artifacts = Artifacts(url)
    assert artifacts.save("v1", directory) == artifacts.save("v1", directory)


def test_the_hash_is_that_of_a_manifest_which_sha256sum_understands(url: str, directory: Path) -> None:
    _, sha256 = Artifacts(url).save("v1", directory)
    manifest = next(content for name, content in stored(url).items() if name.endswith(MANIFEST))
    assert hashlib.sha256(manifest).hexdigest() == sha256
    model = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    assert manifest.decode().splitlines()[0] == f"{model}  model.safetensors"


def test_two_contents_under_one_version_do_not_mix(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    first = artifacts.save("v1", directory)
    (directory / "model.safetensors").write_bytes(b"other")
    second = artifacts.save("v1", directory)
    assert first != second
    assert (artifacts.fetch(*first, tmp_path / "cache") / "model.safetensors").stat().st_size == 10_240
    assert (artifacts.fetch(*second, tmp_path / "cache") / "model.safetensors").read_bytes() == b"other"


@pytest.mark.parametrize("spoiled", ["model.safetensors", "größe.json", MANIFEST])
def test_a_spoiled_file_is_never_handed_out(url: str, directory: Path, tmp_path: Path, spoiled: str) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    spoil(url, spoiled, b"spoiled")
    with pytest.raises(BadArtifact, match=artifact):
        artifacts.fetch(artifact, sha256, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_artifact_without_its_manifest_does_not_count(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    files, root = fsspec.url_to_fs(url)
    files.rm_file(f"{root}/{artifact}/{MANIFEST}")
    with pytest.raises(BadArtifact, match="lacks a file"):
        artifacts.fetch(artifact, sha256, tmp_path / "cache")


def test_a_save_that_fails_leaves_the_same_artifact_of_another(directory: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    artifacts = Artifacts(str(store))
    artifact, sha256 = artifacts.save("v1", directory)
    refused = next(path for path in sorted((store / artifact).rglob("*")) if path.is_file())
    kept = refused.rename(tmp_path / "kept")
    refused.mkdir()  # the store does not take this file
    with pytest.raises(StoreUnavailable):
        artifacts.save("v1", directory)
    refused.rmdir()
    kept.rename(refused)
    artifacts.check(artifact, sha256)


def test_a_save_that_stopped_half_way_is_completed_by_the_next_one(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    files, root = fsspec.url_to_fs(url)
    files.rm_file(f"{root}/{artifact}/{MANIFEST}")
    files.rm_file(f"{root}/{artifact}/model.safetensors")
    assert artifacts.save("v1", directory) == (artifact, sha256)
    assert artifacts.fetch(artifact, sha256, tmp_path / "cache").is_dir()


def test_nothing_is_left_of_what_the_store_does_not_take_whole(directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path / "store"))
    (artifact, _), content = artifacts.save("v1", directory), (directory / "model.safetensors").read_bytes()
    artifacts.remove(artifact)
    in_the_way = tmp_path / "store" / artifact / "tokens"
    in_the_way.parent.mkdir()
    in_the_way.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="tokens"):
        artifacts.save("v1", directory)
    assert stored(str(tmp_path / "store")) == {}


def test_what_was_fetched_and_then_spoiled_is_fetched_again(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    fetched = artifacts.fetch(artifact, sha256, tmp_path / "cache")
    (fetched / "model.safetensors").write_bytes(b"spoiled")
    (fetched / "more").write_text("not ours")
    again = artifacts.fetch(artifact, sha256, tmp_path / "cache")
    assert again == fetched
    assert manifest_of(again) == manifest_of(directory)


def test_what_was_fetched_is_not_fetched_again(url: str, directory: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(url)
    artifact, sha256 = artifacts.save("v1", directory)
    artifacts.fetch(artifact, sha256, tmp_path / "cache")
    files, root = fsspec.url_to_fs(url)
    files.rm(f"{root}/{artifact}", recursive=True)
    assert artifacts.fetch(artifact, sha256, tmp_path / "cache").is_dir()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "a\\..\\outside", "./a", "a//b", ""])
def test_a_manifest_cannot_lead_out_of_its_directory(url: str, tmp_path: Path, name: str) -> None:
    manifest = f"{hashlib.sha256(b'x').hexdigest()}  {name}\n".encode()
    sha256 = hashlib.sha256(manifest).hexdigest()
    files, root = fsspec.url_to_fs(url)
    files.makedirs(f"{root}/v1", exist_ok=True)
    files.pipe_file(f"{root}/v1/{MANIFEST}", manifest)
    files.pipe_file(f"{root}/outside", b"x")
    with pytest.raises(BadArtifact, match="must stay below"):
        Artifacts(url).fetch("v1", sha256, tmp_path / "cache")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("artifact", ["../v1", "/v1", "a/b", "", ".", "..", ".hidden"])
def test_an_artifact_is_a_plain_name(url: str, tmp_path: Path, artifact: str) -> None:
    with pytest.raises(BadArtifact, match="not a valid name of this store"):
        Artifacts(url).fetch(artifact, "0" * 64, tmp_path / "cache")


@pytest.mark.parametrize("version", ["../v1", "a/b", "", ".", "v 1", "v" * 65, "v\n"])
def test_a_version_is_a_plain_name(url: str, directory: Path, version: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid name"):
        Artifacts(url).save(version, directory)


def test_a_link_is_not_followed(url: str, directory: Path) -> None:
    (directory / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="not a regular file"):
        Artifacts(url).save("v1", directory)


def test_an_empty_directory_is_no_version(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no file"):
        Artifacts(url).save("v1", tmp_path)


def test_a_store_that_cannot_be_written_is_unavailable(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(Unavailable, match="does not answer"):
        Artifacts(str(tmp_path / "file")).save("v1", directory)


class StoreAway(RuntimeError):
    """An error of a store's own kind: few of them are an OSError."""


class AwayFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec publishes no types
    """A store of somebody else's that does not answer."""

    protocol = "away"

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise StoreAway("credentials expired")


def test_an_error_of_the_stores_own_kind_is_unavailable_too(directory: Path) -> None:
    fsspec.register_implementation("away", AwayFileSystem, clobber=True)
    with pytest.raises(Unavailable, match="does not answer: credentials expired"):
        Artifacts("away://models").save("v1", directory)


class RefusingFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec publishes no types
    """A store whose disk takes no files."""

    protocol = "full"
    number = 0

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_files_is_told_from_a_store_that_does_not_answer(
    directory: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("full", RefusingFileSystem, clobber=True)
    monkeypatch.setattr(RefusingFileSystem, "number", number)
    with pytest.raises(StoreUnavailable, match=rf"full://models refuses files: .*{os.strerror(number)}: free space"):
        Artifacts("full://models").save("v1", directory)
    monkeypatch.setattr(RefusingFileSystem, "number", errno.EMFILE)
    with pytest.raises(StoreUnavailable, match=r"full://models does not answer: .*Too many open files"):
        Artifacts("full://models").save("v1", directory)


def test_an_unknown_kind_of_store_is_a_wrong_setting() -> None:
    with pytest.raises(InvalidInput, match="WEIR_ARTIFACTS_URL"):
        Artifacts("gopher://models")
