"""Queries about era sets: parts of a person by years, in folders of their own beside the canonical set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facesets.registry.database import Registry


@dataclass(frozen=True, slots=True)
class EraSet:
    """An era of the set ``of``: first and last year, and its folder ``name``, which lies below ``_thin/`` where it has few faces."""

    name: str
    of: str
    number: int
    first: int
    last: int
    thin: bool
    faces: int

    @property
    def years(self) -> str:
        """``2012-2016``."""
        return f"{self.first}-{self.last}"


def select(registry: Registry, of: str | None = None) -> list[EraSet]:
    """The eras there are, of one set or of all; by number and year."""
    sql = (
        "SELECT e.name, c.name, p.number, e.year_from, e.year_to, e.thin, (SELECT count(*) FROM set_faces WHERE set_id = e.id) "
        "FROM sets AS e JOIN people AS p ON p.id = e.person_id JOIN sets AS c ON c.person_id = p.id AND c.kind = 'canonical' "
        "WHERE e.kind = 'era' AND e.retired = 0 AND (?1 IS NULL OR c.name = ?1) ORDER BY p.number, e.year_from"
    )
    rows = registry.db.execute(sql, (of,))
    return [EraSet(name, own, number, a, b, bool(thin), n) for name, own, number, a, b, thin, n in rows]


def put(registry: Registry, era: EraSet, members: Sequence[tuple[str, float, str]]) -> None:
    """An era is on disk with these faces, best first: ``(face_id, distance, file)``. What it was before is forgotten."""
    db = registry.db
    db.execute(
        "INSERT INTO sets (person_id, kind, year_from, year_to, thin, name, origin, pack, written, run_id) "
        "SELECT person_id, 'era', ?, ?, ?, ?, 'made', pack, 1, run_id FROM sets WHERE name = ? "
        "ON CONFLICT (name) DO UPDATE SET revision = revision + 1, retired = 0, thin = excluded.thin",
        (era.first, era.last, era.thin, era.name, era.of),
    )
    (set_id,) = db.execute("SELECT id FROM sets WHERE name = ?", (era.name,)).fetchone()
    db.execute("DELETE FROM set_faces WHERE set_id = ?", (set_id,))
    db.executemany(
        "INSERT INTO set_faces (set_id, rank, measurement_id, distance, file) "
        "VALUES (?, ?, (SELECT id FROM measurements WHERE key = ?), ?, ?)",
        ((set_id, rank, key, distance, file) for rank, (key, distance, file) in enumerate(members, 1)),
    )


def retire(registry: Registry, name: str) -> None:
    """An era is no more; its folder is gone, or in the history."""
    db = registry.db
    db.execute("DELETE FROM set_faces WHERE set_id = (SELECT id FROM sets WHERE name = ?)", (name,))
    db.execute("DELETE FROM set_files WHERE set_id = (SELECT id FROM sets WHERE name = ?)", (name,))
    db.execute("UPDATE sets SET retired = 1, written = 0 WHERE name = ? AND kind = 'era'", (name,))


def scan_days(registry: Registry, more_than: int) -> set[str]:
    """Days (ISO 8601) on which one owner's source dates more photos than that; none for 0."""
    sql = "SELECT substr(taken_at, 1, 10) FROM assets WHERE taken_at IS NOT NULL GROUP BY owner_id, 1 HAVING count(*) > ?"
    return {row[0] for row in registry.db.execute(sql, (more_than,))} if more_than else set()
