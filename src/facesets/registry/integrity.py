"""Queries that check whether the registry agrees with itself: read as it stands in the tables, whatever a reason is called there."""

from __future__ import annotations

from facesets.registry.database import Registry

_COLUMN = {"assets": "reason", "memberships": "standing"}


def by_raw_reason(registry: Registry, table: str) -> tuple[int, dict[str, int]]:
    """All rows of ``assets`` or ``memberships`` (a face each), counted at once and by their reason's text."""
    column = _COLUMN[table]
    (total,) = registry.db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return total, dict(registry.db.execute(f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 1").fetchall())


def faces_without_standing(registry: Registry) -> int:
    """How many faces have none, which must be none."""
    sql = "SELECT count(*) FROM faces AS f WHERE NOT EXISTS (SELECT 1 FROM memberships AS s WHERE s.face_id = f.id)"
    return int(registry.db.execute(sql).fetchone()[0])


def members_astray(registry: Registry) -> list[tuple[str, str]]:
    """``(set, face_id)`` of faces that are members of a set made here which does not list them, and of listed ones that are none."""
    listed = (
        "SELECT t.person_id, m.face_id FROM set_faces AS f JOIN sets AS t ON t.id = f.set_id JOIN measurements AS m ON m.id = "
        "f.measurement_id "
        "WHERE t.retired = 0 AND t.kind = 'canonical'"  # an era follows with its folder
    )
    stand = (
        "SELECT s.person_id, s.face_id FROM memberships AS s JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical' "
        "WHERE s.standing = 'member' AND t.retired = 0"
    )
    return [
        (name, key)
        for name, key in registry.db.execute(
            f"SELECT t.name, (SELECT min(key) FROM measurements WHERE face_id = o.face_id) FROM (SELECT * FROM ({stand} EXCEPT "
            f"{listed}) "
            f"UNION SELECT * FROM ({listed} EXCEPT {stand})) AS o JOIN sets AS t ON t.person_id = o.person_id AND t.kind = 'canonical' "
            "ORDER BY 1, 2"
        )
    ]
