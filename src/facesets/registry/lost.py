"""Queries about faces in no folder whose photo is gone, or has other bytes now: they are counted and offered no more."""

from __future__ import annotations

import json
from collections.abc import Collection

from facesets.registry import rows
from facesets.registry.assets import TO_BE_HAD
from facesets.registry.database import Registry

_REASONS = ", ".join(f"'{reason}'" for reason in TO_BE_HAD)
_THERE = f"EXISTS (SELECT 1 FROM assets AS a WHERE a.photo_id = m.photo_id AND a.reason IN ({_REASONS}))"
_FROM = "FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "


def lose_photos(registry: Registry, people: Collection[int] | None = None) -> rows.Difference:
    """Faces, of all or of these people (by their ids), whose photo cannot be had any more, or has other bytes now, wait for nothing,
    nor do groups that are too small for a set.

    Where a run found the same face in the other bytes, that one takes the place over; else a recognised face is its person's again
    where its photo comes back. Returns what changed; joins the caller's transaction.
    """
    whose = "1" if people is None else "s.person_id IN (SELECT value FROM json_each(?))"
    sql = (
        f"SELECT m.key, s.face_id, s.standing, s.person_id {_FROM} WHERE {whose} "
        "AND s.standing IN ('new', 'likely', 'recognised', 'few_faces', 'few_photos') "
        f"AND (s.standing <> 'new' OR s.person_id IS NULL) AND m.by_source = 0 AND NOT {_THERE} ORDER BY s.face_id"
    )
    gone = registry.db.execute(sql, () if people is None else (json.dumps([*people]),)).fetchall()
    heirs = _heirs(registry, {face: person for _, face, standing, person in gone if standing == "recognised"})
    keys = [*(row[0] for row in gone), *(key for found in heirs.values() for key, _ in found)]
    before = rows.take_down(registry, (), keys)
    lost = (
        "UPDATE memberships SET standing = 'photo_lost', note = 'no file here has these bytes any more', "
        "person_id = CASE standing WHEN 'recognised' THEN person_id END WHERE face_id = ?"
    )
    same = "UPDATE memberships SET standing = 'near_duplicate', better_key = ?, gate_has = ?, gate_needs = ? WHERE face_id = ?"
    takes = "UPDATE memberships SET standing = 'recognised', better_key = NULL, gate_has = NULL, gate_needs = NULL WHERE face_id = ?"
    for _, face, _, _ in gone:
        if not (found := heirs.get(face)):
            registry.db.execute(lost, (face,))
            continue
        key, heir = found[-1]  # the newest
        away = registry.db.execute("SELECT gate_has, gate_needs FROM memberships WHERE face_id = ?", (heir,)).fetchone()
        registry.db.execute(takes, (heir,))
        registry.db.executemany(same, ((key, *away, other) for other in (face, *(row for _, row in found[:-1]))))
    return rows.difference(before, rows.take_down(registry, (), keys))


def _heirs(registry: Registry, gone: dict[int, int]) -> dict[int, list[tuple[str, int]]]:
    """Face -> the same one in other bytes that are here: key and face of each, the newest last."""
    sql = (
        f"SELECT o.face_id, m.key, s.face_id {_FROM} JOIN measurements AS o ON o.key = s.better_key WHERE "
        f"s.person_id IN (SELECT value FROM json_each(?)) AND s.standing = 'near_duplicate' AND {_THERE} ORDER BY s.face_id"
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for face, key, heir in registry.db.execute(sql, (json.dumps(sorted(set(gone.values()))),)):
        if face in gone:
            found.setdefault(face, []).append((key, heir))
    return found


def give_place(registry: Registry, changed: rows.Difference) -> rows.Difference:
    """Where an act made a member of a face whose place the same one in other bytes had taken, that one is no second face.

    ``changed``: what the act did. Returns what changed beside it; joins the caller's transaction.
    """
    members = [
        (int(face), was[11], was[9], was[10]) for table, face, was, now in changed
        if table == "memberships" and was and now and (was[1], now[1]) == ("near_duplicate", "member") and was[11]
    ]  # fmt: skip
    before = rows.take_down(registry, (), [better for _, better, _, _ in members])
    registry.db.executemany(
        "UPDATE memberships SET standing = 'near_duplicate', better_key = (SELECT m.key FROM measurements AS m JOIN memberships AS o "
        "ON o.face_id = m.face_id AND o.pack = m.pack WHERE m.face_id = ?), gate_has = ?, gate_needs = ? "
        "WHERE standing = 'recognised' AND face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        ((face, has, needs, better) for face, better, has, needs in members),
    )
    return rows.difference(before, rows.take_down(registry, (), [better for _, better, _, _ in members]))


def open_again(registry: Registry, pack: str) -> int:
    """Faces that lost their place for want of their photo are whose they were, or anybody's, again where that is back and was looked
    through: moved to another folder, on a disk that was not mounted, out of the trash. Returns how many; joins the caller's
    transaction.
    """
    whose = "person_id IS NOT NULL AND was_for IS NULL"  # not of a planned set that was written, or dropped, without it
    return registry.db.execute(
        f"UPDATE memberships SET standing = CASE WHEN {whose} THEN 'recognised' ELSE 'new' END, note = NULL, "
        f"person_id = CASE WHEN {whose} THEN person_id END, distance = CASE WHEN {whose} THEN distance END, was_for = NULL "
        "WHERE standing = 'photo_lost' AND pack = ? AND face_id IN (SELECT f.id FROM faces AS f JOIN assets AS a "
        "ON a.photo_id = f.photo_id WHERE a.reason = 'embedded')",
        (pack,),
    ).rowcount
