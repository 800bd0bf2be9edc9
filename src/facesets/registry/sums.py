"""Queries that check the books: read as they stand in the tables, whatever a reason is called there."""

from __future__ import annotations

from . import Registry


def by_raw_reason(registry: Registry, table: str) -> tuple[int, dict[str, int]]:
    """All rows of ``assets`` or ``faces``, counted at once and by their reason's text."""
    assert table in ("assets", "faces")
    (total,) = registry.db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return total, dict(registry.db.execute(f"SELECT reason, count(*) FROM {table} GROUP BY reason ORDER BY reason").fetchall())


def members_astray(registry: Registry) -> list[tuple[str, str]]:
    """``(set, face_id)`` of faces that say they are in a set which does not list them, and of listed ones that are no face here."""
    return [
        tuple(row)
        for row in registry.db.execute(
            "SELECT set_name, face_id FROM faces WHERE reason = 'member' "
            "EXCEPT SELECT set_name, face_id FROM set_faces "
            "UNION SELECT set_name, face_id FROM set_faces WHERE face_id NOT IN (SELECT face_id FROM faces) ORDER BY 1, 2"
        )
    ]
