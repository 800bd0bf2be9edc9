"""A workspace: one private folder with settings, registry, photos, queue, caches and sets. Knows paths, the lock and permissions."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from . import settings as settings_
from .errors import NotAWorkspace, UsageError, WorkspaceInUse
from .registry import Registry
from .settings import SETTINGS_FILE, Settings

_PRIVATE = ("photos", "queue", "caches", "reports", "logs")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of a workspace and its settings. ``root`` is absolute."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Workspace:
        """The workspace in ``root``. Raises NotAWorkspace, SettingsError."""
        root = root.absolute()
        if not (root / SETTINGS_FILE).is_file():
            raise NotAWorkspace(root)
        return cls(root, settings_.load(root / SETTINGS_FILE, environ))

    @classmethod
    def init(cls, root: Path, *, url: str = "", users: Mapping[str, str] | None = None) -> Workspace:
        """Make ``root`` a workspace, readable by its owner alone. An empty folder is fine, and so is one that holds sets only."""
        root = root.absolute()
        if (root / SETTINGS_FILE).exists():
            raise UsageError(f"{root} is a workspace already; its settings are in {root / SETTINGS_FILE}")
        if root.exists() and (not root.is_dir() or {p.name for p in root.iterdir()} - {"facesets"}):
            raise UsageError(f"{root} is not an empty folder; name a new or empty one")
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        for name in _PRIVATE:
            (root / name).mkdir(mode=0o700, exist_ok=True)
        write_private(root / SETTINGS_FILE, settings_.template(url=url, users=users).encode())
        return cls.open(root)

    @property
    def facesets(self) -> Path:
        """The folder of sets."""
        return self.root / self.settings.paths.facesets

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

    def registry(self) -> Registry:
        """The registry, made or migrated where needed; close it (it is a context manager)."""
        return Registry.open(self.registry_file)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for this process alone. Raises WorkspaceInUse at once where another has it; kill -9 frees it."""
        lock = FileLock(self.root / ".lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout as err:
            raise WorkspaceInUse(f"{self.root} is in use by another facesets; wait for it, or stop it (its work is kept)") from err
        try:
            yield
        finally:
            lock.release()

    def relative(self, path: Path) -> str:
        """``path`` as the registry stores it: relative to the workspace where it lies inside."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
