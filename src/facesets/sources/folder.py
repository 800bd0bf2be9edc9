"""Sources room: a plain folder of photos. Reads the folder and writes nothing into it; its photos are used in place."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pillow_heif
from PIL import ExifTags, Image

from ..errors import NotFound
from ..immich import originals
from ..immich.timeline import Bucket
from ..progress import Progress
from ..records import Asset, FaceBox, User
from ..settings import SETTINGS_FILE
from . import Fetched, Work

PHOTOS = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jp2",
    ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".raf", ".rw2", ".orf", ".pef", ".srw", ".x3f", ".3fr", ".iiq",
))  # fmt: skip
_VIDEOS = frozenset((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv", ".insv"))

pillow_heif.register_heif_opener()  # lets Pillow read HEIC headers


class FolderSource:
    """The files below ``root``. An asset's id comes from its path inside ``root``, so that the folder may move."""

    name = "folder"
    tells_faces = False
    changes = mark = reconciliation = stream = None  # looking through a folder is quick, and names all there is

    def __init__(self, root: Path, user: User) -> None:
        self.root, self.user = root.resolve(), user
        self._odd: dict[str, Path] = {}  # asset id -> path, where the name is no UTF-8
        self._lock, self._bytes = threading.Lock(), 0

    @property
    def work(self) -> Work:
        """Bytes read; a folder needs no requests and no downloads."""
        return Work(bytes=self._bytes)

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every file, in the order of the paths. Links that lead out of the folder and other workspaces are left aside, and said."""
        out, workspaces = 0, 0
        with progress.task("listing", unit="files") as task:
            for folder, folders, files in os.walk(self.root):
                keep = sorted(d for d in folders if not (Path(folder) / d).is_symlink())
                out += len(folders) - len(keep)
                folders[:] = [d for d in keep if not (Path(folder) / d / SETTINGS_FILE).is_file()]
                workspaces += len(keep) - len(folders)
                for name in sorted(files):
                    path = Path(folder) / name
                    if path.is_symlink() and not path.resolve().is_relative_to(self.root):
                        out += 1
                        continue
                    asset = self._asset(path)
                    if asset is not None:
                        task.advance()
                        yield asset
        if out:
            progress.note(f"{out} links in {self.root} to folders or out of it were not followed.")
        if workspaces:
            progress.note(f"{workspaces} facesets workspaces inside {self.root} were left out.")

    def stacked(self, on_top: Mapping[tuple[str, str, bool], int]) -> Iterator[tuple[Bucket | None, set[str]]]:  # noqa: ARG002
        """None are."""
        yield from ()

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """None are known."""
        return asset.boxes or ()

    def preview(self, asset: Asset) -> bytes:
        """There is none; every photo of a folder is looked through whole."""
        raise NotFound(f"{asset.original_path}: a folder has no previews")

    def looks_like(self, asset: Asset, other: Path) -> bool:  # noqa: ARG002 - the protocol's names
        """Reading a file here costs nothing that could be saved."""
        return False

    def stop(self) -> None:
        """Nothing here takes long."""

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """The photo where it lies, hashed; copied to ``target`` only where its name is no UTF-8, which no file of ours could hold."""
        path = self._path(asset)
        if pixels != "original":
            raise NotFound(f"{asset.original_path}: a folder has no other picture of it")
        try:
            done = originals.digests(path)
        except FileNotFoundError as err:
            raise NotFound(f"{asset.original_path}: it was there when the folder was listed") from err
        with self._lock:
            self._bytes += done.size
        taken_at, size = _exif(path)
        if asset.asset_id in self._odd:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(shutil.copyfile(path, target))
            path.chmod(0o600)
        return Fetched(path, done.sha256, done.sha1, done.size, taken_at, size)

    def _asset(self, path: Path) -> Asset | None:
        try:
            facts = path.stat()
        except OSError:
            facts = None  # a dangling link, or no right to look: fetching it tells
        inside = path.relative_to(self.root).as_posix()
        raw = os.fsencode(inside)
        asset_id = hashlib.sha256(raw).hexdigest()[:32]
        shown = raw.decode("utf-8", "backslashreplace")
        if shown != inside:
            self._odd[asset_id] = path
        suffix = path.suffix.lower()
        return Asset(
            owner_id=self.user.user_id,
            asset_id=asset_id,
            type="IMAGE" if suffix in PHOTOS else "VIDEO" if suffix in _VIDEOS else "OTHER",
            original_path=shown,
            file_name=PurePosixPath(shown).name,
            size_bytes=facts.st_size if facts else None,
            updated_at=datetime.fromtimestamp(facts.st_mtime, UTC).isoformat() if facts else None,
        )

    def _path(self, asset: Asset) -> Path:
        path = self._odd.get(asset.asset_id) or self.root / PurePosixPath(asset.original_path)
        if not path.resolve().is_relative_to(self.root):
            raise NotFound(f"{asset.original_path}: leads out of {self.root}")
        return path


def _exif(path: Path) -> tuple[str | None, tuple[int, int] | None]:
    """When a photo was taken (local time, ISO 8601) and its oriented size, as far as its header tells; no pixel is decoded."""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            width, height = image.size
            if exif.get(ExifTags.Base.Orientation) in (5, 6, 7, 8):
                width, height = height, width
            text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    except Exception:  # noqa: BLE001 - a broken header raises anything; embedding decides whether the photo can be read
        return None, None
    try:
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat(), (width, height)  # noqa: DTZ007 - EXIF has no zone
    except ValueError:
        return None, (width, height)
