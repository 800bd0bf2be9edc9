"""The registry: every fact of a workspace in one SQLite file (WAL). The only room that says SQL; one module of queries a noun.

One ``with registry.transaction():`` is one unit of work: all of it lands, or none. A connection belongs to the thread that opened it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from ..errors import CorruptFile

VERSION = 6
# from version n to n + 1: statements run in one transaction
MIGRATIONS: dict[int, str] = {
    1: (
        "ALTER TABLE assets ADD COLUMN pixels TEXT NOT NULL DEFAULT 'original';\n"
        "CREATE INDEX assets_by_look ON assets (size_bytes, thumbhash) WHERE sha256 IS NOT NULL;\n"
    ),
    2: (
        "CREATE TABLE streamed_faces (label TEXT NOT NULL, face_id TEXT NOT NULL, asset_id TEXT NOT NULL, person_id TEXT, "
        "box TEXT NOT NULL, PRIMARY KEY (label, face_id)) STRICT, WITHOUT ROWID;\n"
        "CREATE INDEX streamed_faces_by_asset ON streamed_faces (label, asset_id);\n"
        "CREATE TABLE streamed_people (label TEXT NOT NULL, person_id TEXT NOT NULL, name TEXT NOT NULL, "
        "PRIMARY KEY (label, person_id)) STRICT, WITHOUT ROWID;\n"
    ),
    3: (
        "CREATE INDEX assets_by_time ON assets (owner_id, source, taken_at, visibility, is_trashed, asset_id, seen_run) "
        "WHERE seen_run > 0;\n"
    ),
    4: (
        "ALTER TABLE assets ADD COLUMN content TEXT;\n"
        "CREATE INDEX assets_by_content ON assets (content) WHERE content IS NOT NULL;\n"
        "ALTER TABLE embedded ADD COLUMN told TEXT;\n"
    ),
    5: (
        "ALTER TABLE assets ADD COLUMN is_stacked INTEGER NOT NULL DEFAULT 0;\n"
        "CREATE INDEX assets_stacked ON assets (owner_id, source, taken_at, visibility) WHERE is_stacked = 1;\n"
    ),
}


class Registry:
    """An open registry. Use as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.db = connection

    @classmethod
    def open(cls, path: Path) -> Registry:
        """Open, make or migrate the registry at ``path``. Raises CorruptFile where it is damaged or from a newer facesets."""
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = sqlite3.connect(path, isolation_level=None, timeout=30)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a plan must outlive a power cut: its sets may be on disk already
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves no bytes in free pages
            registry = cls(path, db)
            registry._migrate()
        except sqlite3.DatabaseError as err:
            db.close()
            raise CorruptFile(path, f"not a usable registry ({err}); move it away and run again: sets on disk are kept") from err
        except CorruptFile:
            db.close()
            raise
        return registry

    def _migrate(self) -> None:
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise CorruptFile(self.path, f"made by a newer facesets (schema {version}, this one knows {VERSION}): update facesets")
        if version == VERSION:
            return
        steps = [(files(__package__) / "schema.sql").read_text()] if version == 0 else [MIGRATIONS[v] for v in range(version, VERSION)]
        with self.transaction():
            for statement in _statements(steps):
                self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version = {VERSION}")

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


def _statements(scripts: list[str]) -> Iterator[str]:
    """Single statements, since executescript() would commit the transaction they belong to."""
    for script in scripts:
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                yield statement
                statement = ""
