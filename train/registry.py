"""The registry: a folder of bundles and a pointer to the current one, local or at any pyarrow.fs URL."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from cluster.errors import BundleError, ConfigError, NotFoundError
from cluster.storage import whole_folder, write_whole
from train.bundle import NO_CARD, Bundle, files_of, write_bundle
from train.bundle_state import MANIFEST, Manifest, check_bundle, read_manifest

POINTER, BEFORE = "current", "previous"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Registry:
    """Bundles by version. A bundle appears whole, is never changed, and `current` names the one to serve.

    A remote root (`s3://…`, `gs://…`) is mirrored in `cache`, so that readers always see local files.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        self.remote, path = _filesystem(str(root))
        self.path = path
        self.local = Path(path) if self.remote is None else (cache or Path("var/registry-cache"))

    def publish(self, bundle: Bundle, promote: bool = True, card: Mapping[str, bytes] = NO_CARD) -> Path:
        """Write a bundle under its version and, when `promote`, point `current` at it; return its local folder."""
        folder = self._folder(bundle.manifest.version)
        if folder.exists():
            raise BundleError(f"{folder} exists and bundles never change; publish under another version")
        write_bundle(bundle, folder, card)
        if self.remote is not None:
            self._upload(folder, self.remote)
        if promote:
            self.promote(bundle.manifest.version)
        return folder

    def promote(self, version: str) -> None:
        """Point `current` at a published, intact version, and `previous` at the one that it named until then."""
        check_bundle(self.folder(version))
        if (before := self._named(POINTER)) not in (None, version):
            self._write(BEFORE, before)
        self._write(POINTER, version)

    def current(self) -> str:
        """Return the version that `current` names."""
        if (version := self._named(POINTER)) is None:
            raise NotFoundError(f"no bundle was published in {self.path} yet; run `python train/run.py fit data=…`")
        return version

    def previous(self) -> str | None:
        """Return the version that was current before, None where there never was another one."""
        return self._named(BEFORE)

    def manifest(self, version: str) -> Manifest:
        """Return what a published version says of itself; of a remote one nothing else is fetched."""
        name = self._folder(version) / MANIFEST
        if self.remote is None or name.exists():
            return read_manifest(name.parent)
        with TemporaryDirectory() as folder:
            (Path(folder) / MANIFEST).write_text(self._text(f"{version}/{MANIFEST}"))
            return read_manifest(Path(folder))

    def versions(self) -> list[str]:
        """Return every published version, oldest name first."""
        filesystem = self.remote or LocalFileSystem()
        entries = filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        folders = [entry.path for entry in entries if VERSION.fullmatch(entry.base_name)]
        manifests = filesystem.get_file_info([f"{folder}/{MANIFEST}" for folder in folders])
        return sorted(Path(entry.path).parent.name for entry in manifests if entry.type == FileType.File)

    def folder(self, version: str) -> Path:
        """Return the local folder of a published version, fetched first when the registry is remote."""
        folder = self._folder(version)
        if not folder.exists() and self.remote is not None and version in self.versions():
            with whole_folder(folder) as aside:
                copy_files(f"{self.path}/{version}", str(aside), source_filesystem=self.remote)
        if not folder.exists():
            known = ", ".join(self.versions()) or "none"
            raise NotFoundError(f"no bundle {version!r} in {self.path}; published: {known}")
        return folder

    def find(self, name: str) -> Path:
        """Return the folder of a bundle named by `current`, by its version, or by its path."""
        if name == POINTER:
            return self.folder(self.current())
        if Path(name).is_dir():
            return Path(name)
        return self.folder(name)

    def _folder(self, version: str) -> Path:
        if not VERSION.fullmatch(version):
            raise BundleError(f"{version!r} cannot be a version: use letters, digits, '.', '_' and '-', at most 100")
        return self.local / version

    def _named(self, pointer: str) -> str | None:
        try:
            return self._text(pointer).strip()
        except FileNotFoundError:
            return None

    def _text(self, name: str) -> str:
        if self.remote is None:
            return (self.local / name).read_text()
        with self.remote.open_input_stream(f"{self.path}/{name}") as stream:
            return stream.read().decode()

    def _write(self, name: str, text: str) -> None:
        if self.remote is None:
            write_whole(self.local / name, text)
            return
        with self.remote.open_output_stream(f"{self.path}/{name}") as stream:
            stream.write(text.encode())

    def _upload(self, folder: Path, remote: FileSystem) -> None:
        # The manifest goes last: a bundle without one is no bundle, so a broken upload is never read.
        target = f"{self.path}/{folder.name}"
        for path in sorted(files_of(folder), key=lambda path: path.name == MANIFEST):
            place = f"{target}/{path.relative_to(folder).as_posix()}"
            remote.create_dir(place.rpartition("/")[0])
            copy_files(str(path), place, destination_filesystem=remote)


def _filesystem(root: str) -> tuple[FileSystem | None, str]:
    if "://" not in root:
        return None, root
    try:
        filesystem, path = FileSystem.from_uri(root)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"registry={root} cannot be reached: {error}; give a folder or a URL such as s3://…"
        ) from None
    return (None, path) if isinstance(filesystem, LocalFileSystem) else (filesystem, path)
