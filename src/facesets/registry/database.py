"""The registry: every fact of a workspace in one SQLite file (WAL). The only room that says SQL; one module of queries per noun.

One ``with registry.transaction():`` is one unit of work: all of it lands, or none. A connection belongs to the thread that opened it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from facesets.errors import CorruptFile, FacesetsError, WorkspaceInUse
from facesets.registry import backups
from facesets.registry.migrations import FIRST, MIGRATIONS, VERSION
from facesets.registry.script import execute, schema_7

_WAIT = 30.0  # seconds for another process's transaction
_LEAST_ROOM = 1 << 16  # bytes
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_RESTORE = "facesets restore  lists its backups and brings one back; sets on disk are kept"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Registry:
    """An open registry. Use as a context manager: what SQLite says inside becomes an error of ours."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.db = connection

    @classmethod
    def open(cls, path: Path) -> Registry:
        """Open, make or migrate the registry at ``path``.

        Raises CorruptFile where it is damaged or from a newer facesets, WorkspaceInUse where another process keeps it locked, and
        FacesetsError where the disk is full or read-only.
        """
        with _said(path):
            _not_lost(path)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            return cls(path, sqlite3.connect(path, isolation_level=None, timeout=_WAIT))._prepared()

    @classmethod
    def read(cls, path: Path) -> Registry:
        """Open the registry to look at it: also in a snapshot that cannot be written, on a read-only or full disk. Raises as open."""
        if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) and not _is_on_read_only_disk(path):
            try:
                return cls.open(path)
            except FacesetsError:
                if not _is_on_full_disk(path):
                    raise
                with suppress(FacesetsError, sqlite3.DatabaseError):
                    return cls._looked_at(path)
                raise
        return cls._looked_at(path)

    @classmethod
    def _looked_at(cls, path: Path) -> Registry:
        with _said(path):
            _not_lost(path)
            if not path.exists():
                raise FacesetsError(f"there is no {path}: nothing was done in this workspace yet; the first run makes it")
            registry = cls(path, _read_only(path))
            try:
                registry.db.row_factory = sqlite3.Row
                registry._not_older()
            except BaseException:
                registry.close()
                raise
        return registry

    def _prepared(self) -> Registry:
        try:
            self.db.row_factory = sqlite3.Row
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")  # a plan must outlive a power cut: its sets may be on disk already
            self.db.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves no bytes in free pages
            self._migrate()
            self.db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            self.db.close()
            raise
        return self

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def _not_newer(self, version: int) -> None:
        if version > VERSION:
            raise CorruptFile(self.path, f"made by a newer facesets (schema {version}, this one knows {VERSION}): update facesets")

    def _not_older(self) -> None:
        version = self._version()
        self._not_newer(version)
        if version < VERSION:
            raise FacesetsError(
                f"{self.path} was made by an older facesets (schema {version}) and cannot be brought up to date here, as it is "
                "read-only. "
                "Use it once where it can be written"
            )

    def _migrate(self) -> None:
        """Step by step; where two processes come to it at once, the second waits for each and finds it done."""
        self._not_newer(before := self._version())
        while self._version() < VERSION:
            with self.transaction():
                version = self._version()
                if version == 0:
                    execute(self.db, schema_7())
                    self.db.execute(f"PRAGMA user_version = {FIRST}")
                    continue
                step = next((step for step in MIGRATIONS if step.version == version + 1), None)
                if step is None:
                    continue
                if version == before:  # of an older one: a new one is made in several steps, too
                    backups.make(self.path, f"schema-{version}")
                if isinstance(step.apply, str):
                    execute(self.db, step.apply)
                else:
                    step.apply(self.db)
                if self.db.execute("PRAGMA foreign_key_check").fetchone():
                    raise CorruptFile(self.path, f"cannot be migrated ({step.name}): rows refer to others that are not there")
                self.db.execute(
                    "INSERT INTO journal (at, event, data) VALUES (strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), 'migrated', "
                    "json_object('version', ?, 'name', ?))",
                    (step.version, step.name),
                )
                self.db.execute(f"PRAGMA user_version = {step.version}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One unit of work. Nested use joins the outer one."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.OperationalError):  # a full disk has rolled it back already
                self.db.execute("ROLLBACK")
            raise
        self.commit()

    def commit(self) -> None:
        """End a unit of work: from here on it is on the disk."""
        self.db.execute("COMMIT")

    def fact(self, key: str) -> str | None:
        """A fact of the workspace itself."""
        row = self.db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, key: str, value: str) -> None:
        """Remember a fact of the workspace itself."""
        self.db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value))

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if isinstance(value, sqlite3.DatabaseError) and (error := explained(self.path, value)) is not None:
            raise error from value


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as err:
        raise explained(path, err) or err from err
    except OSError as err:
        raise FacesetsError(f"{path} cannot be opened: {err.strerror or err}. Check its permissions and its disk") from err


def _not_lost(path: Path) -> None:
    """Raises CorruptFile where a registry that was used is gone or empty: SQLite would begin it anew, and sets be numbered anew."""
    there = path.exists()
    if not (there and (path.stat().st_size or _has_log(path))) and backups.listed(path):
        raise CorruptFile(path, f"is {'empty, and was not' if there else 'gone'}. {_RESTORE}")


def explained(path: Path, err: sqlite3.DatabaseError) -> FacesetsError | None:
    """What an error of SQLite means to a user; None where it is a fault of this program."""
    code = getattr(err, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in _BUSY:
        return WorkspaceInUse(f"another facesets has been writing to {path} for {_WAIT:g} s; wait for it, and run again")
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_on_full_disk(path)):
        return FacesetsError(f"{path}: disk full. Nothing is lost; make room, and run again")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return FacesetsError(f"{path} cannot be written ({err}). Check its permissions, and whether its disk is read-only")
    if primary == sqlite3.SQLITE_IOERR:
        return FacesetsError(f"{path}: the disk failed ({err}). Nothing is changed; check the disk, and run again")
    if primary in _DAMAGED:
        return CorruptFile(path, f"is damaged ({err}). {_RESTORE}")
    return None


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing beside the file either, where that cannot be."""
    uri = path.absolute().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None, timeout=_WAIT)
    try:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as err:
        db.close()
        if _has_log(path):  # what it holds would be missing
            raise FacesetsError(
                f"{path}: facesets was at work when this snapshot was taken; copy the workspace to where it can be written, and look "
                "there"
            ) from err
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return db


def _is_on_full_disk(path: Path) -> bool:
    """Whether there is no room for what SQLite keeps beside the file, 32 kB: it calls that an I/O error."""
    try:
        disk = os.statvfs(path)
    except (AttributeError, OSError):  # Windows has no such call
        return False
    return disk.f_bavail * disk.f_frsize < _LEAST_ROOM


def _is_on_read_only_disk(path: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)
