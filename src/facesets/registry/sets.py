"""Queries about sets: numbers, members, files and centroids. A set is planned first and written after.

Each canonical set has its person, whose number and name it bears.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facesets.records import Centroid, FaceSet
from facesets.registry.database import Registry

_HIGHEST = "highest_number"
_SETS = "SELECT s.name, p.number, s.origin, s.pack, p.name AS person_name FROM sets AS s JOIN people AS p ON p.id = s.person_id"


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a set: path below the set's folder (POSIX), size, SHA-256; time and inode, by which it is known to be unchanged."""

    path: str
    size: int
    sha256: str
    mtime_ns: int | None = field(default=None, compare=False)
    inode: int | None = field(default=None, compare=False)


def add(registry: Registry, faceset: FaceSet, run_id: int, *, written: bool) -> None:
    """Record a set and its person; its number counts as used from now on, whatever becomes of it."""
    person = registry.db.execute("INSERT INTO people (number, name) VALUES (?, ?)", (faceset.number, faceset.person_name)).lastrowid
    registry.db.execute(
        "INSERT INTO sets (person_id, name, origin, pack, written, run_id) VALUES (?, ?, ?, ?, ?, ?)",
        (person, faceset.name, faceset.origin, faceset.pack, written, run_id),
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
    registry.db.executemany(
        "INSERT INTO set_faces (set_id, rank, measurement_id, distance) "
        "VALUES ((SELECT id FROM sets WHERE name = ?), ?, (SELECT id FROM measurements WHERE key = ?), ?)",
        ((name, rank, face_id, distance) for rank, (face_id, distance) in enumerate(members, 1)),
    )


def members(registry: Registry, name: str) -> list[tuple[int, str, float]]:
    """``(rank, face_id, distance)`` of a set, best first."""
    sql = (
        "SELECT f.rank, m.key, f.distance FROM set_faces AS f JOIN measurements AS m ON m.id = f.measurement_id "
        "WHERE f.set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY f.rank"
    )
    return [(rank, key, distance) for rank, key, distance in registry.db.execute(sql, (name,))]


def member_files(registry: Registry, name: str) -> list[tuple[str, float, str | None]]:
    """``(face_id, distance, file)`` of a set, best first; ``file`` is None of a face whose crop is still to come into the folder."""
    sql = (
        "SELECT m.key, f.distance, f.file FROM set_faces AS f JOIN measurements AS m ON m.id = f.measurement_id "
        "WHERE f.set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY f.rank"
    )
    return [(key, distance, file) for key, distance, file in registry.db.execute(sql, (name,))]


def files_by_measurement(registry: Registry, name: str) -> list[tuple[int, str | None]]:
    """Each member's row of measurements, and its file."""
    sql = "SELECT measurement_id, file FROM set_faces WHERE set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY rank"
    return [(row[0], row[1]) for row in registry.db.execute(sql, (name,))]


def is_empty(registry: Registry, name: str) -> bool:
    """Whether a set has no member."""
    sql = "SELECT NOT EXISTS (SELECT 1 FROM set_faces WHERE set_id = (SELECT id FROM sets WHERE name = ?))"
    return bool(registry.db.execute(sql, (name,)).fetchone()[0])


def ids(registry: Registry) -> dict[int, str]:
    """Row of each set -> its name."""
    return dict(registry.db.execute("SELECT id, name FROM sets").fetchall())


def add_all_members(registry: Registry, name: str, face_ids: Sequence[str]) -> None:
    """More faces in a set, behind the others; those that are there already stay where they are."""
    there = {key for _, key, _ in members(registry, name)}
    (set_id,) = registry.db.execute("SELECT id FROM sets WHERE name = ?", (name,)).fetchone()
    (last,) = registry.db.execute("SELECT coalesce(max(rank), 0) FROM set_faces WHERE set_id = ?", (set_id,)).fetchone()
    new = [key for key in dict.fromkeys(face_ids) if key not in there]
    registry.db.executemany(
        "INSERT INTO set_faces (set_id, rank, measurement_id, distance) VALUES (?, ?, (SELECT id FROM measurements WHERE key = ?), 0)",
        ((set_id, rank, key) for rank, key in enumerate(new, last + 1)),
    )


def set_pack(registry: Registry, name: str, pack: str) -> None:
    """A set goes by another pack than was recorded; its faces are the caller's."""
    registry.db.execute("UPDATE sets SET pack = ? WHERE name = ?", (pack, name))


def change_pack(registry: Registry, name: str, pack: str) -> None:
    """A set's faces go by what another pack, which has measured each of them, says."""
    registry.db.execute(
        "UPDATE set_faces SET measurement_id = (SELECT min(o.id) FROM measurements AS m JOIN measurements AS o USING (face_id) "
        "WHERE o.pack = ? AND m.id = set_faces.measurement_id) WHERE set_id = (SELECT id FROM sets WHERE name = ?)",
        (pack, name),
    )
    set_pack(registry, name, pack)


def remove_member(registry: Registry, face_id: str) -> tuple[str, str | None] | None:
    """Take a face, by whichever of its measurements, out of its set: the set's name and the crop's file; None where it is in none."""
    row = registry.db.execute(
        "SELECT f.set_id, f.measurement_id, t.name, f.file FROM measurements AS k JOIN measurements AS m ON m.face_id = k.face_id "
        "JOIN set_faces AS f ON f.measurement_id = m.id JOIN sets AS t ON t.id = f.set_id WHERE k.key = ? AND t.kind = 'canonical'",
        (face_id,),
    ).fetchone()
    if row is None:
        return None
    registry.db.execute("DELETE FROM set_faces WHERE set_id = ? AND measurement_id = ?", (row[0], row[1]))
    return row[2], row[3]


def set_members(registry: Registry, name: str, members: Sequence[tuple[str, float, str | None]]) -> None:
    """A set has these faces, best first: ``(face_id, distance, file)``."""
    (set_id,) = registry.db.execute("SELECT id FROM sets WHERE name = ?", (name,)).fetchone()
    registry.db.execute("DELETE FROM set_faces WHERE set_id = ?", (set_id,))
    registry.db.executemany(
        "INSERT INTO set_faces (set_id, rank, measurement_id, distance, file) "
        "VALUES (?, ?, (SELECT id FROM measurements WHERE key = ?), ?, ?)",
        ((set_id, rank, key, distance, file) for rank, (key, distance, file) in enumerate(members, 1)),
    )
    registry.db.executemany(
        "UPDATE memberships SET distance = ? WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?) AND standing = 'member'",
        ((distance, key) for key, distance, _ in members),
    )


def set_retired(registry: Registry, name: str, *, retired: bool) -> None:
    """A set's folder is to go, or to be there again. What its faces are is the caller's."""
    registry.db.execute("UPDATE sets SET retired = ? WHERE name = ?", (retired, name))


def next_revision(registry: Registry, name: str, *, written: bool) -> None:
    """The set's folder is another one than before."""
    registry.db.execute("UPDATE sets SET revision = revision + 1, written = ? WHERE name = ?", (written, name))


def hashes(registry: Registry, name: str, paths: Iterable[str]) -> dict[str, str]:
    """Path -> SHA-256 of a set's recorded files among ``paths``."""
    sql = "SELECT f.sha256 FROM set_files AS f JOIN sets AS s ON s.id = f.set_id WHERE s.name = ? AND f.path = ?"
    found = ((path, registry.db.execute(sql, (name, path)).fetchone()) for path in paths)
    return {path: row[0] for path, row in found if row is not None}


def all_files(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """``(sha256, set, path)`` of every recorded file of every set."""
    sql = "SELECT f.sha256, s.name, f.path FROM set_files AS f JOIN sets AS s ON s.id = f.set_id ORDER BY s.name, f.path"
    return (tuple(row) for row in registry.db.execute(sql))


def drop_planned(registry: Registry, name: str) -> None:
    """A planned set will not be; its number stays used, and its faces are free again."""
    db = registry.db
    set_id, person = db.execute("SELECT id, person_id FROM sets WHERE name = ? AND written = 0", (name,)).fetchone()
    db.execute("DELETE FROM set_faces WHERE set_id = ?", (set_id,))
    db.execute("DELETE FROM set_files WHERE set_id = ?", (set_id,))
    db.execute("DELETE FROM sets WHERE id = ?", (set_id,))
    db.execute("DELETE FROM centroids WHERE person_id = ?", (person,))
    db.execute(
        "UPDATE memberships SET standing = CASE WHEN standing = 'photo_lost' THEN standing ELSE 'new' END, person_id = NULL, "
        "distance = NULL "
        "WHERE person_id = ?",
        (person,),
    )
    db.execute("UPDATE memberships SET runner_up_id = NULL, runner_up_distance = NULL WHERE runner_up_id = ?", (person,))
    db.execute("DELETE FROM people WHERE id = ?", (person,))


def retire(registry: Registry, name: str) -> None:
    """A set's folder is gone for good. Its person stays known, so that no run makes the set anew; its number stays used."""
    registry.db.execute("UPDATE sets SET retired = 1 WHERE name = ?", (name,))
    for table in ("set_faces", "set_files"):
        registry.db.execute(f"DELETE FROM {table} WHERE set_id = (SELECT id FROM sets WHERE name = ?)", (name,))
    registry.db.execute(
        "UPDATE memberships SET standing = 'recognised', decided_by = 'decision' WHERE standing = 'member' "
        "AND person_id = (SELECT person_id FROM sets WHERE name = ?)",
        (name,),
    )


def rename(registry: Registry, name: str, to: str) -> None:
    """A set's folder has another name; its number is its person's and stays."""
    registry.db.execute("UPDATE sets SET name = ? WHERE name = ?", (to, name))


def leave_out_files(registry: Registry, name: str, files: Iterable[str]) -> None:
    """The owner took these files out of a set: their faces are no members any more, and no run puts them back."""
    for file in files:
        row = registry.db.execute(
            "SELECT f.set_id, f.rank, m.face_id FROM set_faces AS f JOIN sets AS s ON s.id = f.set_id "
            "JOIN measurements AS m ON m.id = f.measurement_id WHERE s.name = ? AND f.file = ?",
            (name, file),
        ).fetchone()
        if row is not None:
            registry.db.execute("DELETE FROM set_faces WHERE set_id = ? AND rank = ?", (row[0], row[1]))
            registry.db.execute("UPDATE memberships SET standing = 'removed', decided_by = 'decision' WHERE face_id = ?", (row[2],))


def take_members(registry: Registry, name: str, members: Sequence[tuple[str, float, str]]) -> list[str]:
    """A set's folder holds exactly these faces: ``(face_id, distance, file)``, best first. Returns those that it held before.

    The faces are in no other set then. What becomes of the others is the caller's.
    """
    before = [key for key, _, _ in member_files(registry, name)]
    keys = [key for key, _, _ in members]
    registry.db.execute(
        "DELETE FROM set_faces WHERE measurement_id IN (SELECT o.id FROM json_each(?) AS k JOIN measurements AS m ON m.key = k.value "
        "JOIN measurements AS o USING (face_id)) AND set_id IN (SELECT id FROM sets WHERE kind = 'canonical')",
        (json.dumps(keys),),
    )
    registry.db.executemany(
        "UPDATE memberships SET standing = 'member', decided_by = 'decision', runner_up_id = NULL, runner_up_distance = NULL, "
        "ambiguous = 0, gate_has = NULL, gate_needs = NULL, better_key = NULL, was_for = NULL, note = NULL, "
        "person_id = (SELECT person_id FROM sets WHERE name = ?) WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        ((name, key) for key in keys),
    )
    set_members(registry, name, members)
    return [key for key in before if key not in set(keys)]


def forget_centroids(registry: Registry, name: str) -> None:
    """The set's centroids are of faces that it has no longer."""
    registry.db.execute("DELETE FROM centroids WHERE person_id = (SELECT person_id FROM sets WHERE name = ?)", (name,))


def whole_centroids(registry: Registry, name: str) -> list[tuple[str, int, bytes]]:
    """``(pack, n, float64)`` of each pack's centroid of all of a set's person."""
    sql = (
        "SELECT pack, n, vector FROM centroids WHERE year_to = 0 AND person_id = (SELECT person_id FROM sets WHERE name = ?) "
        "ORDER BY pack"
    )
    return [(pack, n, vector) for pack, n, vector in registry.db.execute(sql, (name,))]


def set_files(registry: Registry, name: str, files: Iterable[FileFact]) -> None:
    """Remember a set's files as they are now: what verify compares with."""
    (set_id,) = registry.db.execute("SELECT id FROM sets WHERE name = ?", (name,)).fetchone()
    registry.db.execute("DELETE FROM set_files WHERE set_id = ?", (set_id,))
    rows = ((set_id, file.path, file.size, file.mtime_ns, file.inode, file.sha256) for file in files)
    registry.db.executemany("INSERT INTO set_files VALUES (?, ?, ?, ?, ?, ?)", rows)


def files(registry: Registry, name: str) -> list[FileFact]:
    """A set's files as they were recorded, by path."""
    sql = "SELECT path, size, sha256, mtime_ns, inode FROM set_files WHERE set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY path"
    return [FileFact(*row) for row in registry.db.execute(sql, (name,))]


def files_by_set(registry: Registry) -> dict[str, list[FileFact]]:
    """:func:`files` of every set, by its name."""
    named = dict(registry.db.execute("SELECT id, name FROM sets").fetchall())
    found: dict[str, list[FileFact]] = {}
    for set_id, path, size, sha256 in registry.db.execute("SELECT set_id, path, size, sha256 FROM set_files ORDER BY set_id, path"):
        found.setdefault(named[set_id], []).append(FileFact(path, size, sha256))
    return found


def stamps(registry: Registry) -> dict[str, dict[str, tuple[int, int | None, int | None]]]:
    """Size, time and inode of every set's files as they were recorded, by the set's name and path."""
    sql = "SELECT s.name, f.path, f.size, f.mtime_ns, f.inode FROM sets AS s JOIN set_files AS f ON f.set_id = s.id ORDER BY s.id"
    found: dict[str, dict[str, tuple[int, int | None, int | None]]] = {}
    for name, path, size, mtime, inode in registry.db.execute(sql):
        found.setdefault(name, {})[path] = (size, mtime, inode)
    return found


def mark_written(registry: Registry, name: str, files_of: Sequence[str] = ()) -> None:
    """The set's folder is on disk, whole; ``files_of``: each member's file in the order of the members."""
    ranked = registry.db.execute(
        "SELECT set_id, rank FROM set_faces WHERE set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY rank", (name,)
    ).fetchall()
    named = [(file, *row) for file, row in zip(files_of, ranked, strict=True)] if files_of else []
    registry.db.executemany("UPDATE set_faces SET file = ? WHERE set_id = ? AND rank = ?", named)
    registry.db.execute("UPDATE sets SET written = 1 WHERE name = ?", (name,))


def set_centroid(registry: Registry, pack: str, centroid: Centroid) -> None:
    """Keep the centroid of all of a set's person for a pack."""
    registry.db.execute(
        "INSERT INTO centroids (person_id, pack, n, vector) VALUES ((SELECT person_id FROM sets WHERE name = ?), ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET n = excluded.n, vector = excluded.vector",
        (centroid.name, pack, centroid.n, np.ascontiguousarray(centroid.vector, "<f8").tobytes()),
    )


def set_averages(registry: Registry, name: str, pack: str, spans: Sequence[tuple[int, int, int, NDArray[np.float64]]]) -> None:
    """Keep what a person is known by beside the centroid of the set: ``(first year, last year, faces, vector)`` of each."""
    (person,) = registry.db.execute("SELECT person_id FROM sets WHERE name = ?", (name,)).fetchone()
    registry.db.execute("DELETE FROM centroids WHERE person_id = ? AND pack = ? AND year_to > 0", (person, pack))
    registry.db.executemany(
        "INSERT INTO centroids (person_id, pack, year_from, year_to, n, vector) VALUES (?, ?, ?, ?, ?, ?)",
        ((person, pack, a, b, n, np.ascontiguousarray(vector, "<f8").tobytes()) for a, b, n, vector in spans),
    )


def known_faces(registry: Registry, pack: str) -> dict[str, str]:
    """Canonical set -> what tells whether its faces (members, recognised ones), or its centroids for a pack, are others than before."""
    sql = (
        "SELECT s.name, count(m.face_id), coalesce(sum(m.face_id), 0), (SELECT count(*) FROM centroids AS c "
        "WHERE c.person_id = s.person_id AND c.pack = ?) AS kept FROM sets AS s JOIN memberships AS m ON m.person_id = s.person_id "
        "AND m.standing IN ('member', 'recognised') WHERE s.kind = 'canonical' GROUP BY s.id HAVING kept > 0"
    )
    return {name: f"{count}:{total}:{kept}" for name, count, total, kept in registry.db.execute(sql, (pack,))}


def centroids(registry: Registry, pack: str, *, whole: bool = False) -> list[Centroid]:
    """The centroids of all people with a set for a pack, by its name, that of the set first; ``whole``: that one alone.

    A person who is known by several averages has several; who turned out to be another has none.
    """
    sql = (
        "SELECT s.name, c.vector, c.n FROM centroids AS c JOIN sets AS s ON s.person_id = c.person_id AND s.kind = 'canonical' "
        "JOIN people AS p ON p.id = c.person_id WHERE c.pack = ? AND c.year_to <= ? AND p.standing <> 'merged' "
        "ORDER BY s.name, c.year_to > 0, c.year_from, c.year_to"
    )
    return [
        Centroid(name, np.frombuffer(vector, "<f8"), n) for name, vector, n in registry.db.execute(sql, (pack, 0 if whole else 9999))
    ]


def select(registry: Registry, *, written: bool | None = None, origin: str | None = None, retired: bool = False) -> Iterator[FaceSet]:
    """Canonical sets by number: those that there are, or those that were ``retired``."""
    where, values = ["s.kind = 'canonical'", "s.retired = ?"], list[object]([retired])
    if written is not None:
        where.append("s.written = ?")
        values.append(written)
    if origin is not None:
        where.append("s.origin = ?")
        values.append(origin)
    sql = f"{_SETS} WHERE {' AND '.join(where)} ORDER BY p.number"
    return (_row(row) for row in registry.db.execute(sql, values))


def wanting(registry: Registry) -> list[FaceSet]:
    """Written sets whose folder is still to follow what was decided, by number."""
    revising = "EXISTS (SELECT 1 FROM changes AS c, json_each(c.payload, '$.sets') AS j WHERE c.state = 'planned' AND c.kind = 'act' "
    sql = f"{_SETS} WHERE s.written = 1 AND s.retired = 0 AND {revising}AND j.value = s.name) ORDER BY p.number"
    return [_row(row) for row in registry.db.execute(sql)]


def find(registry: Registry, name: str) -> FaceSet | None:
    """The set of this name."""
    row = registry.db.execute(f"{_SETS} WHERE s.name = ?", (name,)).fetchone()
    return None if row is None else _row(row)


def sizes(registry: Registry) -> Mapping[str, int]:
    """How many faces each set made here has."""
    sql = "SELECT s.name, count(*) FROM set_faces AS f JOIN sets AS s ON s.id = f.set_id GROUP BY s.id ORDER BY s.name"
    return dict(registry.db.execute(sql).fetchall())


def _row(row: sqlite3.Row) -> FaceSet:
    return FaceSet(row["name"], row["number"], row["origin"], row["pack"], row["person_name"])
