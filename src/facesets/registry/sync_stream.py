"""Queries about faces and people as Immich's sync stream names them: by their own ids, as its increments do."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

from facesets.records import FaceBox, Reason
from facesets.registry.assets import ROWS, AssetRow, row_of, set_boxes
from facesets.registry.database import Registry


def clear(registry: Registry, label: str) -> None:
    """Forget all that was streamed for a user."""
    registry.db.execute("DELETE FROM source_faces WHERE label = ?", (label,))
    registry.db.execute("DELETE FROM source_people WHERE label = ?", (label,))


def put_faces(registry: Registry, label: str, faces: Iterable[tuple[str, str, FaceBox]]) -> None:
    """Keep faces: face id, asset id, box."""
    registry.db.executemany(
        "INSERT OR REPLACE INTO source_faces (label, face_id, asset_id, person_id, box) VALUES (?, ?, ?, ?, ?)",
        (
            (label, face_id, asset_id, box.person_id, json.dumps([box.x1, box.y1, box.x2, box.y2, box.image_width, box.image_height]))
            for face_id, asset_id, box in faces
        ),
    )


def asset_of(registry: Registry, label: str, face_id: str) -> str | None:
    """Whose face it is, if it is known."""
    row = registry.db.execute("SELECT asset_id FROM source_faces WHERE label = ? AND face_id = ?", (label, face_id)).fetchone()
    return None if row is None else str(row[0])


def drop_faces(registry: Registry, label: str, face_ids: Iterable[str]) -> None:
    """Forget faces."""
    registry.db.executemany("DELETE FROM source_faces WHERE label = ? AND face_id = ?", ((label, face_id) for face_id in face_ids))


def boxes(registry: Registry, label: str, asset_ids: Iterable[str] | None = None) -> Iterator[tuple[str, tuple[FaceBox, ...]]]:
    """The faces of these assets, or of all that have any, in the order of the asset ids."""
    sql = (
        "SELECT f.asset_id, f.face_id, f.person_id, f.box, p.name FROM source_faces AS f "
        "LEFT JOIN source_people AS p ON p.label = f.label AND p.person_id = f.person_id WHERE f.label = ? "
    )
    if asset_ids is None:
        for asset_id, rows in groupby(registry.db.execute(sql + "ORDER BY f.asset_id", (label,)), key=lambda row: row[0]):
            yield asset_id, _boxes(rows)
        return
    for asset_id in asset_ids:
        yield asset_id, _boxes(registry.db.execute(sql + "AND f.asset_id = ?", (label, asset_id)))


def apply(registry: Registry, reported: Sequence[tuple[AssetRow, tuple[FaceBox, ...]]]) -> None:
    """Give assets their faces; one that was left aside for others, or for none, is decided about again."""
    for row, source_boxes in reported:
        set_boxes(registry, row.id, source_boxes)
    registry.db.executemany(
        "UPDATE assets SET reason = 'listed', detail = NULL WHERE id = ? AND reason IN ('no_faces', 'no_big_face', 'not_scanned', "
        "'faces_error', 'measured_by_source')",
        ((row.id,) for row, _ in reported if row.reason is not Reason.LISTED),
    )


def set_faceless(registry: Registry, label: str, owner_id: str) -> int:
    """The owner's assets whose faces nobody has told have none, since the stream has told them all; returns how many."""
    return registry.db.execute(
        "UPDATE assets SET boxes = '[]', reason = CASE reason WHEN 'faces_error' THEN 'listed' ELSE reason END "
        "WHERE label = ? AND owner_id = ? AND boxes IS NULL",
        (label, owner_id),
    ).rowcount


def bereft(registry: Registry, label: str, owner_id: str) -> list[AssetRow]:
    """The owner's assets that are said to have faces, though none was streamed."""
    sql = (
        f"{ROWS} WHERE a.label = ? AND a.owner_id = ? AND a.boxes <> '[]' "
        "AND NOT EXISTS (SELECT 1 FROM source_faces AS f WHERE f.label = a.label AND f.asset_id = a.asset_id)"
    )
    return [row_of(row) for row in registry.db.execute(sql, (label, owner_id))]


def rows(registry: Registry, owner_id: str, asset_ids: Collection[str]) -> list[AssetRow]:
    """The owner's assets with these ids (some thousands at most), as far as they are known."""
    sql = f"{ROWS} WHERE a.owner_id = ? AND a.asset_id IN ({', '.join('?' * len(asset_ids))}) ORDER BY a.asset_id"
    return [row_of(row) for row in registry.db.execute(sql, (owner_id, *asset_ids))]


def _boxes(found: Iterable[tuple[str, str, str | None, str, str | None]]) -> tuple[FaceBox, ...]:
    made = []
    for _, face_id, person_id, place, name in found:
        x1, y1, x2, y2, width, height = json.loads(place)
        made.append(FaceBox(x1, y1, x2, y2, width, height, face_id, person_id, name or None))
    return tuple(sorted(made, key=lambda box: (box.x1, box.y1, box.x2, box.y2, box.face_id)))
