"""Queries about what the images that an owner put into a set look like: a vector each, as they were when the set became known.

What was once there stays known: a face that such an image shows is in the set by its owner's hand, or was left out by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facesets.registry.database import Registry

_FLOATS = np.dtype("<f4")
_THEIRS = (  # a person's, and those who turned out to be that person
    "WITH RECURSIVE part (id) AS (SELECT ?1 UNION SELECT p.id FROM people AS p JOIN part ON p.merged_into = part.id) "
    "SELECT v.pack, v.vector FROM part JOIN sets AS s ON s.person_id = part.id JOIN own_images AS v ON v.set_id = s.id "
    "ORDER BY v.pack, v.set_id, v.sha256"
)


def add(registry: Registry, set_name: str, pack: str, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
    """Keep ``(SHA-256, vector)`` of images in a set; float32 [d]. Joins the caller's transaction."""
    registry.db.executemany(
        "INSERT OR REPLACE INTO own_images (set_id, sha256, pack, vector) VALUES ((SELECT id FROM sets WHERE name = ?), ?, ?, ?)",
        ((set_name, sha256, pack, np.ascontiguousarray(vector, _FLOATS).tobytes()) for sha256, vector in vectors if sha256),
    )


def known(registry: Registry, pack: str) -> set[str]:
    """The sets of whose images any is known by this pack."""
    sql = "SELECT DISTINCT s.name FROM own_images AS v JOIN sets AS s ON s.id = v.set_id WHERE v.pack = ?"
    return {row[0] for row in registry.db.execute(sql, (pack,))}


def of_person(registry: Registry, person: int) -> dict[str, NDArray[np.float32]]:
    """Pack -> vectors (float32 [n, d]) of the images in the sets of a person (by its id), and of who was merged into it."""
    found: dict[str, list[bytes]] = {}
    for pack, vector in registry.db.execute(_THEIRS, (person,)):
        found.setdefault(pack, []).append(vector)
    return {pack: _stacked(rows) for pack, rows in found.items()}


def recognised(registry: Registry, person: int, pack: str) -> tuple[list[str], NDArray[np.float32]]:
    """The faces recognised as a person (by its id) that this pack has measured: keys, each of the measure that decided on the face, and
    vectors (float32 [n, d]) of the pack.
    """
    sql = (
        "SELECT m.key, v.vector FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "
        "JOIN measurements AS v ON v.face_id = s.face_id AND v.pack = ? "
        "WHERE s.person_id = ? AND s.standing = 'recognised' AND length(v.vector) > 0"
    )
    rows = registry.db.execute(sql, (pack, person)).fetchall()
    return [key for key, _ in rows], _stacked([vector for _, vector in rows])


def _stacked(rows: Sequence[bytes]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(row, _FLOATS) for row in rows]) if rows else np.empty((0, 0), np.float32)
