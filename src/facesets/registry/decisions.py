"""Queries about what users said: decisions in their order, which of them stand, and the faces they speak of.

A face is known for ever by its content key: the photo's SHA-256 (or the source's key until bytes are known), the box, and the asset
that showed it. Where the same asset comes back with other bytes, the face at the same place takes over.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.records import Box
from facesets.registry import photos
from facesets.registry.database import Registry
from facesets.registry.overlap import Frame, frames, same_places

ContentKey = Mapping[str, Any]  # photo, box, source, owner, asset


@dataclass(frozen=True, slots=True)
class Made:
    """A decision: what was said, when (ISO 8601, UTC), what it takes back, and what took it back."""

    id: int
    act: str
    payload: Mapping[str, Any]
    at: str
    undoes: int | None
    undone_by: int | None

    @property
    def stands(self) -> bool:
        """Whether it was not taken back."""
        return self.undone_by is None


@dataclass(frozen=True, slots=True)
class CurrentFace:
    """A face as the registry has it now: row, the measurement it goes by, vector float32 [d], the person it is of or was left to."""

    id: int
    key: str
    pack: str
    standing: str
    person: int | None
    vector: NDArray[np.float32]
    taken_at: str | None


def select(registry: Registry, *, before: int | None = None, most: int | None = None) -> list[Made]:
    """All decisions in the order they were made; or the last ``most`` of those before the one with this number."""
    sql = "SELECT * FROM (SELECT * FROM decisions WHERE id < coalesce(?, id + 1) ORDER BY id DESC LIMIT ?) ORDER BY id"
    return [_made(row) for row in registry.db.execute(sql, (before, -1 if most is None else most))]


def find(registry: Registry, decision: int) -> Made | None:
    """The decision with this number."""
    row = registry.db.execute("SELECT * FROM decisions WHERE id = ?", (decision,)).fetchone()
    return None if row is None else _made(row)


def add(registry: Registry, made: Made) -> None:
    """Record a decision with its number, as another registry had it."""
    registry.db.execute(
        "INSERT INTO decisions (id, act, payload, at, undoes, undone_by) VALUES (?, ?, ?, ?, ?, ?)",
        (made.id, made.act, json.dumps(dict(made.payload), sort_keys=True), made.at, made.undoes, made.undone_by),
    )


def set_undone(registry: Registry, decision: int, by: int | None) -> None:
    """By which other a decision was taken back; None: it stands."""
    registry.db.execute("UPDATE decisions SET undone_by = ? WHERE id = ?", (by, decision))


def take_back(registry: Registry, decision: int, by: int) -> None:
    """A decision is taken back by another; what it had itself taken back stands again, what that had taken back does not, and so on."""
    registry.db.execute("UPDATE decisions SET undoes = ? WHERE id = ?", (decision, by))
    each: int | None = decision
    taken_back_by: int | None = by
    while each is not None:
        set_undone(registry, each, taken_back_by)
        taken_back_by = each if taken_back_by is None else None
        (each,) = registry.db.execute("SELECT undoes FROM decisions WHERE id = ?", (each,)).fetchone()


def seen(registry: Registry, key: str, pack: str | None = None) -> CurrentFace | None:
    """The face that one of its measurements calls ``key``; by its measure of ``pack``, or by the one that decided on it."""
    sql = (
        "SELECT s.face_id, m.key, m.pack, s.standing, s.person_id, m.vector, (SELECT min(a.taken_at) FROM assets AS a "
        "WHERE a.photo_id = m.photo_id) AS taken FROM measurements AS k JOIN memberships AS s ON s.face_id = k.face_id "
        "JOIN measurements AS m ON m.face_id = s.face_id WHERE k.key = ? ORDER BY m.pack = coalesce(?, s.pack) DESC, m.id LIMIT 1"
    )
    row = registry.db.execute(sql, (key, pack)).fetchone()
    return None if row is None else CurrentFace(row[0], row[1], row[2], row[3], row[4], np.frombuffer(row[5], "<f4"), row[6])


def measured_by(registry: Registry, keys: Iterable[str], pack: str) -> dict[str, tuple[str, str]]:
    """Key of a measurement -> the key and the pack of its face's measurement by ``pack``, or by the pack that decided on it."""
    sql = (
        "SELECT k.value, m.key, m.pack FROM json_each(?) AS k JOIN measurements AS o ON o.key = k.value JOIN memberships AS s "
        "ON s.face_id = o.face_id JOIN measurements AS m ON m.face_id = s.face_id WHERE m.pack IN (?, s.pack) "
        "ORDER BY m.pack <> ?, m.id DESC"
    )
    found: dict[str, tuple[str, str]] = {}
    for key, own, by in registry.db.execute(sql, (json.dumps(list(keys)), pack, pack)):
        found.setdefault(key, (own, by))
    return found


def packs_of(registry: Registry, keys: Iterable[str], name: str) -> list[str]:
    """The packs that have measured all of these faces and all members of the set ``name``."""
    sql = (
        "WITH wanted (face_id) AS (SELECT m.face_id FROM json_each(?) AS k JOIN measurements AS m ON m.key = k.value UNION "
        "SELECT m.face_id FROM sets AS s JOIN set_faces AS f ON f.set_id = s.id JOIN measurements AS m ON m.id = f.measurement_id "
        "WHERE s.name = ?) SELECT pack FROM (SELECT DISTINCT m.face_id, m.pack FROM measurements AS m JOIN wanted USING (face_id) "
        "WHERE length(m.vector) > 0) GROUP BY pack HAVING count(*) = (SELECT count(*) FROM wanted) ORDER BY pack"
    )
    return [row[0] for row in registry.db.execute(sql, (json.dumps(list(keys)), name))]


def keys_like(registry: Registry, text: str) -> list[str]:
    """The faces with an id that is ``text`` or, from six characters on, begins so: one measurement's key each, at most five."""
    exact = registry.db.execute("SELECT key FROM measurements WHERE key = ?", (text,)).fetchone()
    if exact is not None or len(text) < 6:
        return [] if exact is None else [exact[0]]
    sql = "SELECT min(key) FROM measurements WHERE key >= ? AND key < ? GROUP BY face_id ORDER BY 1 LIMIT 5"
    return [row[0] for row in registry.db.execute(sql, (text, text + "~"))]


def faces_of(registry: Registry, person: int, standings: Sequence[str]) -> list[str]:
    """Keys of the faces that have one of these standings with a person (by its id), in the order of their content."""
    sql = (
        "SELECT m.key FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "
        "JOIN photos AS p ON p.id = m.photo_id WHERE s.person_id = ? "
        f"AND s.standing IN ({', '.join('?' * len(standings))}) ORDER BY coalesce(p.sha256, p.source_key), m.idx, m.key"
    )
    return [row[0] for row in registry.db.execute(sql, (person, *standings))]


def content_keys(registry: Registry, keys: Iterable[str]) -> list[dict[str, Any]]:
    """The content key of each face (by the key of a measurement), in this order."""
    sql = (
        "SELECT coalesce(p.sha256, p.source_key), f.x1, f.y1, f.x2, f.y2, a.source, a.owner_id, a.asset_id FROM json_each(?) AS k "
        "JOIN measurements AS m ON m.key = k.value JOIN faces AS f ON f.id = m.face_id JOIN photos AS p ON p.id = f.photo_id "
        "LEFT JOIN assets AS a ON a.id = (SELECT id FROM assets WHERE photo_id = p.id ORDER BY kept_id IS NOT NULL, id LIMIT 1) "
        "ORDER BY k.key"
    )
    return [
        {"photo": photo, "box": [round(x, 2) for x in box], "source": source, "owner": owner, "asset": asset}
        for photo, *box, source, owner, asset in registry.db.execute(sql, (json.dumps(list(keys)),))
    ]


def content_of_faces(registry: Registry, face_ids: Iterable[int]) -> list[dict[str, Any]]:
    """The content keys of faces by their rows; in their order."""
    sql = "SELECT min(m.key) FROM json_each(?) AS k JOIN measurements AS m ON m.face_id = k.value GROUP BY k.key ORDER BY k.key"
    return content_keys(registry, [row[0] for row in registry.db.execute(sql, (json.dumps(list(face_ids)),))])


def of_content(registry: Registry, keys: Sequence[ContentKey], pack: str, match: float) -> dict[int, list[str]]:
    """Index of each content key -> the faces (their measurements of ``pack``) that it speaks of; those not here are missing.

    The face at this place (IoU >= .5, one to one) of the photo; and of the photos that the same asset, or another one that showed this
    photo, shows with other bytes, also where these are turned otherwise: then, where both vectors are known, only within the distance
    ``match``, and where it is not sure how it was turned, only where they are known.
    """
    together: dict[tuple[str, str | None, str | None], list[int]] = {}
    for i, key in enumerate(keys):
        together.setdefault((key["photo"], key.get("owner"), key.get("asset")), []).append(i)
    found: dict[int, list[tuple[str, NDArray[np.float32]]]] = {}
    for (photo_key, owner, asset), rows in together.items():
        own = photos.find(registry, photo_key)
        shown = _photo_of_asset(registry, owner, asset) if asset else None
        known = dict.fromkeys(photo for photo in (own, shown) if photo is not None)
        for photo in photos.lineage(registry, known):
            here = _measured(registry, photo, pack)
            boxes: list[Box] = [tuple(keys[i]["box"]) for i in rows]
            frames_ = [(boxes, True)] if photo == own else frames(boxes, _frame(registry, own), _frame(registry, photo))
            asked, taken = list(range(len(rows))), set[str]()
            for placed, is_sure in frames_:
                free = [face for face in here if face[0] not in taken]
                for a, b in same_places([placed[n] for n in asked], [box for _, _, box in free]).items():
                    face, vector, _ = free[b]
                    before = found.setdefault(rows[asked[a]], [])
                    if _may_be(vector, [old for _, old in before], match, is_sure=is_sure):
                        before.append((face, vector))
                        taken.add(face)
                asked = [n for n in asked if not any(face in taken for face, _ in found.get(rows[n], ()))]
    return {i: [key for key, _ in faces] for i, faces in found.items() if faces}


def known_as_well(registry: Registry, keys: Sequence[str], packs: Mapping[str, float]) -> dict[str, tuple[str, str, float]]:
    """Key of a face -> the member, or recognised face, of a set that is the same face in other bytes of the same asset, the set, and
    the distance (0 where no pack has measured both). ``packs``: the distance within which each finds one person.
    """
    if registry.db.execute("SELECT 1 FROM earlier_photos LIMIT 1").fetchone() is None:
        return {}
    of_changed_photos = (
        "SELECT k.value FROM json_each(?) AS k JOIN measurements AS m ON m.key = k.value WHERE "
        "EXISTS (SELECT 1 FROM earlier_photos AS e WHERE e.photo_id = m.photo_id) OR "
        "EXISTS (SELECT 1 FROM assets AS a JOIN earlier_photos AS e ON e.asset = a.id WHERE a.photo_id = m.photo_id) ORDER BY k.key"
    )
    asked = [row[0] for row in registry.db.execute(of_changed_photos, (json.dumps(list(keys)),))]
    known = (
        "SELECT m.key, t.name, m.vector, m.pack FROM measurements AS o JOIN memberships AS s USING (face_id) JOIN sets AS t "
        "ON t.person_id = s.person_id JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack WHERE o.key = ? "
        "AND s.standing IN ('member', 'recognised') AND t.kind = 'canonical' AND t.retired = 0"
    )
    found: dict[str, tuple[str, str, float]] = {}
    for key, content in zip(asked, content_keys(registry, asked), strict=True):
        one = seen(registry, key)
        assert one is not None
        for pack in dict.fromkeys((one.pack, *packs)):
            others = of_content(registry, [content], pack, packs[pack]).get(0, [])
            for row in (registry.db.execute(known, (other,)).fetchone() for other in others if other != key):
                if row is not None:
                    vector = np.frombuffer(row[2], "<f4")
                    alike = row[3] == one.pack and len(vector) == len(one.vector)
                    found.setdefault(key, (row[0], row[1], _distance(vector, one.vector) if alike else 0.0))
            if key in found:
                break  # by its own pack first: others have only the place to go by
    return found


def _may_be(vector: NDArray[np.float32], before: Sequence[NDArray[np.float32]], match: float, *, is_sure: bool) -> bool:
    """Whether a face can be the one that was seen with these vectors; an empty one, or one of another model, says nothing."""
    known = [old for old in before if len(old) == len(vector) and len(old)]
    return (is_sure or bool(known)) and all(_distance(old, vector) <= match for old in known)


def _frame(registry: Registry, photo: int | None) -> Frame:
    row = registry.db.execute("SELECT width, height, orientation FROM photos WHERE id = ?", (photo,)).fetchone()
    return (None, None, None) if row is None else tuple(row)


def _photo_of_asset(registry: Registry, owner: str | None, asset: str) -> int | None:
    row = registry.db.execute("SELECT photo_id FROM assets WHERE owner_id = ? AND asset_id = ?", (owner, asset)).fetchone()
    return None if row is None else row[0]


def _measured(registry: Registry, photo: int, pack: str) -> list[tuple[str, NDArray[np.float32], Box]]:
    sql = (
        "SELECT m.key, m.vector, f.x1, f.y1, f.x2, f.y2 FROM measurements AS m JOIN faces AS f ON f.id = m.face_id "
        "WHERE m.photo_id = ? AND m.pack = ? ORDER BY m.idx"
    )
    return [(key, np.frombuffer(vector, "<f4"), (*box,)) for key, vector, *box in registry.db.execute(sql, (photo, pack))]


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a.astype(np.float64) - b) ** 2).sum() / 2)


_parsed = lru_cache(maxsize=1024)(json.loads)  # all decisions are read by every act; nobody writes into what they say


def _made(row: sqlite3.Row) -> Made:
    return Made(row["id"], row["act"], _parsed(row["payload"]), row["at"], row["undoes"], row["undone_by"])
