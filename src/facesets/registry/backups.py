"""Copies of the registry: one before each migration and one for each day of use, in ``backups`` beside it, private to its owner."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facesets.errors import CorruptFile, FacesetsError

FOLDER = "backups"
_DAYS, _MIGRATIONS = 5, 2  # how many of each kind are kept
_NAME = re.compile(r"registry-(\d{4}-\d{2}-\d{2})(?:-(schema-\d+|before-restore-\d+))?\.sqlite")
_DISK_FULL = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR))


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy. ``date``: of its making, as in its name; ``kind``: empty for a day's, else what it was made before."""

    path: Path
    date: str
    kind: str

    @property
    def name(self) -> str:
        """What ``facesets restore`` calls it."""
        return f"{self.date}-{self.kind}" if self.kind else self.date


def listed(registry_file: Path) -> list[Backup]:
    """All backups, oldest first."""
    folder = registry_file.parent / FOLDER
    found = [(path, match) for path in sorted(folder.glob("registry-*.sqlite")) if (match := _NAME.fullmatch(path.name))]
    return sorted(
        (Backup(path, match[1], match[2] or "") for path, match in found), key=lambda one: (one.date, one.path.stat().st_mtime_ns)
    )


def make(registry_file: Path, kind: str = "") -> Path:
    """Copy the registry as it stands, of today; one that is there already stays. Raises FacesetsError where the disk is full."""
    folder = registry_file.parent / FOLDER
    today = datetime.now(UTC).date().isoformat()
    target = folder / f"registry-{today}{'-' * bool(kind)}{kind}.sqlite"
    if target.exists():
        return target
    folder.mkdir(mode=0o700, exist_ok=True)
    copy(registry_file, target)
    for of_a_day, kept in ((True, _DAYS), (False, _MIGRATIONS)):
        for old in [one for one in listed(registry_file) if of_a_day is not bool(one.kind)][:-kept]:
            old.path.unlink(missing_ok=True)
    return target


def before_restore(registry_file: Path, n: int) -> Path:
    """Where the registry of today goes when another is brought back for the ``n``th time."""
    return registry_file.parent / FOLDER / f"registry-{datetime.now(UTC).date().isoformat()}-before-restore-{n}.sqlite"


def copy(source: Path, target: Path) -> None:
    """Copy one registry to another place, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    try:
        with (
            _full_disk(target),
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as here,
            closing(sqlite3.connect(partial)) as there,
        ):
            here.backup(there)
            there.execute("PRAGMA journal_mode = DELETE")  # one file, which can be opened anywhere
        handle = os.open(partial, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Raises CorruptFile where a backup cannot be used."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as err:
        raise CorruptFile(path, f"cannot be read ({err}); choose another backup") from err
    if found != "ok":
        raise CorruptFile(path, f"is damaged ({found}); choose another backup")


@contextmanager
def _full_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as err:
        if (getattr(err, "sqlite_errorcode", 0) or 0) & 0xFF in _DISK_FULL:
            raise FacesetsError(f"{target}: no room for a backup of the registry. Make room, and run again") from err
        raise
