"""Queries for the lists behind an accounting: the assets, or the faces, that have one reason; a part of a long list at a time."""

from __future__ import annotations

from dataclasses import dataclass

from facesets.records import Reason
from facesets.registry.database import Registry
from facesets.registry.photos import first_taken


@dataclass(frozen=True, slots=True)
class ListedAsset:
    """An asset of a list; ``faces`` are ids of the first few faces of its photo."""

    id: int
    label: str
    asset_id: str
    source: str
    file_name: str
    taken_at: str | None
    detail: str | None
    faces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StandingFace:
    """A face of a list, and of which photo."""

    key: str
    taken_at: str | None
    file_name: str | None


def assets(registry: Registry, reason: Reason, *, first: int, most: int, faces: int = 3) -> list[ListedAsset]:
    """The assets with this reason from the one at ``first`` on, by user and in the order of their listing."""
    rows = registry.db.execute(
        "SELECT id, label, asset_id, source, file_name, original_path, taken_at, detail, photo_id FROM assets "
        "WHERE reason = ? ORDER BY label, id LIMIT ? OFFSET ?",
        (str(reason), most, first),
    ).fetchall()
    sql = (
        "SELECT m.key FROM memberships AS s JOIN faces AS f ON f.id = s.face_id JOIN measurements AS m ON m.face_id = f.id "
        "AND m.pack = s.pack WHERE f.photo_id = ? ORDER BY f.x1, f.id LIMIT ?"
    )
    found = []
    for number, label, asset_id, source, name, path, taken_at, detail, photo in rows:
        keys = () if photo is None else tuple(row[0] for row in registry.db.execute(sql, (photo, faces)))
        found.append(ListedAsset(number, label, asset_id, source, name or path or asset_id, taken_at, detail, keys))
    return found


def faces(registry: Registry, reason: Reason, *, first: int, most: int) -> list[StandingFace]:
    """The faces with this reason from the one at ``first`` on, the largest first."""
    rows = registry.db.execute(
        f"SELECT m.key, {first_taken('m.photo_id')}, "
        "(SELECT a.file_name FROM assets AS a WHERE a.photo_id = m.photo_id ORDER BY a.kept_id IS NOT NULL, a.id LIMIT 1) "
        "FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack WHERE s.standing = ? "
        "ORDER BY m.face_short DESC, m.key LIMIT ? OFFSET ?",
        (str(reason), most, first),
    )
    return [StandingFace(*row) for row in rows]
