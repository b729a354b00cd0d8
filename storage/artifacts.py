"""Store model files in a directory or any store that fsspec supports.

Each version has a manifest, whose hash the registry keeps; nothing with another hash is fetched.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from uuid import uuid4

import fsspec

from importance.checksums import sha256_of
from importance.errors import BadArtifact, InvalidInput, StoreUnavailable, WeirError
from storage import disk

MANIFEST = "SHA256SUMS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION_CHARACTERS = 64
_PROBE_BYTES = 1 << 20  # written at once
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class Artifacts:
    """The versions' files below ``url``, for example ``/data/models``, ``memory://models`` or ``s3://bucket/models``.

    A version's files are in a directory named by version and hash, with a manifest in the format of ``sha256sum``.
    The manifest is written last: a directory without it is ignored.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InvalidInput(f"artifacts URL {url!r} cannot be used: {error}: set WEIR_ARTIFACTS_URL") from error
        self._url = url

    def save(self, version: str, directory: Path) -> tuple[str, str]:
        """Store a directory's files; returns (artifact, sha256): the name to fetch them by, and the manifest's hash.

        Of what the store does not take whole nothing is left, as far as it can be removed, but of an artifact that was
        whole before: another trainer's, which is the same to the bit.
        """
        if not _NAME.fullmatch(version) or len(version) > _VERSION_CHARACTERS:
            raise InvalidInput(
                f"version {version!r} is not a valid name: letters, digits, '.', '_' and '-', at most 64 of them"
            )
        manifest = manifest_of(directory)
        sha256 = hashlib.sha256(manifest.encode()).hexdigest()
        artifact = f"{version}-{sha256[:16]}"
        with self._reported():
            was_whole = self._files.exists(self._path(artifact, MANIFEST))
        try:
            with self._reported():
                for _, name in _entries(manifest):
                    target = self._path(artifact, name)
                    self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
                    self._files.put_file(str(directory / name), target)
                self._files.pipe_file(self._path(artifact, MANIFEST), manifest.encode())
        except StoreUnavailable:
            if not was_whole:
                with suppress(StoreUnavailable):  # what is half written would take the space of what is tried next
                    self.remove(artifact)
            raise
        return artifact, sha256

    def fetch(self, artifact: str, sha256: str, into: Path) -> Path:
        """Return a local directory with the files of an artifact, below ``into``.

        Files fetched before are checked, not fetched again. Raises BadArtifact unless every hash is right.
        """
        if not _NAME.fullmatch(artifact):
            raise BadArtifact(f"artifact {artifact!r} is not a valid name of this store")
        directory = into / artifact
        if directory.is_dir() and _is(directory, sha256):
            return directory
        into.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=".fetching-", dir=into))
        try:
            self._download(artifact, sha256, partial)
            shutil.rmtree(directory, ignore_errors=True)  # spoiled since it was fetched
            try:
                partial.rename(directory)
            except OSError:  # another process was faster
                if not _is(directory, sha256):
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return directory

    def names(self) -> list[str]:
        """Return the artifacts of this store, also those that lack their manifest."""
        with self._reported():
            self._files.invalidate_cache()
            if not self._files.isdir(self._root):
                return []
            found = self._files.ls(self._root, detail=False)
        return sorted(name for path in found if _NAME.fullmatch(name := path.rstrip("/").rpartition("/")[2]))

    def remove(self, artifact: str) -> None:
        """Remove an artifact's files, if there are any."""
        with self._reported(), suppress(FileNotFoundError):
            self._files.rm(self._path(artifact, "").rstrip("/"), recursive=True)

    def check(self, artifact: str, sha256: str) -> None:
        """Read every file of an artifact where it lies; raises BadArtifact unless every hash is right."""
        with self._reported(), self._complete(artifact):
            for expected, name in _entries(self._manifest(artifact, sha256)):
                with self._files.open(self._path(artifact, name), "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != expected:
                    raise BadArtifact(f"{name} of artifact {artifact} does not have the sha256 of its manifest")

    def sha256_of(self, artifact: str, sha256: str, name: str) -> str | None:
        """Return the sha256 of one file of an artifact by its manifest, None where it has none of that name."""
        with self._reported(), self._complete(artifact):
            return {name: expected for expected, name in _entries(self._manifest(artifact, sha256))}.get(name)

    def probe(self, size_bytes: int = 1) -> None:
        """Write so many bytes and remove them; raises StoreUnavailable when the store takes no more files.

        What a probe left that was killed is removed, too.
        """
        probes = f"{self._root.rstrip('/')}/.probe-"
        path = f"{probes}{uuid4().hex}"
        with self._reported():
            self._files.makedirs(self._root, exist_ok=True)
            for left in self._files.glob(f"{probes}*"):
                with suppress(FileNotFoundError):
                    self._files.rm_file(left)
            try:
                with self._files.open(path, "wb") as file:
                    for start in range(0, size_bytes, _PROBE_BYTES):
                        file.write(bytes(min(_PROBE_BYTES, size_bytes - start)))
            finally:
                with suppress(FileNotFoundError):
                    self._files.rm_file(path)

    def _manifest(self, artifact: str, sha256: str) -> str:
        manifest: bytes = self._files.cat_file(self._path(artifact, MANIFEST))
        if hashlib.sha256(manifest).hexdigest() != sha256:
            raise BadArtifact(f"the manifest of artifact {artifact} does not have the registered sha256")
        return manifest.decode()

    @contextmanager
    def _complete(self, artifact: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BadArtifact(f"artifact {artifact} in {self._url} lacks a file: {error}") from error

    def _download(self, artifact: str, sha256: str, into: Path) -> None:
        with self._reported(writes_to=str(into.parent)), self._complete(artifact):
            for _, name in _entries(self._manifest(artifact, sha256)):
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(self._path(artifact, name), str(into / name))
        if not _is(into, sha256):
            raise BadArtifact(f"a file of artifact {artifact} in {self._url} does not have the sha256 of its manifest")

    def _path(self, artifact: str, name: str) -> str:
        return f"{self._root.rstrip('/')}/{artifact}/{name}"

    @contextmanager
    def _reported(self, writes_to: str = "") -> Iterator[None]:
        """Convert failures into StoreUnavailable; ``writes_to`` is whose disk it is that refuses files."""
        try:
            yield
        except WeirError:
            raise
        except Exception as error:  # each kind of store raises errors of its own; few of them are an OSError
            if disk.refuses(error):
                refusing = writes_to or f"the artifact store {self._url}"
                raise StoreUnavailable(f"{refusing} refuses files: {error}: free space there, or repair it") from error
            raise StoreUnavailable(f"the artifact store {self._url} does not answer: {error}") from error


def manifest_of(directory: Path) -> str:
    """Return a line for each file below a directory, sorted by name: its sha256, two spaces, its name with slashes."""
    lines = []
    for path in sorted(directory.rglob("*"), key=lambda path: path.relative_to(directory).as_posix()):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise InvalidInput(f"{path} is not a regular file: a version consists of regular files only")
        if path.is_file() and name != MANIFEST:
            lines.append(f"{sha256_of(path)}  {name}\n")
    manifest = "".join(lines)
    if not lines:
        raise InvalidInput(f"{directory} holds no file; there is nothing to store")
    list(_entries(manifest))
    return manifest


def _entries(manifest: str) -> Iterator[tuple[str, str]]:
    """Yield the (hash, name) pairs of a manifest; refuses names that would lead out of the directory."""
    for line in manifest.splitlines():
        match = _LINE.fullmatch(line)
        name = match[2] if match else ""
        path = PurePosixPath(name)
        if not match or path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name:
            raise BadArtifact(f"{line!r} is not a valid manifest line: a name must stay below its directory")
        yield match[1], name


def _is(directory: Path, sha256: str) -> bool:
    """Return whether a directory holds exactly the files of a manifest with this hash."""
    try:
        return hashlib.sha256(manifest_of(directory).encode()).hexdigest() == sha256
    except InvalidInput:
        return False
