"""Queries about sets: numbers, members, files and centroids. A planned set is a promise; writing it is carrying the promise out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..records import Centroid, FaceSet
from . import Registry

_HIGHEST = "highest_number"


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a set: path below the set's folder (POSIX), size, SHA-256."""

    path: str
    size: int
    sha256: str


def add(registry: Registry, faceset: FaceSet, run_id: int, *, written: bool) -> None:
    """Record a set; its number counts as used from now on, whatever becomes of it."""
    registry.db.execute(
        "INSERT INTO sets VALUES (?, ?, ?, ?, ?, ?, ?)",
        (faceset.name, faceset.number, faceset.origin, faceset.pack, faceset.person_name, written, run_id),
    )
    see_number(registry, faceset.number)


def see_number(registry: Registry, number: int) -> None:
    """Numbers up to this one count as used."""
    registry.set_fact(_HIGHEST, str(max(highest_number(registry), number)))


def highest_number(registry: Registry) -> int:
    """The highest number this workspace ever gave or saw."""
    return int(registry.fact(_HIGHEST) or 0)


def add_members(registry: Registry, name: str, members: Iterable[tuple[str, float]]) -> None:
    """The faces of a set, best first, each with its distance to the centroid."""
    rows = ((name, rank, face_id, distance) for rank, (face_id, distance) in enumerate(members, 1))
    registry.db.executemany("INSERT INTO set_faces VALUES (?, ?, ?, ?)", rows)


def members(registry: Registry, name: str) -> list[tuple[int, str, float]]:
    """``(rank, face_id, distance)`` of a set, best first."""
    sql = "SELECT rank, face_id, distance FROM set_faces WHERE set_name = ? ORDER BY rank"
    return [tuple(row) for row in registry.db.execute(sql, (name,))]


def set_files(registry: Registry, name: str, files: Iterable[FileFact]) -> None:
    """Remember a set's files as they are now: what verify compares with."""
    registry.db.execute("DELETE FROM set_files WHERE set_name = ?", (name,))
    rows = ((name, file.path, file.size, file.sha256) for file in files)
    registry.db.executemany("INSERT INTO set_files VALUES (?, ?, ?, ?)", rows)


def files(registry: Registry, name: str) -> list[FileFact]:
    """A set's files as they were recorded, by path."""
    sql = "SELECT path, size, sha256 FROM set_files WHERE set_name = ? ORDER BY path"
    return [FileFact(*row) for row in registry.db.execute(sql, (name,))]


def mark_written(registry: Registry, name: str) -> None:
    """The set's folder is on disk, whole."""
    registry.db.execute("UPDATE sets SET written = 1 WHERE name = ?", (name,))


def set_centroid(registry: Registry, pack: str, centroid: Centroid) -> None:
    """Keep a set's centroid for a pack."""
    registry.db.execute(
        "INSERT INTO centroids VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n, vector = excluded.vector",
        (centroid.name, pack, centroid.n, np.ascontiguousarray(centroid.vector, "<f8").tobytes()),
    )


def centroids(registry: Registry, pack: str) -> list[Centroid]:
    """The centroids of all sets for a pack, by name."""
    sql = "SELECT set_name, vector, n FROM centroids WHERE pack = ? ORDER BY set_name"
    return [Centroid(name, np.frombuffer(vector, "<f8"), n) for name, vector, n in registry.db.execute(sql, (pack,))]


def select(registry: Registry, *, written: bool | None = None, origin: str | None = None) -> Iterator[FaceSet]:
    """Sets by number."""
    where, values = ["1"], list[object]()
    if written is not None:
        where.append("written = ?")
        values.append(written)
    if origin is not None:
        where.append("origin = ?")
        values.append(origin)
    sql = f"SELECT name, number, origin, pack, person_name FROM sets WHERE {' AND '.join(where)} ORDER BY number"
    return (_row(row) for row in registry.db.execute(sql, values))


def find(registry: Registry, name: str) -> FaceSet | None:
    """The set of this name."""
    row = registry.db.execute("SELECT name, number, origin, pack, person_name FROM sets WHERE name = ?", (name,)).fetchone()
    return None if row is None else _row(row)


def sizes(registry: Registry) -> Mapping[str, int]:
    """How many faces each set made here has."""
    return dict(registry.db.execute("SELECT set_name, count(*) FROM set_faces GROUP BY set_name ORDER BY set_name").fetchall())


def centroid_sizes(registry: Registry) -> Mapping[str, int]:
    """Of how many faces each set's centroid was made."""
    return dict(registry.db.execute("SELECT set_name, max(n) FROM centroids GROUP BY set_name ORDER BY set_name").fetchall())


def _row(row: sqlite3.Row) -> FaceSet:
    return FaceSet(row["name"], row["number"], row["origin"], row["pack"], row["person_name"])
