"""Queries about photos whose faces their source has told together with the vectors, before any byte of them came.

Such a photo is known by its ``content``: what stands for its bytes. It is MEASURED as long as its bytes are not here, and then it has
neither hash nor path.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence

from ..records import Face, Reason, State
from . import Registry
from .assets import REASONS_OF, ROW, AssetRow, row_of

_HERE = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.STAGED, Reason.EMBED_ERROR)  # bytes that can be read, or may be
_TO_MEASURE = (Reason.LISTED, Reason.DOWNLOAD_ERROR, *_HERE)
# of which a photo may still be had, the best first
_TO_BE_HAD = (*_HERE, Reason.MEASURED, Reason.LISTED, *REASONS_OF[State.RETRY], *REASONS_OF[State.DUPLICATE])
_FACELESS = (Reason.UNMEASURED, Reason.PHOTO_LOST)  # faces that no plan can use


def to_measure(registry: Registry, label: str, pack: str) -> array[int]:
    """Row ids of a user's photos that this pack has not been told, or may be told anew, in canonical order."""
    sql = (
        f"SELECT id FROM assets AS a WHERE label = ? AND source = 'immich' AND boxes IS NOT NULL "
        f"AND (reason IN ({_marks(_TO_MEASURE)}) OR (reason = 'measured_by_source' AND NOT EXISTS "
        "(SELECT 1 FROM embedded AS e WHERE e.sha256 = a.content AND e.pack = ? AND e.told IS NOT NULL))) "
        "ORDER BY coalesce(taken_at, ''), asset_id"
    )
    return array("q", (row[0] for row in registry.db.execute(sql, (label, *_TO_MEASURE, pack))))


def told(registry: Registry, content: str, pack: str) -> str | None:
    """The digest of what the source told of a photo's faces when they were taken in; None where that is to be asked (again)."""
    row = registry.db.execute("SELECT told FROM embedded WHERE sha256 = ? AND pack = ?", (content, pack)).fetchone()
    return None if row is None else row[0]


def remember(registry: Registry, content: str, pack: str, digest: str | None) -> None:
    """This pack has been told a photo's faces."""
    registry.db.execute(
        "INSERT INTO embedded (sha256, pack, reason, told) VALUES (?, ?, 'embedded', ?) ON CONFLICT DO UPDATE SET told = excluded.told",
        (content, pack, digest),
    )


def twin_of(registry: Registry, row_id: int, content: str) -> AssetRow | None:
    """Another asset with this content that is measured, or whose bytes are here; the first listed of several."""
    wanted = (*_HERE, Reason.MEASURED)
    found = registry.db.execute(
        f"SELECT {ROW} FROM assets WHERE content = ? AND id <> ? AND reason IN ({_marks(wanted)}) ORDER BY id LIMIT 1",
        (content, row_id, *wanted),
    ).fetchone()
    return None if found is None else row_of(found)


def is_here(row: AssetRow) -> bool:
    """Whether the bytes of an asset are here, and no decoder has refused them."""
    return row.reason in _HERE


def settle(registry: Registry, row: AssetRow, content: str, twin: AssetRow | None) -> Reason:
    """A photo's faces are on record; returns its reason. ``twin`` has the same bytes and is the one that counts.

    What the last download failed with is kept, and how often: failures of earlier runs are to be recognised.
    """
    if twin is not None:
        reason = Reason.DUP_STAGED if twin.label == row.label else Reason.DUP_EXISTING
        whose = "" if twin.label == row.label else f" of {twin.label}"
        registry.db.execute(
            "UPDATE assets SET reason = ?, detail = ?, content = ?, kept_id = ?, sha256 = ?, path = NULL WHERE id = ?",
            (reason, f"same bytes as {twin.asset.asset_id}{whose}", content, twin.id, twin.sha256, row.id),
        )
        return reason
    if is_here(row):
        registry.db.execute("UPDATE assets SET reason = 'embedded', detail = NULL, content = ? WHERE id = ?", (content, row.id))
        return Reason.EMBEDDED
    registry.db.execute(
        "UPDATE assets SET reason = 'measured_by_source', attempts = CASE WHEN content IS NULL THEN 0 ELSE attempts END, "
        "kept_id = NULL, sha256 = NULL, path = NULL, content = ? WHERE id = ?",
        (content, row.id),
    )
    return Reason.MEASURED


def drop_faces(registry: Registry, face_ids: Iterable[str]) -> None:
    """Forget faces; they must be in no set."""
    registry.db.executemany("DELETE FROM faces WHERE face_id = ?", ((face_id,) for face_id in face_ids))


def members(registry: Registry, content: str, pack: str) -> set[str]:
    """The ids of a photo's faces that are in a set, planned or written."""
    sql = "SELECT f.face_id FROM faces AS f JOIN set_faces AS s ON s.face_id = f.face_id WHERE f.sha256 = ? AND f.pack = ?"
    return {row[0] for row in registry.db.execute(sql, (content, pack))}


def forget(registry: Registry, pack: str) -> int:
    """Forget the faces, in no set, of photos that are not to be had any more; returns how many. Lost photos' stay counted."""
    alive = f"SELECT content FROM assets WHERE content IS NOT NULL AND reason IN ({_marks(_TO_BE_HAD)})"
    # a content has a colon, a hash of bytes has none
    sql = f"SELECT sha256 FROM embedded WHERE pack = ? AND instr(sha256, ':') > 0 AND sha256 NOT IN ({alive})"
    dead = [(row[0], pack) for row in registry.db.execute(sql, (pack, *_TO_BE_HAD))]
    registry.db.executemany("DELETE FROM embedded WHERE sha256 = ? AND pack = ?", dead)
    return registry.db.executemany(
        "DELETE FROM faces WHERE sha256 = ? AND pack = ? AND reason <> 'photo_lost' "
        "AND NOT EXISTS (SELECT 1 FROM set_faces AS s WHERE s.face_id = faces.face_id)",
        dead,
    ).rowcount


def photo(registry: Registry, content: str) -> AssetRow | None:
    """The asset by which a photo may be had: here already, else to be fetched; else one of which it cannot, with the reason why."""
    order = " ".join(f"WHEN '{reason}' THEN {place}" for place, reason in enumerate(_TO_BE_HAD))
    row = registry.db.execute(
        f"SELECT {ROW} FROM assets WHERE content = ? ORDER BY CASE reason {order} ELSE 99 END, id LIMIT 1", (content,)
    ).fetchone()
    return None if row is None else row_of(row)


def may_be_had(reason: Reason) -> bool:
    """Whether the bytes of an asset with this reason are here, or may come."""
    return reason in _TO_BE_HAD


def ask_for(registry: Registry, row_id: int) -> None:
    """Have a photo's bytes brought; what an earlier try failed with is kept."""
    registry.db.execute("UPDATE assets SET reason = 'listed', kept_id = NULL WHERE id = ?", (row_id,))


def relist(registry: Registry, label: str) -> None:
    """Decide again about all photos of a user that have no bytes here since none were needed: another pack needs them."""
    registry.db.execute(
        "UPDATE assets SET reason = 'listed', detail = NULL, kept_id = NULL WHERE label = ? "
        f"AND (reason = 'measured_by_source' OR (reason IN ({_marks(REASONS_OF[State.DUPLICATE])}) AND sha256 IS NULL))",
        (label, *REASONS_OF[State.DUPLICATE]),
    )


def spared(registry: Registry) -> tuple[int, int]:
    """How many originals never had to come, and their bytes as far as these are known."""
    sql = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM assets WHERE reason = 'measured_by_source'"
    photos, size = registry.db.execute(sql).fetchone()
    return photos, size


def place(registry: Registry, face: Face) -> None:
    """Keep where a face's landmarks lie in the picture that is here, and its signals."""
    landmarks, signals = json.dumps(face.landmarks), json.dumps(dict(face.signals), sort_keys=True)
    registry.db.execute("UPDATE faces SET landmarks = ?, signals = ? WHERE face_id = ?", (landmarks, signals, face.face_id))


def lose(registry: Registry, content: str, pack: str, detail: str) -> None:
    """A photo cannot be had: its faces that have not been put beside a set say so."""
    registry.db.execute(
        "UPDATE faces SET reason = 'photo_lost', detail = ?, distance = NULL WHERE sha256 = ? AND pack = ? AND set_name IS NULL "
        "AND reason <> 'not_measured'",
        (detail, content, pack),
    )


def leave_out(registry: Registry, name: str, face_ids: Sequence[str], detail: str) -> None:
    """These faces are no members of a planned set any more."""
    registry.db.executemany("DELETE FROM set_faces WHERE set_name = ? AND face_id = ?", ((name, face_id) for face_id in face_ids))
    registry.db.executemany(
        "UPDATE faces SET reason = 'photo_lost', detail = ? WHERE face_id = ?", ((detail, face_id) for face_id in face_ids)
    )


def drop_set(registry: Registry, name: str) -> None:
    """A planned set will not be; its number stays used, and its faces are free again."""
    for table in ("set_faces", "set_files", "centroids"):
        registry.db.execute(f"DELETE FROM {table} WHERE set_name = ?", (name,))
    registry.db.execute("DELETE FROM sets WHERE name = ?", (name,))
    registry.db.execute(
        "UPDATE faces SET reason = CASE WHEN reason = 'photo_lost' THEN reason ELSE 'new' END, set_name = NULL, distance = NULL "
        "WHERE set_name = ?",
        (name,),
    )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
