"""Queries about what went to Immich: the journal of writes, and the faces, people and photos that a publish speaks of.

A write is recorded before it is sent, with the ids and values that were there, and settled after. What of it stands is all that is
remembered of what Immich was told.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facesets.records import Box, FaceBox, Reason
from facesets.registry.changes import now
from facesets.registry.database import Registry
from facesets.registry.overlap import same_places
from facesets.wording import folded

PUBLISH = "publish"  # the act, and the kind of change that follows from it
SENT, DONE, REFUSED, UNDOING, UNDONE, KEPT = "sent", "done", "refused", "undoing", "undone", "kept"
_STANDS = (DONE, UNDOING)


@dataclass(frozen=True, slots=True)
class PublishedStep:
    """One write. ``number`` is of whom it is about, ``wanted`` and ``before`` are ids and values, ``result`` what the server made."""

    decision: int
    n: int
    label: str
    action: str
    number: int
    wanted: Mapping[str, Any]
    before: Mapping[str, Any]
    result: Mapping[str, Any]
    state: str  # sent (it may or may not have been done), done, refused, undoing, undone, kept (what is there is not ours any more)
    reason: str | None
    at: str


@dataclass(frozen=True, slots=True)
class PlacedFace:
    """A face of a named person and one asset that shows it. ``box`` is in the photo's ``size``; ``key`` is the same for all copies."""

    number: int
    key: str
    box: Box
    size: tuple[int, int] | None
    asset_id: str
    row_id: int
    taken_at: str | None
    reason: Reason
    visibility: str
    is_trashed: bool
    is_edited: bool


def add(
    registry: Registry, decision: int, label: str, action: str, number: int, wanted: Mapping[str, Any], before: Mapping[str, Any]
) -> int:
    """Record a write that is about to be sent; returns its place in the decision."""
    (n,) = registry.db.execute("SELECT coalesce(max(n), 0) + 1 FROM published WHERE decision_id = ?", (decision,)).fetchone()
    registry.db.execute(
        "INSERT INTO published (decision_id, n, label, action, number, wanted, before, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (decision, n, label, action, number, _json(wanted), _json(before), now()),
    )
    return int(n)


def settle(
    registry: Registry, decision: int, n: int, state: str, *, result: Mapping[str, Any] | None = None, reason: str | None = None
) -> None:
    """Say what became of a write."""
    registry.db.execute(
        "UPDATE published SET state = ?, result = coalesce(?, result), reason = ? WHERE decision_id = ? AND n = ?",
        (state, None if result is None else _json(result), reason, decision, n),
    )


def steps(registry: Registry, decision: int) -> list[PublishedStep]:
    """The writes of a decision in their order."""
    return list(_steps(registry, "decision_id = ?", decision))


def open_steps(registry: Registry, label: str) -> list[PublishedStep]:
    """Writes of a user that were sent, or were being taken back, when somebody pulled the plug."""
    return list(_steps(registry, f"label = ? AND state IN ('{SENT}', '{UNDOING}')", label))


def standing(registry: Registry, label: str = "") -> list[PublishedStep]:
    """Everything that a user's Immich was told and that was not taken back, oldest first; without a label: everybody's.

    What went to a server that was set up anew since is not there, and does not stand.
    """
    marks = ", ".join(f"'{state}'" for state in _STANDS)
    owner = "(SELECT json_extract(payload, '$.user_id') FROM decisions WHERE id = decision_id)"
    here = f"({owner} IS NULL OR {owner} = (SELECT user_id FROM users WHERE users.label = published.label))"
    return list(_steps(registry, f"(?1 = '' OR label = ?1) AND state IN ({marks}) AND {here}", label))


def faces_since(registry: Registry, label: str, moment: str) -> set[str]:
    """Ids of the assets whose faces were given to somebody, or drawn, in a user's Immich at ``moment`` (ISO 8601, UTC) or later."""
    sql = "SELECT DISTINCT json_extract(wanted, '$.asset') FROM published WHERE label = ? AND at >= ?"
    return {row[0] for row in registry.db.execute(sql, (label, moment)) if row[0] is not None}


def unfinished(registry: Registry, label: str) -> tuple[int, int, Mapping[str, Any]] | None:
    """The publish of a user that was cut off: its change, its decision, and what it was told to do."""
    row = registry.db.execute(
        "SELECT c.id, c.decision_id, c.payload FROM changes AS c WHERE c.kind = ? AND c.state = 'planned' "
        "AND json_extract(c.payload, '$.label') = ? ORDER BY c.id DESC LIMIT 1",
        (PUBLISH, label),
    ).fetchone()
    return None if row is None else (row[0], row[1], json.loads(row[2]))


def say(registry: Registry, change: int, sentences: Collection[str]) -> None:
    """What the history says of a publish."""
    registry.db.execute("UPDATE changes SET inverse = ? WHERE id = ?", (_json({"sentences": list(sentences)}), change))


def placed_faces(registry: Registry, owner_id: str) -> list[PlacedFace]:
    """Faces (members and recognised ones) of people with a name, once for each of this owner's assets that show them.

    Where an asset has other bytes than a member was found in, the same face in those stands for it.
    In the order of numbers, photos and places, of copies the one that stands for the photo first.
    """
    sql = (
        "SELECT p.number, m.key, f.x1, f.y1, f.x2, f.y2, ph.width, ph.height, a.asset_id, a.id, a.taken_at, a.reason, a.visibility, "
        "a.is_trashed, a.is_edited, a.width, a.height, a.pixels FROM people AS p JOIN memberships AS s ON s.person_id = p.id "
        "JOIN faces AS f ON f.id = s.face_id JOIN photos AS ph ON ph.id = f.photo_id "
        "JOIN measurements AS m ON m.face_id = f.id AND m.pack = s.pack JOIN assets AS a ON a.photo_id = f.photo_id "
        "WHERE p.standing = 'active' AND p.name IS NOT NULL AND p.number IS NOT NULL AND (s.standing IN ('member', 'recognised') "
        "OR s.standing = 'near_duplicate' AND EXISTS (SELECT 1 FROM measurements AS b JOIN earlier_photos AS e USING (photo_id) "
        "WHERE b.key = s.better_key AND e.asset = a.id)) "
        "AND a.owner_id = ? AND a.type = 'IMAGE' ORDER BY p.number, f.photo_id, f.id, a.kept_id IS NOT NULL, a.asset_id"
    )
    found: list[PlacedFace] = []
    for row in registry.db.execute(sql, (owner_id,)):
        number, key, x1, y1, x2, y2, width, height, asset_id, row_id, taken, reason, visibility, trashed, edited, *more = row
        own_width, own_height, pixels = more
        size = (width, height) if width and height else (own_width, own_height) if own_width and own_height else None
        if pixels not in ("original", "none") and not (width and height):
            size = None
        found.append(
            PlacedFace(
                number, key, (x1, y1, x2, y2), size, asset_id, row_id, taken, Reason(reason), visibility, bool(trashed), bool(edited),
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class FaceThere:
    """A face here and the person that Immich had for it when it was last asked; "" where that has nobody."""

    key: str
    number: int | None
    place: Box  # in the unit square
    person_id: str


def faces_there(registry: Registry, label: str, asset_id: str) -> list[FaceThere]:
    """The faces of an asset as both sides have them."""
    sql = (
        "SELECT m.key, p.number, f.x1, f.y1, f.x2, f.y2, coalesce(ph.width, a.width), coalesce(ph.height, a.height), a.boxes "
        "FROM assets AS a JOIN photos AS ph ON ph.id = a.photo_id JOIN faces AS f ON f.photo_id = ph.id "
        "JOIN memberships AS s ON s.face_id = f.id JOIN measurements AS m ON m.face_id = f.id AND m.pack = s.pack "
        "LEFT JOIN people AS p ON p.id = s.person_id WHERE a.label = ? AND a.asset_id = ? AND a.boxes IS NOT NULL ORDER BY f.id"
    )
    rows = [row for row in registry.db.execute(sql, (label, asset_id)) if row[6] and row[7]]
    if not rows:
        return []
    boxes = [FaceBox(*values) for values in json.loads(rows[0][8])]
    told = [(box, place) for box in boxes if (place := box.scaled_to(1, 1))]
    here: list[Box] = [(x1 / w, y1 / h, x2 / w, y2 / h) for _, _, x1, y1, x2, y2, w, h, _ in rows]
    pairs = same_places(here, [place for _, place in told])
    return [FaceThere(row[0], row[1], here[i], (told[pairs[i]][0].person_id or "") if i in pairs else "") for i, row in enumerate(rows)]


def people_of_published(registry: Registry, keys: Collection[str]) -> list[str] | None:
    """Ids of the people whom Immich had, when it was last asked, for those of these faces whose photos something was published about.

    None where that is none of them.
    """
    sql = (
        "SELECT DISTINCT a.label, a.asset_id FROM measurements AS m JOIN faces AS f ON f.id = m.face_id "
        "JOIN assets AS a ON a.photo_id = f.photo_id WHERE m.key IN (SELECT value FROM json_each(?)) AND (a.label, a.asset_id) IN "
        "(SELECT label, json_extract(wanted, '$.asset') FROM published WHERE action IN ('face', 'draw'))"
    )
    wanted, rows = frozenset(keys), registry.db.execute(sql, (_json(list(keys)),)).fetchall()
    found = {face.person_id for label, asset_id in rows for face in faces_there(registry, label, asset_id) if face.key in wanted}
    return sorted(found - {""}) if rows else None


@dataclass(frozen=True, slots=True)
class NamedThere:
    """A face of a named person here, and the visible, named person in Immich whose it is there."""

    key: str
    number: int
    name: str
    label: str
    asset_id: str
    person_id: str
    immich_name: str


def named_faces_there(registry: Registry) -> list[NamedThere]:
    """Such faces whose two names are not the same text, in the order of numbers and photos."""
    sql = (
        "SELECT m.key, p.number, p.name, a.label, a.asset_id, sp.person_id, sp.name FROM people AS p "
        "JOIN memberships AS s ON s.person_id = p.id JOIN faces AS f ON f.id = s.face_id "
        "JOIN measurements AS m ON m.face_id = f.id AND m.pack = s.pack JOIN source_people AS sp ON sp.person_id = f.source_person_id "
        "JOIN assets AS a ON a.id = (SELECT id FROM assets WHERE photo_id = f.photo_id AND label = sp.label "
        "ORDER BY kept_id IS NOT NULL, id LIMIT 1) WHERE p.standing = 'active' AND p.name IS NOT NULL AND p.number IS NOT NULL "
        "AND s.standing IN ('member', 'recognised') AND sp.name <> '' AND sp.name <> p.name AND sp.hidden = 0 "
        "ORDER BY p.number, f.photo_id, f.id"
    )
    return [NamedThere(*row) for row in registry.db.execute(sql)]


def names_there(registry: Registry) -> dict[tuple[int, str], Counter[str]]:
    """(Person's number, user's label) -> what the faces of each named person are called in that user's Immich, as :func:`folded`."""
    sql = (
        "SELECT p.number, sp.label, sp.name, count(*) FROM people AS p JOIN memberships AS s ON s.person_id = p.id "
        "JOIN faces AS f ON f.id = s.face_id JOIN source_people AS sp ON sp.person_id = f.source_person_id "
        "WHERE p.standing = 'active' AND p.name IS NOT NULL AND p.number IS NOT NULL AND s.standing IN ('member', 'recognised') "
        "AND sp.name <> '' AND sp.hidden = 0 GROUP BY p.number, sp.label, sp.name"
    )
    found: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for number, label, name, faces in registry.db.execute(sql):
        found[number, label][folded(name)] += faces
    return found


def people_there(registry: Registry) -> dict[tuple[str, str], str]:
    """(User's label, id of a person in Immich) -> name, as Immich had it when it was last asked."""
    return {(label, one): name for label, one, name in registry.db.execute("SELECT label, person_id, name FROM source_people")}


def face_there(registry: Registry, key: str) -> tuple[str, str, str] | None:
    """User's label, asset and id of the person whom Immich had for a face (by a measurement's key); None where it has none."""
    sql = (
        "SELECT a.label, a.asset_id, f.source_person_id FROM measurements AS m JOIN faces AS f ON f.id = m.face_id "
        "JOIN assets AS a ON a.photo_id = f.photo_id WHERE m.key = ? AND a.boxes IS NOT NULL "
        "ORDER BY instr(a.boxes, f.source_face_id) = 0, a.kept_id IS NOT NULL, a.id LIMIT 1"  # of copies the one that has this face
    )
    row = registry.db.execute(sql, (key,)).fetchone()
    return None if row is None else (row[0], row[1], row[2] or "")


def merged_names(registry: Registry) -> dict[int, tuple[tuple[int, str | None], ...]]:
    """Number -> numbers and names of those who turned out to be this person."""
    into = dict(registry.db.execute("SELECT p.number, m.number FROM people AS p JOIN people AS m ON m.id = p.merged_into").fetchall())
    names = dict(registry.db.execute("SELECT number, name FROM people WHERE number IS NOT NULL").fetchall())
    found: dict[int, list[tuple[int, str | None]]] = {}
    for number in sorted(number for number in into if number is not None):
        heir, seen = number, set[int]()
        while heir in into and heir not in seen:
            seen.add(heir)
            heir = into[heir]
        found.setdefault(heir, []).append((number, names[number]))
    return {number: tuple(those) for number, those in found.items()}


def nameless_there(registry: Registry) -> dict[str, tuple[tuple[str, int], ...]]:
    """Id of a person in Immich -> sets of people without a name here, and how many of their faces that person had at last."""
    sql = (
        "SELECT f.source_person_id, t.name, count(DISTINCT f.id) FROM people AS p JOIN sets AS t ON t.person_id = p.id "
        "JOIN memberships AS s ON s.person_id = p.id JOIN faces AS f ON f.id = s.face_id WHERE p.standing = 'active' "
        "AND p.name IS NULL AND t.kind = 'canonical' AND t.retired = 0 AND s.standing IN ('member', 'recognised') "
        "AND f.source_person_id IS NOT NULL "
        "GROUP BY f.source_person_id, t.name ORDER BY t.name"
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for person_id, set_name, n in registry.db.execute(sql):
        found.setdefault(person_id, []).append((set_name, n))
    return {person_id: tuple(those) for person_id, those in found.items()}


def nameless(registry: Registry) -> int:
    """How many active people have a set and no name."""
    sql = (
        "SELECT count(*) FROM people AS p JOIN sets AS s ON s.person_id = p.id AND s.kind = 'canonical' "
        "WHERE p.standing = 'active' AND p.name IS NULL AND s.retired = 0"
    )
    return int(registry.db.execute(sql).fetchone()[0])


def _steps(registry: Registry, where: str, *values: object) -> Iterator[PublishedStep]:
    sql = (
        "SELECT decision_id, n, label, action, number, wanted, before, result, state, reason, at FROM published "
        f"WHERE {where} ORDER BY decision_id, n"
    )
    for row in registry.db.execute(sql, values).fetchall():
        decision, n, label, action, number, wanted, before, result, state, reason, at = row
        yield PublishedStep(
            decision, n, label, action, number, json.loads(wanted), json.loads(before), json.loads(result), state, reason, at,
        )  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
