"""Queries for pages that show people and faces: a part of a long list at a time, without a vector.

A face is called by the measurement that decided on it; an image of its owner's own, by the SHA-256 of its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facesets.files import is_face_image
from facesets.records import Face, Reason
from facesets.registry.changes import decided_files
from facesets.registry.database import Registry
from facesets.registry.photos import first_taken
from facesets.registry.sets import sizes

# the face of a person at a place of a photo, as content keys have it
_AT = (
    "SELECT m.key FROM photos AS p JOIN faces AS f ON f.photo_id = p.id JOIN memberships AS s ON s.face_id = f.id "
    "JOIN measurements AS m ON m.face_id = f.id AND m.pack = s.pack WHERE (p.sha256 = ?1 OR p.source_key = ?1) "
    "AND s.person_id = ?2 AND round(f.x1, 2) = ?3 AND round(f.y1, 2) = ?4 AND round(f.x2, 2) = ?5 AND round(f.y2, 2) = ?6"
)

_WITHOUT_MEMBER = (
    "SELECT f.path, f.sha256 FROM (SELECT path FROM set_files WHERE set_id = ?1 EXCEPT SELECT file FROM set_faces WHERE set_id = ?1) "
    "AS o JOIN set_files AS f ON f.set_id = ?1 AND f.path = o.path"
)
# counting is quick, and almost every set made here has a file a member and nothing else; those that wait for a decision may have any
_MAY_HAVE_OWN = (
    "SELECT person_id, id, name FROM sets AS s WHERE kind = 'canonical' AND ((SELECT count(*) FROM set_files WHERE set_id = s.id AND "
    "path NOT GLOB '*.json') <> (SELECT count(*) FROM memberships AS m WHERE m.person_id = s.person_id AND m.standing = 'member') "
    "OR name IN (SELECT value FROM json_each(?)))"
)


@dataclass(frozen=True, slots=True)
class PersonCounts:
    """A person as a grid shows them. ``members`` counts an owner's own images, too."""

    id: int
    number: int
    set_name: str
    name: str | None
    standing: str
    origin: str
    written: bool
    members: int
    recognised: int
    likely: int

    @property
    def said(self) -> str:
        """The person's name, or the set's."""
        return self.name or self.set_name


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the pixels of a face may be: the file of a set, and the photo (relative to the workspace, or absolute) with its place."""

    key: str
    set_name: str | None
    file: str | None
    photo: str | None
    face: Face | None


def people(registry: Registry, *, standing: str = "active") -> list[PersonCounts]:
    """All people of this standing with a set that is not retired, by number."""
    counts: dict[int, dict[str, int]] = {}
    # the index alone answers it, as long as standings are not chosen here
    sql = "SELECT person_id, standing, count(*) FROM memberships WHERE person_id IS NOT NULL GROUP BY 1, 2"
    for person, reason, count in registry.db.execute(sql):
        counts.setdefault(person, {})[reason] = count
    own = {person: len(images) for person, images in own_images(registry).items()}
    rows = registry.db.execute(
        "SELECT p.id, p.number, s.name AS set_name, p.name, p.standing, s.origin, s.written FROM people AS p "
        "JOIN sets AS s ON s.person_id = p.id AND s.kind = 'canonical' "
        "WHERE p.number IS NOT NULL AND s.retired = 0 AND p.standing = ? ORDER BY p.number",
        (standing,),
    )
    found = []
    for person, number, name, called, stands, origin, written in rows:
        of = counts.get(person, {})
        members, recognised, likely = (of.get(str(reason), 0) for reason in (Reason.MEMBER, Reason.RECOGNISED, Reason.LIKELY))
        every = members + own.get(person, 0)
        found.append(PersonCounts(person, number, name, called, stands, origin, bool(written), every, recognised, likely))
    return found


def own_images(registry: Registry, people: Iterable[int] | None = None) -> dict[int, list[tuple[str, str]]]:
    """Person's id -> ``(path, sha256)`` of the images in their set that are its owner's own, as decided, by path; None: of everybody.

    Those are the images that no measured face stands for, whoever made the set that they lie in by now; what acts took out or brought
    counts, also where the folder is still to follow.
    """
    texts = [row[0] for row in registry.db.execute("SELECT payload FROM changes WHERE state = 'planned' AND kind = 'act' ORDER BY id")]
    if people is None:
        waiting = {name for text in texts for name in json.loads(text)["sets"]}
        rows = registry.db.execute(_MAY_HAVE_OWN, (json.dumps(sorted(waiting)),)).fetchall()
    else:
        sql = "SELECT person_id, id, name FROM sets WHERE kind = 'canonical' AND person_id IN (SELECT value FROM json_each(?))"
        rows = registry.db.execute(sql, (json.dumps([*people]),)).fetchall()
    found = {}
    for person, set_id, name in rows:
        files = dict(registry.db.execute(_WITHOUT_MEMBER, (set_id,)).fetchall())
        files = decided_files((json.loads(text) for text in texts if json.dumps(name) in text), name, files)
        measured = "SELECT 1 FROM set_faces WHERE set_id = ? AND file = ?"
        images = [(path, sha256) for path, sha256 in sorted(files.items()) if is_face_image(path)]
        if images := [each for each in images if registry.db.execute(measured, (set_id, each[0])).fetchone() is None]:
            found[person] = images
    return found


def faces_by_set(registry: Registry) -> dict[str, int]:
    """Set -> how many faces it has: members, and images of its owner's own."""
    found, own = dict(sizes(registry)), own_images(registry)
    for person, name in registry.db.execute("SELECT person_id, name FROM sets WHERE kind = 'canonical'"):
        found[name] = found.get(name, 0) + len(own.get(person, ()))
    return found


def own_file(registry: Registry, sha256: str, person: int | None = None) -> tuple[int, str] | None:
    """Whose own image has these bytes (a person's id), and its path in their set, as decided; ``person``: looked for there alone."""
    found = own_images(registry, None if person is None else [person])
    return next(((who, path) for who, images in found.items() for path, sha in images if sha == sha256), None)


def source_names(registry: Registry) -> list[str]:
    """The names that sources give to people they know, each once, in their order."""
    rows = registry.db.execute("SELECT DISTINCT name FROM source_people WHERE name <> '' AND hidden = 0 ORDER BY name")
    return [row[0] for row in rows]


def doubtful(registry: Registry) -> dict[int, int]:
    """Person's id -> how many of their faces may be of somebody else."""
    sql = (
        "SELECT person_id, count(*) FROM memberships WHERE ambiguous = 1 AND person_id IS NOT NULL "
        "AND standing IN ('member', 'recognised') GROUP BY 1"
    )
    return dict(registry.db.execute(sql).fetchall())


def years(registry: Registry, people: Iterable[int]) -> Mapping[int, tuple[str, str]]:
    """Person's id -> first and last year of the photos with their faces (members and recognised ones)."""
    sql = (
        f"SELECT min(y), max(y) FROM (SELECT substr({first_taken('f.photo_id')}, 1, 4) AS y "
        "FROM memberships AS s JOIN faces AS f ON f.id = s.face_id "
        "WHERE s.person_id = ? AND s.standing IN ('member', 'recognised'))"
    )
    found = {}
    for person in people:
        first, last = registry.db.execute(sql, (person,)).fetchone()
        if first:
            found[person] = (first, last)
    return found


def _chosen(registry: Registry, people: Sequence[int]) -> dict[int, str]:
    """Person's id -> the face that a user chose to show them by, where it still is of them; the last choice that stands."""
    numbers = {number: person for person, number in registry.db.execute("SELECT id, number FROM people WHERE number IS NOT NULL")}
    wanted, found = set(people), dict[int, str]()
    for (payload,) in registry.db.execute("SELECT payload FROM decisions WHERE act = 'best' AND undone_by IS NULL ORDER BY id"):
        said = json.loads(payload)
        person = numbers.get(said["set"])
        if person not in wanted:
            continue
        (face,) = said["faces"]
        if face["box"]:
            row = registry.db.execute(_AT, (face["photo"], person, *face["box"])).fetchone()
        else:
            row = (face["photo"],) if own_file(registry, face["photo"], person) else None
        if row is not None:
            found[person] = row[0]
    return found


def best_faces(registry: Registry, people: Sequence[int]) -> dict[int, str]:
    """Person's id -> the face to show them by: the one chosen, the best of their set, an image of the owner's, or the nearest."""
    member = (
        "SELECT m.key FROM set_faces AS k JOIN sets AS s ON s.id = k.set_id JOIN measurements AS m ON m.id = k.measurement_id "
        "WHERE s.person_id = ? AND s.kind = 'canonical' ORDER BY k.rank LIMIT 1"
    )
    nearest = (
        "SELECT m.key FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "
        "WHERE s.person_id = ? AND s.standing = 'recognised' ORDER BY s.distance, m.key LIMIT 1"
    )
    found = _chosen(registry, people)
    for person in people:
        if person not in found and (row := registry.db.execute(member, (person,)).fetchone()) is not None:
            found[person] = row[0]
    rest = [person for person in people if person not in found]
    found |= {person: images[0][1] for person, images in own_images(registry, rest).items()}
    for person in rest:
        if person not in found and (row := registry.db.execute(nearest, (person,)).fetchone()) is not None:
            found[person] = row[0]
    return found


def picture(registry: Registry, key: str) -> Pixels | None:
    """Where the pixels of the face with exactly this id may be; None where there is no such face."""
    row = registry.db.execute(
        "SELECT m.key, coalesce(p.sha256, p.source_key), m.idx, m.x1, m.y1, m.x2, m.y2, m.landmarks, m.face_short, m.pack, p.path, "
        "t.name, k.file FROM measurements AS m JOIN photos AS p ON p.id = m.photo_id "
        "LEFT JOIN set_faces AS k ON k.measurement_id = m.id AND k.file IS NOT NULL LEFT JOIN sets AS t ON t.id = k.set_id "
        "WHERE m.key = ? ORDER BY t.kind LIMIT 1",
        (key,),
    ).fetchone()
    if row is not None:
        own, photo, index, x1, y1, x2, y2, landmarks, short, pack, path, set_name, file = row
        places = tuple((x, y) for x, y in json.loads(landmarks))
        return Pixels(own, set_name, file, path, Face(own, photo, index, (x1, y1, x2, y2), places, None, short, None, pack, {}))
    sql = (
        "SELECT f.path, s.name FROM sets AS s JOIN set_files AS f ON f.set_id = s.id WHERE f.sha256 = ? "
        "ORDER BY s.origin, s.name, f.path"
    )
    for path, name in registry.db.execute(sql, (key,)):
        if is_face_image(path):
            return Pixels(key, name, path, None, None)
    return None


def nearer_to_another(registry: Registry) -> list[tuple[str, str, str, float, float]]:
    """Members whose nearest other set is nearer than their own: own set, the other, face's id, distance to own, to the other."""
    rows = registry.db.execute(
        "SELECT t.name, o.name, m.key, s.distance, s.runner_up_distance FROM memberships AS s "
        "JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical' "
        "JOIN sets AS o ON o.person_id = s.runner_up_id AND o.kind = 'canonical' "
        "JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "
        "WHERE s.standing = 'member' AND s.runner_up_distance < s.distance ORDER BY t.name, o.name, m.key"
    )
    return rows.fetchall()
