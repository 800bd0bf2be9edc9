"""Queries about people as a source knows them, and whose a face is by what the source says of its place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facesets.records import Box, FaceBox, SourcePerson
from facesets.registry.database import Registry
from facesets.registry.overlap import DRAWN, SAME_PLACE, same_places

XMP = "xmp:"  # what ids of people begin with whom no source knows, but photos of a folder name
_IDENTIFIED = "faces_identified"
_PUT = (
    "INSERT INTO source_people (label, person_id, name, birth_date, hidden) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET name = excluded.name, birth_date = excluded.birth_date, hidden = excluded.hidden "
    "WHERE (name, birth_date, hidden) IS NOT (excluded.name, excluded.birth_date, excluded.hidden)"
)


def put(registry: Registry, label: str, people: Mapping[str, SourcePerson | None]) -> None:
    """Keep people, by id; None: forget the person."""
    gone = ((label, person_id) for person_id, person in people.items() if person is None)
    registry.db.executemany("DELETE FROM source_people WHERE label = ? AND person_id = ?", gone)
    registry.db.executemany(_PUT, (_values(label, person) for person in people.values() if person is not None))


def replace(registry: Registry, label: str, people: Iterable[SourcePerson]) -> None:
    """These are all the people whom a user's source knows."""
    known = {person.person_id: person for person in people}
    before = registry.db.execute("SELECT person_id FROM source_people WHERE label = ?", (label,)).fetchall()
    put(registry, label, {**{row[0]: None for row in before if row[0] not in known}, **known})


def select(registry: Registry, label: str, owner_id: str) -> list[SourcePerson]:
    """The people of a user's source, by id."""
    sql = "SELECT person_id, name, birth_date, hidden FROM source_people WHERE label = ? ORDER BY person_id"
    return [SourcePerson(owner_id, one, name, birth, bool(hidden)) for one, name, birth, hidden in registry.db.execute(sql, (label,))]


def identify(registry: Registry, photo_ids: Iterable[int]) -> None:
    """Give the faces of these photos the ids that their source has for a face at the same place, and for its person.

    One to one, from an intersection over union of .5 on; what is left then, drawn by hand perhaps, from .3 on. Of a photo that several
    assets are, the one that stands for it counts, and for faces of which that one does not know, its copies.
    """
    for photo_id in photo_ids:
        told = registry.db.execute(
            "SELECT a.boxes, coalesce(p.width, a.width), coalesce(p.height, a.height) FROM photos AS p JOIN assets AS a "
            "ON a.photo_id = p.id WHERE p.id = ? AND a.boxes IS NOT NULL ORDER BY a.seen_run = 0 OR a.is_trashed, a.boxes = '[]', "
            "a.kept_id IS NOT NULL, a.id",
            (photo_id,),
        ).fetchall()
        if sized := [row for row in told if row[1] and row[2]]:
            _identify(registry, photo_id, sized)


def identify_once(registry: Registry) -> None:
    """Do so for all photos of a registry that was filled before this was known of any face."""
    if registry.fact(_IDENTIFIED) is None:
        ids = [row[0] for row in registry.db.execute("SELECT DISTINCT photo_id FROM faces WHERE source_face_id IS NULL")]
        identify(registry, ids)
        registry.set_fact(_IDENTIFIED, "1")


@dataclass(frozen=True, slots=True)
class FolderPhoto:
    """A photo of a folder in which faces were found: its row, its file, its size as it is shown, whose it is."""

    id: int
    path: str
    width: int | None
    height: int | None
    label: str


def folder_photos(registry: Registry, *, again: bool) -> list[FolderPhoto]:
    """Photos of folders with faces of which it was not read yet whom the photo names; with ``again`` all. Of a photo that a source
    with faces of its own has as well, the source's word holds.
    """
    sql = (
        "SELECT p.id, p.path, coalesce(p.width, a.width), coalesce(p.height, a.height), a.label FROM photos AS p JOIN assets AS a "
        "ON a.photo_id = p.id AND a.kept_id IS NULL WHERE a.source = 'folder' AND p.path IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM assets AS b WHERE b.photo_id = p.id AND b.boxes IS NOT NULL) "
        "AND EXISTS (SELECT 1 FROM faces AS f WHERE f.photo_id = p.id AND (? OR f.source_face_id IS NULL)) ORDER BY p.id"
    )
    return [FolderPhoto(*row) for row in registry.db.execute(sql, (again,))]


def name_faces(registry: Registry, photo: FolderPhoto, readings: Sequence[Sequence[tuple[str, Box]]]) -> tuple[int, int]:
    """Give the faces of a photo the people whom it names, ``(name, box)`` each: by the reading of which most lie on faces, the first of
    several. Returns how many names that reading has, and how many of them lie on a face.
    """
    faces = registry.db.execute("SELECT id, x1, y1, x2, y2 FROM faces WHERE photo_id = ? ORDER BY id", (photo.id,)).fetchall()
    boxes: list[Box] = [tuple(face)[1:] for face in faces]
    tried = [(reading, same_places(boxes, [box for _, box in reading], DRAWN)) for reading in readings]
    reading, pairs = max(tried, key=lambda one: len(one[1]), default=((), {}))
    named = [(XMP, XMP + reading[pairs[i]][0] if i in pairs else None, face[0]) for i, face in enumerate(faces)]
    registry.db.executemany("UPDATE faces SET source_face_id = ?, source_person_id = ? WHERE id = ?", named)
    people = {person_id: SourcePerson("", person_id, person_id.removeprefix(XMP)) for _, person_id, _ in named if person_id}
    put(registry, photo.label, people)
    return len(reading), len(pairs)


def drop_unnamed(registry: Registry) -> None:
    """Forget people of whom no photo names a face any more."""
    registry.db.execute(
        "DELETE FROM source_people WHERE person_id LIKE ? AND person_id NOT IN (SELECT source_person_id FROM faces "
        "WHERE source_person_id IS NOT NULL)",
        (f"{XMP}%",),
    )


def _identify(registry: Registry, photo_id: int, told: Sequence[sqlite3.Row]) -> None:
    faces: list[sqlite3.Row] = registry.db.execute(
        "SELECT id, x1, y1, x2, y2, source_face_id, source_person_id FROM faces WHERE photo_id = ? ORDER BY id", (photo_id,)
    ).fetchall()
    here: list[Box] = [tuple(face)[1:5] for face in faces]
    known: dict[int, FaceBox] = {}
    for boxes, width, height in told if faces else ():
        if len(known) == len(faces):
            break
        placed = [(box, place) for box in (FaceBox(*values) for values in json.loads(boxes)) if (place := box.scaled_to(width, height))]
        faces_left, boxes_left = [i for i in range(len(here)) if i not in known], [*range(len(placed))]
        for least in (SAME_PLACE, DRAWN):
            pairs = same_places([here[i] for i in faces_left], [placed[j][1] for j in boxes_left], least)
            known |= {faces_left[i]: placed[boxes_left[j]][0] for i, j in pairs.items()}
            faces_left = [face for i, face in enumerate(faces_left) if i not in pairs]
            boxes_left = [box for j, box in enumerate(boxes_left) if j not in pairs.values()]
    for at, (face_id, *_, before, person_before) in enumerate(faces):
        box = known.get(at)
        named = (box.face_id or None, box.person_id) if box else (None, None)
        if named != (before, person_before):
            registry.db.execute("UPDATE faces SET source_face_id = ?, source_person_id = ? WHERE id = ?", (*named, face_id))


def _values(label: str, person: SourcePerson) -> tuple[object, ...]:
    return label, person.person_id, person.name, person.birth_date, person.is_hidden
