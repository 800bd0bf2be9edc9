"""A workspace: one private folder with settings, registry, photos, queue, caches and sets. Knows paths, the lock and permissions."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from facesets import settings as settings_
from facesets.errors import NotAWorkspace, SettingsError, UsageError, WorkspaceInUse
from facesets.files import disk_error, replace_file
from facesets.registry import Registry
from facesets.settings import SETTINGS_FILE, Settings

_PRIVATE = ("photos", "queue", "caches", "reports", "logs", "backups")
OWN_FOLDERS = frozenset((*_PRIVATE, "crops", "thumbnails"))  # for one thing each; sets have theirs besides


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of a workspace and its settings. ``root`` is absolute."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Workspace:
        """The workspace in ``root``. Raises NotAWorkspace, SettingsError."""
        root = root.absolute()
        try:
            if not (root / SETTINGS_FILE).is_file():
                raise NotAWorkspace(root)
        except PermissionError as err:  # from Python 3.14 on, is_file() says False instead
            raise disk_error(err, root) from err
        return cls(root, settings_.load(root / SETTINGS_FILE, environ))

    @classmethod
    def init(cls, root: Path, *, url: str = "", users: Mapping[str, str] | None = None) -> Workspace:
        """Make ``root`` a workspace, readable by its owner alone. An empty folder is fine, and so is one that holds sets only."""
        root = root.absolute()
        if (root / SETTINGS_FILE).exists():
            raise UsageError(f"{root} is a workspace already; its settings are in {root / SETTINGS_FILE}")
        try:
            if root.exists() and (not root.is_dir() or {p.name for p in root.iterdir()} - {"facesets"}):
                raise UsageError(f"{root} is not an empty folder; name a new or empty one")
        except OSError as err:
            raise disk_error(err, root) from err
        try:
            root.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # a share without permissions may refuse; whether the folder is private is said by who asks
                root.chmod(0o700)
            for name in _PRIVATE:
                (root / name).mkdir(mode=0o700, exist_ok=True)
            replace_file(root / SETTINGS_FILE, settings_.template(url=url, users=users).encode())
        except OSError as err:
            raise disk_error(err, err.filename or root) from err
        return cls.open(root)

    @property
    def facesets(self) -> Path:
        """The folder of sets."""
        return self.root / self.settings.paths.facesets

    def prepare_facesets(self, note: Callable[[str], None]) -> None:
        """See that there is a folder for the sets; one that the settings name and that is new is made, and said.

        Raises SettingsError where its own folder is missing, too: a disk that is not mounted must not become an empty folder of sets;
        and where it is, or lies in, what the workspace keeps other things in.
        """
        folder = self.facesets
        if folder == self.root / settings_.PathSettings().facesets and not folder.is_file():
            return
        key = f"[paths] facesets = {self.settings.paths.facesets!r}"
        if problem := self._taken(folder):
            raise SettingsError(f"{problem}; name a folder for sets alone", path=self.root / SETTINGS_FILE, key=key)
        if folder.is_dir():
            return
        if folder.exists() or not folder.parent.is_dir():
            problem, do = f"{folder} is not a folder", "move it away"
            if not folder.exists():
                problem, do = f"there is no folder {folder.parent}", "mount its disk, make it"
            raise SettingsError(f"{problem}; {do}, or correct the setting", path=self.root / SETTINGS_FILE, key=key)
        try:
            folder.mkdir(mode=0o700)
        except OSError as err:
            raise disk_error(err, folder) from err
        note(f"{folder} ({key}) is new: no set is there yet, and sets will be written into it.")

    def _taken(self, folder: Path) -> str | None:
        """Why sets cannot lie in ``folder``, in words."""
        try:
            folder, root = folder.resolve(), self.root.resolve()
        except RuntimeError:  # a ring of links, before Python 3.13
            return f"{folder} is a link that leads to itself"
        if root.is_relative_to(folder):
            return f"{folder} is the workspace itself, or holds it"
        own = folder.relative_to(root).parts[0] if folder.is_relative_to(root) else ""
        return f"{folder} is where the workspace keeps its {own}" if own.lower() in OWN_FOLDERS else None

    @property
    def registry_file(self) -> Path:
        """The SQLite file."""
        return self.root / "registry.sqlite"

    def queue(self, label: str) -> Path:
        """The embedding queue of a user."""
        return self.root / "queue" / f"{label}.jsonl"

    def cache(self, label: str) -> Path:
        """The embedding cache of a user."""
        return self.root / "caches" / f"{label}.npz"

    def photo(self, label: str, asset_id: str, suffix: str) -> Path:
        """Where an original is kept: a name derived from its id, never from what the server calls it."""
        safe = asset_id if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", asset_id) else _digest(asset_id)
        return self.root / "photos" / label / safe[:2] / (safe + suffix)

    @property
    def progress_file(self) -> Path:
        """How far the run that is at work is, for whoever looks from outside."""
        return self.root / ".progress.json"

    def registry(self) -> Registry:
        """The registry, made or migrated where needed; close it (it is a context manager)."""
        return Registry.open(self.registry_file)

    def registry_to_read(self) -> Registry:
        """The registry for looking only: also that of a workspace which cannot be written."""
        return Registry.read(self.registry_file)

    def is_in_use(self) -> bool:
        """Whether a facesets holds the workspace at this moment."""
        if not (self.root / ".lock").exists():
            return False
        lock = FileLock(self.root / ".lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError) as err:
            return isinstance(err, Timeout)
        lock.release()
        return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for this process alone; kill -9 frees it. Raises WorkspaceInUse at once where another has it, UsageError
        where something else stands in a folder's place.
        """
        for path in (self.root / name for name in sorted(OWN_FOLDERS)):
            if (path.exists() or path.is_symlink()) and not path.is_dir():
                what = "leads nowhere: mount its disk, or remove it" if path.is_symlink() else "is no folder: move it away"
                raise UsageError(f"{path} {what}, then run the same command again")
        lock = FileLock(self.root / ".lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout as err:
            raise WorkspaceInUse(f"{self.root} is in use by another facesets; wait for it, or stop it (its work is kept)") from err
        except OSError as err:
            raise disk_error(err, self.root / ".lock") from err
        try:
            yield
        finally:
            lock.release()

    def relative(self, path: Path) -> str:
        """``path`` as the registry stores it: relative to the workspace where it lies inside."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
