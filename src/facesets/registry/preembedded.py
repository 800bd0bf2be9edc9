"""Queries about photos whose faces came from their source together with the vectors, before any byte of them.

Such a photo is known by its ``source_key``: what stands for its bytes. It is MEASURED as long as these are not here.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence

from facesets.records import Face, Reason, State
from facesets.registry import measurements, photos
from facesets.registry.assets import REASONS_OF, ROWS, TO_BE_HAD, AssetRow, row_of
from facesets.registry.database import Registry

_HERE = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.STAGED, Reason.EMBED_ERROR)  # bytes that can be read, or may be
_TO_MEASURE = (Reason.LISTED, Reason.DOWNLOAD_ERROR, *_HERE)


def to_measure(registry: Registry, label: str, pack: str) -> array[int]:
    """Row ids of a user's photos whose faces this pack does not know, or may know anew, in canonical order."""
    sql = (
        f"SELECT id FROM assets AS a WHERE label = ? AND source = 'immich' AND boxes IS NOT NULL "
        f"AND (reason IN ({_marks(_TO_MEASURE)}) OR (reason = 'measured_by_source' AND NOT EXISTS "
        "(SELECT 1 FROM embedded AS e WHERE e.photo_id = a.photo_id AND e.pack = ? AND e.digest IS NOT NULL))) "
        "ORDER BY coalesce(taken_at, ''), asset_id"
    )
    return array("q", (row[0] for row in registry.db.execute(sql, (label, *_TO_MEASURE, pack))))


def source_digest(registry: Registry, source_key: str, pack: str) -> str | None:
    """The digest of what the source said of a photo's faces when they were recorded; None where that is to be asked (again)."""
    sql = "SELECT digest FROM embedded WHERE photo_id = ? AND pack = ?"
    row = registry.db.execute(sql, (photos.find(registry, source_key), pack)).fetchone()
    return None if row is None else row[0]


def set_source_digest(registry: Registry, source_key: str, pack: str, digest: str | None) -> None:
    """A photo's faces are recorded as its source has them."""
    registry.db.execute(
        "INSERT INTO embedded (photo_id, pack, reason, by_source, digest) VALUES (?, ?, 'embedded', 1, ?) "
        "ON CONFLICT DO UPDATE SET digest = excluded.digest",
        (photos.get_or_add(registry, source_key), pack, digest),
    )


def twin_of(registry: Registry, row_id: int, source_key: str) -> AssetRow | None:
    """Another asset of this photo that is measured, or whose bytes are here; the first listed of several."""
    wanted = (*_HERE, Reason.MEASURED)
    found = registry.db.execute(
        f"{ROWS} WHERE p.source_key = ? AND a.id <> ? AND a.reason IN ({_marks(wanted)}) ORDER BY a.id LIMIT 1",
        (source_key, row_id, *wanted),
    ).fetchone()
    return None if found is None else row_of(found)


def is_here(row: AssetRow) -> bool:
    """Whether the bytes of an asset are here, and no decoder has refused them."""
    return row.reason in _HERE


def settle_measured(registry: Registry, row: AssetRow, source_key: str, twin: AssetRow | None) -> Reason:
    """A photo's faces are on record; returns its reason. ``twin`` has the same bytes and is the one that counts.

    What the last download failed with is kept, and how often: failures of earlier runs are to be recognised.
    """
    if twin is not None:
        assert twin.photo_id is not None
        reason = Reason.DUP_STAGED if twin.label == row.label else Reason.DUP_EXISTING
        whose = "" if twin.label == row.label else f" of {twin.label}"
        registry.db.execute(
            "UPDATE assets SET reason = ?, detail = ?, kept_id = ?, photo_id = ? WHERE id = ?",
            (reason, f"same bytes as {twin.asset.asset_id}{whose}", twin.id, twin.photo_id, row.id),
        )
        return reason
    photos.set_source_key(registry, row.id, source_key)
    if is_here(row):
        registry.db.execute("UPDATE assets SET reason = 'embedded', detail = NULL WHERE id = ?", (row.id,))
        return Reason.EMBEDDED
    registry.db.execute(
        "UPDATE assets SET reason = 'measured_by_source', attempts = CASE WHEN ? THEN 0 ELSE attempts END, kept_id = NULL WHERE id = ?",
        (row.source_key is None, row.id),
    )
    return Reason.MEASURED


def members(registry: Registry, source_key: str, pack: str) -> set[str]:
    """The ids of a photo's faces that are in a set, planned or written."""
    sql = (
        "SELECT m.key FROM measurements AS m JOIN set_faces AS s ON s.measurement_id = m.id WHERE m.photo_id = ? AND m.pack = ? "
        "AND m.by_source = 1"
    )
    return {row[0] for row in registry.db.execute(sql, (photos.find(registry, source_key), pack))}


def forget(registry: Registry, pack: str) -> int:
    """Forget the faces, in no set, of photos that are not to be had any more; returns how many. Lost photos' stay counted."""
    alive = f"SELECT 1 FROM assets AS a WHERE a.photo_id = e.photo_id AND a.reason IN ({_marks(TO_BE_HAD)})"
    sql = f"SELECT e.photo_id FROM embedded AS e WHERE e.pack = ? AND e.by_source = 1 AND NOT EXISTS ({alive})"
    dead = [(row[0], pack) for row in registry.db.execute(sql, (pack, *TO_BE_HAD)).fetchall()]
    registry.db.executemany("DELETE FROM embedded WHERE photo_id = ? AND pack = ?", dead)
    keys = (
        "SELECT m.key FROM measurements AS m JOIN memberships AS s ON s.face_id = m.face_id WHERE m.photo_id = ? AND m.pack = ? "
        "AND m.by_source = 1 AND s.standing <> 'photo_lost' AND NOT EXISTS (SELECT 1 FROM set_faces AS x WHERE x.measurement_id = m.id)"
    )
    return sum(measurements.drop(registry, [row[0] for row in registry.db.execute(keys, one).fetchall()]) for one in dead)


def photo(registry: Registry, key: str) -> AssetRow | None:
    """The asset by which a photo may be had: here already, else to be fetched; else one of which it cannot, with the reason why."""
    order = " ".join(f"WHEN '{reason}' THEN {place}" for place, reason in enumerate(TO_BE_HAD))
    row = registry.db.execute(
        f"{ROWS} WHERE p.{photos.column(key)} = ? ORDER BY CASE a.reason {order} ELSE 99 END, a.id LIMIT 1", (key,)
    ).fetchone()
    return None if row is None else row_of(row)


def may_be_had(reason: Reason) -> bool:
    """Whether the bytes of an asset with this reason are here, or may come."""
    return reason in TO_BE_HAD


def ask_for(registry: Registry, row_id: int) -> None:
    """Have a photo's bytes fetched; what an earlier try failed with is kept."""
    registry.db.execute("UPDATE assets SET reason = 'listed', kept_id = NULL WHERE id = ?", (row_id,))


def relist_without_bytes(registry: Registry, label: str) -> None:
    """Decide again about all photos of a user that have no bytes here since none were needed: another pack needs them."""
    registry.db.execute(
        "UPDATE assets SET reason = 'listed', detail = NULL, kept_id = NULL WHERE label = ? "
        f"AND (reason = 'measured_by_source' OR (reason IN ({_marks(REASONS_OF[State.DUPLICATE])}) "
        "AND NOT EXISTS (SELECT 1 FROM photos AS p WHERE p.id = assets.photo_id AND p.sha256 IS NOT NULL)))",
        (label, *REASONS_OF[State.DUPLICATE]),
    )


def spared(registry: Registry) -> tuple[int, int]:
    """How many originals never had to come, and their bytes as far as these are known."""
    sql = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM assets WHERE reason = 'measured_by_source'"
    photos_spared, size = registry.db.execute(sql).fetchone()
    return photos_spared, size


def set_landmarks(registry: Registry, face: Face) -> None:
    """Keep where a face's landmarks lie in the picture that is here, and its signals."""
    landmarks, signals = json.dumps(face.landmarks), json.dumps(dict(face.signals), sort_keys=True)
    registry.db.execute("UPDATE measurements SET landmarks = ?, signals = ? WHERE key = ?", (landmarks, signals, face.face_id))


def lose(registry: Registry, key: str, pack: str, was_for: str, why: str) -> None:
    """A photo cannot be had: its faces that are nobody's yet say so."""
    registry.db.execute(
        "UPDATE memberships SET standing = 'photo_lost', was_for = ?, note = ?, distance = NULL WHERE person_id IS NULL AND pack = ? "
        "AND standing <> 'not_measured' AND face_id IN (SELECT id FROM faces WHERE photo_id = ?)",
        (was_for, why, pack, photos.find(registry, key)),
    )


def leave_out(registry: Registry, name: str, face_ids: Sequence[str], why: str) -> None:
    """These faces are no members of a planned set any more."""
    of_face = "(SELECT id FROM measurements WHERE key = ?)"
    registry.db.executemany(
        f"DELETE FROM set_faces WHERE set_id = (SELECT id FROM sets WHERE name = ?) AND measurement_id = {of_face}",
        ((name, face_id) for face_id in face_ids),
    )
    registry.db.executemany(
        "UPDATE memberships SET standing = 'photo_lost', was_for = ?, note = ? WHERE face_id = (SELECT face_id FROM "
        "measurements WHERE key = ?)",
        ((name, why, face_id) for face_id in face_ids),
    )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
