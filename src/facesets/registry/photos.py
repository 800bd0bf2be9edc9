"""Queries about photos: pictures by their bytes, or by what stands for these (``source_key``) until they come.

What an asset's bytes turn out to be may make two photos one. Their faces then meet: a face at the same place is the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from facesets.registry.database import Registry
from facesets.registry.overlap import same_places


def column(key: str) -> str:
    """Where a key belongs: a hash of bytes has no colon, what stands for one has."""
    return "source_key" if ":" in key else "sha256"


def first_taken(photo: str) -> str:
    """SQL: when the photo whose id stands in this column was taken; of the assets that show it, the first date that says something.

    Where none does any more, since their files have other bytes now (a tag was written into them), of those that did.
    """
    said = "SELECT min(a.taken_at) FROM assets AS a WHERE a.taken_at > '1971' AND a."
    return f"coalesce(({said}photo_id = {photo}), ({said}id IN (SELECT e.asset FROM earlier_photos AS e WHERE e.photo_id = {photo})))"


def find(registry: Registry, key: str) -> int | None:
    """The id of the photo with this hash or source key."""
    row = registry.db.execute(f"SELECT id FROM photos WHERE {column(key)} = ?", (key,)).fetchone()
    return None if row is None else int(row[0])


def get_or_add(registry: Registry, key: str) -> int:
    """The id of the photo with this hash or source key, which is made where there is none."""
    found = find(registry, key)
    if found is not None:
        return found
    cursor = registry.db.execute(f"INSERT INTO photos ({column(key)}) VALUES (?)", (key,))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def lineage(registry: Registry, photo_ids: Iterable[int]) -> list[int]:
    """These photos, and all others that the assets which show them, or did, show or showed: the same pictures with other bytes, as far
    as a place in them shows the same face.
    """
    found = dict.fromkeys(photo_ids)
    waiting = list(found)
    while waiting:
        photo = waiting.pop(0)
        assets = "SELECT id FROM assets WHERE photo_id = ?1 UNION SELECT asset FROM earlier_photos WHERE photo_id = ?1"
        sql = (
            f"SELECT photo_id FROM assets WHERE id IN ({assets}) AND photo_id IS NOT NULL "
            f"UNION SELECT photo_id FROM earlier_photos WHERE asset IN ({assets}) ORDER BY 1"
        )
        new = [row[0] for row in registry.db.execute(sql, (photo,)) if row[0] not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return list(found)


def set_size(registry: Registry, photo_id: int, width: int, height: int, orientation: int | None = None) -> None:
    """Keep how many oriented pixels a photo has, and how its file has them stored (EXIF; None: not known)."""
    registry.db.execute(
        "UPDATE photos SET width = ?, height = ?, orientation = coalesce(?, orientation) WHERE id = ?",
        (width, height, orientation, photo_id),
    )


def size(registry: Registry, photo_id: int) -> tuple[int, int] | None:
    """Width and height of the picture that was looked through, in oriented pixels; None before that."""
    width, height = registry.db.execute("SELECT width, height FROM photos WHERE id = ?", (photo_id,)).fetchone()
    return (width, height) if width and height else None


def move_folder(registry: Registry, before: str, now: str) -> None:
    """A folder of photos lies elsewhere: so do the files in it, at any depth."""
    registry.db.execute(
        "UPDATE photos SET path = ?2 || substr(path, length(?1) + 1) "
        "WHERE substr(path, 1, length(?1)) = ?1 AND substr(path, length(?1) + 1, 1) IN ('/', '\\')",
        (before, now),
    )


def set_bytes(
    registry: Registry, row_id: int, sha256: str, *, path: str | None = None, pixels: str | None = None, size: int | None = None
) -> int:
    """An asset's bytes are here, or known: its photo has this hash, and its file lies at ``path``. Returns the photo's id.

    What its source said of its faces goes along, also where the asset has other bytes than before.
    """
    (before,) = registry.db.execute("SELECT photo_id FROM assets WHERE id = ?", (row_id,)).fetchone()
    photo_id = _identified(registry, before, sha256)
    if photo_id != before:
        registry.db.execute("UPDATE assets SET photo_id = ? WHERE id = ?", (photo_id, row_id))
    if path is not None:
        registry.db.execute(
            "UPDATE photos SET path = ?, pixels = coalesce(?, pixels), size = coalesce(?, size) WHERE id = ?",
            (path, pixels, size, photo_id),
        )
    return photo_id


def set_source_key(registry: Registry, row_id: int, key: str) -> int:
    """What stands for an asset's bytes: its photo has this source key. Returns the photo's id."""
    (before,) = registry.db.execute("SELECT photo_id FROM assets WHERE id = ?", (row_id,)).fetchone()
    if before is None:
        before = get_or_add(registry, key)
        registry.db.execute("UPDATE assets SET photo_id = ? WHERE id = ?", (before, row_id))
        return before
    other = find(registry, key)
    if other is None:
        registry.db.execute("UPDATE photos SET source_key = coalesce(source_key, ?) WHERE id = ?", (key, before))
        return int(before)
    if other != before:
        (sha256,) = registry.db.execute("SELECT sha256 FROM photos WHERE id = ?", (other,)).fetchone()
        merge(registry, other, before, source_facts_only=sha256 is not None)
    return int(before)


def _identified(registry: Registry, before: int | None, sha256: str) -> int:
    if before is None:
        return get_or_add(registry, sha256)
    known, source_key = registry.db.execute("SELECT sha256, source_key FROM photos WHERE id = ?", (before,)).fetchone()
    if known == sha256:
        return before
    other = find(registry, sha256)
    if known is None and other is None:
        registry.db.execute("UPDATE photos SET sha256 = ? WHERE id = ?", (sha256, before))
        return before
    target = get_or_add(registry, sha256)
    if known is None or source_key is not None:
        merge(registry, before, target, source_facts_only=known is not None)
    return target


def merge(registry: Registry, photo_id: int, into: int, *, source_facts_only: bool = False) -> None:
    """Two photos turned out to be one; ``source_facts_only``: what a source said of the first is of the second now, and no more."""
    db = registry.db
    (source_key,) = db.execute("SELECT source_key FROM photos WHERE id = ?", (photo_id,)).fetchone()
    db.execute("UPDATE photos SET source_key = NULL WHERE id = ? AND sha256 IS NOT NULL", (photo_id,))
    measured = db.execute(
        "SELECT m.id, m.face_id, m.pack, m.idx FROM measurements AS m WHERE m.photo_id = ? AND m.by_source >= ? ORDER BY m.pack, m.idx",
        (photo_id, source_facts_only),
    ).fetchall()
    _meet(registry, {row["face_id"] for row in measured}, into)
    follow: dict[str, int] = {}
    for row in measured:
        if row["pack"] not in follow:
            sql = "SELECT coalesce(max(idx) + 1, 0) FROM measurements WHERE photo_id = ? AND pack = ?"
            (follow[row["pack"]],) = db.execute(sql, (into, row["pack"])).fetchone()
        db.execute("UPDATE measurements SET photo_id = ?, idx = ? WHERE id = ?", (into, row["idx"] + follow[row["pack"]], row["id"]))
    packs = "SELECT photo_id, pack FROM embedded WHERE photo_id = ?1" + " AND by_source = 1" * source_facts_only
    for _, pack in db.execute(packs, (photo_id,)).fetchall():
        db.execute("UPDATE OR IGNORE embedded SET photo_id = ? WHERE photo_id = ? AND pack = ?", (into, photo_id, pack))
        db.execute("DELETE FROM embedded WHERE photo_id = ? AND pack = ?", (photo_id, pack))
    if not source_facts_only:
        db.execute("UPDATE assets SET photo_id = ? WHERE photo_id = ?", (into, photo_id))
        db.execute("UPDATE OR IGNORE earlier_photos SET photo_id = ? WHERE photo_id = ?", (into, photo_id))
        db.execute("DELETE FROM earlier_photos WHERE photo_id = ?", (photo_id,))
        db.execute("DELETE FROM photos WHERE id = ?", (photo_id,))
    db.execute("UPDATE photos SET source_key = coalesce(source_key, ?) WHERE id = ?", (source_key, into))


def _meet(registry: Registry, faces: set[int], into: int) -> None:
    """These faces are of another photo now; where it has one at the same place, they are that one."""
    db = registry.db
    box = "SELECT id, x1, y1, x2, y2 FROM faces WHERE "
    moved = [tuple(db.execute(box + "id = ?", (face_id,)).fetchone()) for face_id in sorted(faces)]
    there = [tuple(row) for row in db.execute(box + "photo_id = ? ORDER BY id", (into,))]
    pairs = same_places([row[1:] for row in moved], [row[1:] for row in there])
    for at, (face_id, *_) in enumerate(moved):
        if at not in pairs:
            db.execute("UPDATE faces SET photo_id = ? WHERE id = ?", (into, face_id))
            continue
        same = there[pairs[at]][0]
        stronger = (
            "SELECT face_id FROM memberships WHERE face_id IN (?, ?) ORDER BY standing = 'member' DESC, decided_by = 'decision' DESC, "
            "person_id IS NOT NULL DESC, standing IN ('not_measured', 'photo_lost'), face_id = ? DESC LIMIT 1"
        )
        (best,) = db.execute(stronger, (face_id, same, same)).fetchone()
        if best != same:
            db.execute("DELETE FROM memberships WHERE face_id = ?", (same,))
            db.execute("UPDATE memberships SET face_id = ? WHERE face_id = ?", (same, face_id))
        db.execute("UPDATE measurements SET face_id = ? WHERE face_id = ?", (same, face_id))
        db.execute("DELETE FROM memberships WHERE face_id = ?", (face_id,))
        db.execute(
            "UPDATE faces SET source_face_id = coalesce(faces.source_face_id, o.source_face_id), "
            "source_person_id = coalesce(faces.source_person_id, o.source_person_id) "
            "FROM (SELECT source_face_id, source_person_id FROM faces WHERE id = ?) AS o WHERE id = ?",
            (face_id, same),
        )
        db.execute("DELETE FROM faces WHERE id = ?", (face_id,))
