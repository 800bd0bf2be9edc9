"""Sources room: what a run needs of a dump of Immich's database, in private files that live no longer than the run.

Tables of a dump come in any order and do not fit into memory, so what is kept of them (rows of our users alone) lies in a SQLite file,
and vectors, one after the other, in a second one. Touches its folder only.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from facesets.errors import BadAnswer
from facesets.immich import wire
from facesets.records import FaceBox, SourcePerson
from facesets.sources.vector_text import Vector, parse_vector

FOLDER = ".dump"  # inside of the workspace
_ASKED = 500  # ids in one question
_SCHEMA = (
    "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE asset (id TEXT NOT NULL, owner TEXT NOT NULL, checksum TEXT NOT NULL, listed INTEGER NOT NULL) STRICT",
    "CREATE TABLE person (owner TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, birth_date TEXT, hidden INTEGER NOT NULL) STRICT",
    "CREATE TABLE face (id TEXT NOT NULL, asset INTEGER NOT NULL, x1 INTEGER NOT NULL, y1 INTEGER NOT NULL, x2 INTEGER NOT NULL, "
    "y2 INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, person TEXT, at INTEGER, length INTEGER) STRICT",
)
_FACES = (  # a person whom another user has alone has no name here
    "SELECT asset, x1, y1, x2, y2, width, height, f.id, f.person, nullif(p.name, '') FROM face AS f "
    "LEFT JOIN person AS p ON p.owner = ? AND p.id = f.person WHERE asset IN"
)
# made once a table is complete, which is quicker than with each row
_INDEXES = {
    "asset": ("CREATE UNIQUE INDEX asset_by_id ON asset (id)",),
    "person": ("CREATE UNIQUE INDEX person_by_id ON person (owner, id)",),
    "face": ("CREATE UNIQUE INDEX face_by_id ON face (id)", "CREATE INDEX face_by_asset ON face (asset)"),
}


class DumpStore:
    """An open store. Use as a context manager; :func:`discard` removes its files."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "dump.sqlite", isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")  # it is made anew where it is damaged
        self._db.execute("PRAGMA cache_size = -8000")  # kB; sorting for an index takes as much again
        self._vectors: IO[bytes] = (folder / "vectors").open("r+b")

    @classmethod
    def create(cls, folder: Path) -> DumpStore:
        """An empty one, readable by its owner alone."""
        discard(folder)
        folder.mkdir(mode=0o700)
        for name in ("dump.sqlite", "vectors"):
            os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600))
        store = cls(folder)
        for statement in _SCHEMA:
            store._db.execute(statement)
        return store

    # -- filling it

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is put in, or nothing."""
        end = self._vectors.seek(0, os.SEEK_END)
        self._db.execute("BEGIN")
        try:
            yield
            self._vectors.flush()
        except BaseException:
            if self._db.in_transaction:  # a full disk ends it
                self._db.execute("ROLLBACK")
            self._vectors.truncate(end)
            raise
        self._db.execute("COMMIT")

    def set_fact(self, key: str, value: object) -> None:
        """Remember something of the dump as a whole."""
        self._db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, json.dumps(value)))

    def fact(self, key: str) -> Any:
        """What was remembered; None where nothing was."""
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_assets(self, rows: Iterable[tuple[str, str, str, bool]]) -> None:
        """``(id, owner, checksum in hex, whether the API lists it)``."""
        self._db.executemany("INSERT INTO asset VALUES (?, ?, ?, ?)", rows)

    def add_people(self, rows: Iterable[tuple[str, str, str, str | None, bool]]) -> None:
        """``(owner, id, name, birth date, hidden)``."""
        self._db.executemany("INSERT INTO person VALUES (?, ?, ?, ?, ?)", rows)

    def add_faces(self, rows: Sequence[tuple[str, str, tuple[int, ...], str | None]]) -> None:
        """``(id, asset id, (x1, y1, x2, y2, width, height), person)``; those of other assets than ours are left out."""
        ours = self._rows("SELECT id, rowid FROM asset WHERE id IN", [row[1] for row in rows])
        self._db.executemany(
            "INSERT INTO face VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            ((face, ours[asset], *box, person) for face, asset, box, person in rows if asset in ours),
        )

    def add_vectors(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """``(face id, the vector as text)``; those of other faces than ours are left out. Raises BadAnswer."""
        ours = self._rows("SELECT id, rowid FROM face WHERE id IN", [face for face, _ in rows])
        at, places = self._vectors.seek(0, os.SEEK_END), []
        for face, text in rows:
            if face in ours:
                vector = parse_vector(text)
                self._vectors.write(vector.tobytes())
                places.append((at, len(vector), ours[face]))
                at += vector.nbytes
        self._db.executemany("UPDATE face SET at = ?, length = ? WHERE rowid = ?", places)

    def complete(self, table: str) -> None:
        """A table is whole. Raises BadAnswer where it has an id twice."""
        try:
            for statement in _INDEXES.get(table, ()):
                self._db.execute(statement)
        except sqlite3.IntegrityError as err:
            raise BadAnswer(f"table {table}: an id is there twice") from err

    # -- asking it

    def count(self, owner: str) -> tuple[int, int, int]:
        """Of one user: how many assets the API would list, how many faces, how many of these with a vector."""
        (listed,) = self._db.execute("SELECT count(*) FROM asset WHERE owner = ? AND listed = 1", (owner,)).fetchone()
        sql = "SELECT count(*), count(at) FROM face JOIN asset AS a ON a.rowid = face.asset WHERE a.owner = ?"
        return (listed, *self._db.execute(sql, (owner,)).fetchone())

    def known(self, owner: str, asset_ids: Iterable[str]) -> int:
        """How many of these are this user's assets that the API would list, by the dump."""
        return len(self._rows("SELECT id, rowid FROM asset WHERE owner = ? AND listed = 1 AND id IN", asset_ids, owner))

    def boxes(self, owner: str, wanted: Mapping[str, str | None]) -> dict[str, tuple[FaceBox, ...]]:
        """The faces of these assets of one user, by asset id, of those that it has with this checksum (None: whatever it be)."""
        known = self._rows("SELECT id, rowid, checksum FROM asset WHERE owner = ? AND id IN", wanted, owner)
        same = {row: asset for asset, (row, checksum) in known.items() if wanted[asset] in (None, checksum)}
        found = dict[str, list[FaceBox]]((asset, []) for asset in same.values())
        for some in _batches(same):
            rows = self._db.execute(f"{_FACES} ({_marks(some)})", (owner, *some))
            for asset, x1, y1, x2, y2, width, height, face, person, name in rows:
                box = FaceBox(float(x1), float(y1), float(x2), float(y2), width, height, face, person, name)
                found[same[asset]].append(box)
        return {asset: wire.ordered(boxes) for asset, boxes in found.items()}

    def people(self, owner: str) -> Iterator[SourcePerson]:
        """Everybody whom one user has, by id."""
        rows = self._db.execute("SELECT id, name, birth_date, hidden FROM person WHERE owner = ? ORDER BY id", (owner,))
        for person, name, birth_date, hidden in rows:
            yield SourcePerson(owner, person, name, birth_date, bool(hidden))

    def vectors(self, face_ids: Iterable[str]) -> dict[str, Vector]:
        """The vectors of these faces, float32 [d]; of those that have one."""
        places = self._rows("SELECT id, at, length FROM face WHERE at IS NOT NULL AND id IN", face_ids)
        return {face: self._vector(*place) for face, place in sorted(places.items(), key=lambda one: one[1][0])}

    def _vector(self, at: int, length: int) -> Vector:
        self._vectors.seek(at)  # read, not mapped: what is mapped would count as ours
        return np.frombuffer(self._vectors.read(length * 4), np.float32)

    def _rows(self, select: str, ids: Iterable[str], *before: str) -> dict[str, Any]:
        """What is selected, by its first column; ``select`` ends in ``id IN``."""
        found = dict[str, Any]()
        for some in _batches(ids):
            for name, *rest in self._db.execute(f"{select} ({_marks(some)})", (*before, *some)):
                found[name] = rest[0] if len(rest) == 1 else rest
        return found

    def close(self) -> None:
        """Close its files."""
        self._db.close()
        self._vectors.close()

    def __enter__(self) -> DumpStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def discard(folder: Path) -> None:
    """Remove a store, if there is one."""
    if folder.exists():
        shutil.rmtree(folder)


def _batches(ids: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(ids)
    while some := list(islice(left, _ASKED)):
        yield some


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
