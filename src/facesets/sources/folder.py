"""Sources room: a plain folder of photos. Reads the folder and writes nothing into it; its photos are used in place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from facesets.errors import NotFound, UsageError
from facesets.files import digest_file, read_file
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.records import Asset, FaceBox, SourcePerson, User
from facesets.settings import SETTINGS_FILE
from facesets.sources.month import Month
from facesets.sources.source import Fetched, Work
from facesets.workspace import OWN_FOLDERS

PHOTOS = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jp2",
    ".jxl", ".mpo", ".insp",
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".raf", ".rw2", ".orf", ".pef", ".srw", ".x3f", ".3fr", ".iiq",
))  # fmt: skip
_VIDEOS = frozenset((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv", ".insv"))
_SET_FILE = "faceset.json"  # what every set of ours holds
_EXPORT_RECORD = ".facesets-export.json"  # which files of a folder we made
_OWN = OWN_FOLDERS | {"facesets"}
_SHOWN = 3  # folders named in a note
_HEADERS = 2  # read at a time, whatever the number of threads: each takes a process, and none takes long


class FolderSource:
    """The files below ``root``. An asset's id comes from its path inside ``root``, so that the folder may move.

    ``decoders`` read the photos' headers; ``own``: the workspace that asks, and its folder of sets, which are never photos.
    """

    name = "folder"
    knows_faces = False
    changes = asks = mark = reconciliation = stream = None  # looking through a folder is quick, and names all there is

    def __init__(self, root: Path, user: User, decoders: DecoderPool, own: Iterable[Path] = ()) -> None:
        self.root, self.user, self._decoders = root.resolve(), user, decoders
        self.unlisted: list[str] = []  # paths inside, each with a slash behind
        self._own = {os.fspath(path.resolve()) for path in own}
        self._odd: dict[str, Path] = {}  # asset id -> path, where its name inside is no UTF-8
        self._lock, self._bytes = threading.Lock(), 0
        self._headers = threading.Semaphore(_HEADERS)

    @property
    def work(self) -> Work:
        """Bytes read; a folder needs no requests and no downloads."""
        return Work(bytes=self._bytes)

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every file, in the order of the paths. What is not looked into is said: links that lead out of the folder or nowhere,
        workspaces and sets, what exports made, folders that cannot be read. Raises UsageError where that is the folder itself.
        """
        self.unlisted = []
        left_out, failed = Counter[str](), list[tuple[str, str]]()
        with progress.task("listing", unit="files") as task:
            for entry in self._files(left_out, failed):
                task.advance()
                yield self._asset(entry)
        where = shown(self.root)
        if n := left_out["link"]:
            progress.note(f"{n:,} link{'s' if n > 1 else ''} in {where} to folders, out of it or to nothing {_was(n)} not followed.")
        if n := left_out["workspace"]:
            progress.note(f"{n:,} folder{'s' if n > 1 else ''} of facesets workspaces or sets inside {where} {_was(n)} left out.")
        if n := left_out["export"]:
            progress.note(f"{n:,} file{'s' if n > 1 else ''} in {where} that an export of facesets made {_was(n)} left out.")
        if failed:
            self.unlisted = [inside for inside, _ in failed]
            names = ", ".join(f"{inside[:200]} ({why})" for inside, why in failed[:_SHOWN])
            more = f" and {len(failed) - _SHOWN:,} more" if len(failed) > _SHOWN else ""
            n = len(failed)
            progress.note(f"{n:,} folder{'s' if n > 1 else ''} in {where} cannot be read: {names}{more}. The rest is done.")

    def _files(self, left_out: Counter[str], failed: list[tuple[str, str]]) -> Iterator[os.DirEntry[str]]:
        """The entries that may be assets: a folder's files by name, then its folders."""
        waiting, exported = [os.fspath(self.root)], set[str]()
        while waiting:
            folder = waiting.pop()
            top = folder == os.fspath(self.root)
            try:
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as err:
                if top:
                    raise UsageError(f"{shown(self.root)} cannot be read: {_reason(err)}") from err
                failed.append((shown(os.path.relpath(folder, self.root)) + "/", _reason(err)))
                continue
            names = {entry.name for entry in entries}
            if not top and (folder in self._own or SETTINGS_FILE in names or _SET_FILE in names):
                left_out["workspace"] += 1
                continue
            if _EXPORT_RECORD in names:
                exported |= _exported(folder)
            folders = list[str]()
            for entry in entries:
                if entry.is_symlink() and not self._leads_to_a_file_inside(entry):
                    left_out["link"] += 1
                elif entry.path in exported:
                    left_out["export"] += 1
                elif not _is_folder(entry):
                    yield entry
                elif top and SETTINGS_FILE in names and entry.name in _OWN:
                    left_out["workspace"] += 1
                else:
                    folders.append(entry.path)
            waiting += reversed(folders)

    def _leads_to_a_file_inside(self, link: os.DirEntry[str]) -> bool:
        try:
            return not link.is_dir() and Path(link.path).resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError):  # a ring of links, or one that leads to nothing
            return False

    def stacked(self, on_top: Mapping[Month, int]) -> Iterator[tuple[Month | None, set[str]]]:  # noqa: ARG002
        """None are."""
        yield from ()

    def people(self) -> Iterator[SourcePerson]:
        """Nobody is known."""
        yield from ()

    def scanned(self, asset: Asset) -> bool:  # noqa: ARG002 - the protocol's name
        """Nobody has looked for faces here."""
        return False

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """None are known."""
        return asset.boxes or ()

    def preview(self, asset: Asset) -> bytes:
        """There is none; every photo of a folder is looked through whole."""
        raise NotFound(f"{asset.original_path}: a folder has no previews")

    def samples_match(self, asset: Asset, other: Path) -> bool:  # noqa: ARG002 - the protocol's names
        """Reading a file here costs nothing that could be saved."""
        return False

    def stop(self) -> None:
        """Nothing here takes long."""

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """The photo where it lies, hashed; copied to ``target`` only where its path is no UTF-8, which no file of ours could hold."""
        path = self._path(asset)
        if pixels != "original":
            raise NotFound(f"{asset.original_path}: a folder has no other picture of it")
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise NotFound(f"{asset.original_path}: no longer a file")
            done = digest_file(path)
        except FileNotFoundError as err:
            raise NotFound(f"{asset.original_path}: it was there when the folder was listed") from err
        with self._lock:
            self._bytes += done.size
        with self._headers:
            header = self._decoders.header(path)
        if not _is_text(path):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(shutil.copyfile(path, target))
            path.chmod(0o600)
        return Fetched(path, done.sha256, done.sha1, done.size, header.taken_at, header.size)

    def _asset(self, entry: os.DirEntry[str]) -> Asset:
        try:
            facts = entry.stat()
        except OSError:
            facts = None  # no right to look: fetching it says so
        path = Path(entry.path)
        inside = path.relative_to(self.root).as_posix()
        asset_id = hashlib.sha256(os.fsencode(inside)).hexdigest()[:32]
        if not _is_text(inside):
            self._odd[asset_id] = path
        suffix = path.suffix.lower()
        kind = "IMAGE" if suffix in PHOTOS else "VIDEO" if suffix in _VIDEOS else "OTHER"
        if facts is not None and not stat.S_ISREG(facts.st_mode):
            kind = "OTHER"  # pipes, devices and sockets may be read for ever
        text = shown(inside)
        return Asset(
            owner_id=self.user.user_id,
            asset_id=asset_id,
            type=kind,
            original_path=text,
            file_name=PurePosixPath(text).name,
            size_bytes=facts.st_size if facts else None,
            updated_at=_time(facts.st_mtime) if facts else None,
        )

    def _path(self, asset: Asset) -> Path:
        path = self._odd.get(asset.asset_id) or self.root / PurePosixPath(asset.original_path)
        if not path.resolve().is_relative_to(self.root):
            raise NotFound(f"{asset.original_path}: leads out of {shown(self.root)}")
        return path


def shown(path: Path | str) -> str:
    """A path as messages and the registry can hold it: bytes that are no UTF-8 are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_text(path: Path | str) -> bool:
    return shown(path) == os.fspath(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _exported(folder: str) -> set[str]:
    """The files that exports made in ``folder``, by their record there: faces of photos, which would be taken for more photos."""
    try:
        parts = json.loads(read_file(Path(folder, _EXPORT_RECORD)))["sets"].values()
        return {os.fspath(Path(folder, file)) for part in parts for file in part["files"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):  # no record of ours, so it hides nothing
        return set()


def _was(n: int) -> str:
    return "were" if n > 1 else "was"


def _reason(err: OSError) -> str:
    return (err.strerror or type(err).__name__).lower()


def _time(seconds: float) -> str | None:
    """A file's time, ISO 8601; None beyond the year 9999, which some file systems keep."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
