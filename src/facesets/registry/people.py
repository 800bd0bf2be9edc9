"""Queries about people: who has which number, name, sets and faces; what their sources call them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from facesets.records import FaceBox, FaceSet, Reason
from facesets.registry import sets
from facesets.registry.database import Registry
from facesets.registry.overlap import same_places
from facesets.registry.photos import first_taken
from facesets.wording import folded, name_as_kept

_PEOPLE = (
    "SELECT p.id, p.number, p.name, p.birth_date, p.standing, m.number AS into_number, s.name AS set_name, s.origin, s.pack, "
    "s.written, s.retired, s.revision FROM people AS p LEFT JOIN people AS m ON m.id = p.merged_into "
    "LEFT JOIN sets AS s ON s.person_id = p.id AND s.kind = 'canonical'"
)


@dataclass(frozen=True, slots=True)
class Person:
    """A person and their canonical set. ``merged_into`` is the number of the person they turned out to be."""

    id: int
    number: int
    name: str | None
    birth_date: str | None
    standing: str  # active, ignored, merged, forgotten
    merged_into: int | None
    set_name: str
    origin: str
    pack: str
    written: bool
    retired: bool
    revision: int

    @property
    def said(self) -> str:
        """The set's name, with the person's where there is one."""
        return f"{self.set_name} ({self.name})" if self.name else self.set_name


@dataclass(frozen=True, slots=True)
class SourceName:
    """What a source calls the faces of a set: ``faces`` of the set's ``total`` have a person of this ``name``."""

    person_id: str
    name: str
    birth_date: str | None
    faces: int
    total: int

    @property
    def share(self) -> float:
        """Of all of the set's faces, 0 to 1."""
        return self.faces / self.total if self.total else 0.0


def select(registry: Registry, *, standing: Iterable[str] = ()) -> list[Person]:
    """People with a number, by it; all, or those of these standings."""
    wanted = set(standing)
    rows = registry.db.execute(f"{_PEOPLE} WHERE p.number IS NOT NULL AND s.id IS NOT NULL ORDER BY p.number")
    return [person for row in rows if (person := _person(tuple(row))).standing in (wanted or {person.standing})]


def of_number(registry: Registry, number: int) -> Person | None:
    """The person with this number."""
    row = registry.db.execute(f"{_PEOPLE} WHERE p.number = ? AND s.id IS NOT NULL", (number,)).fetchone()
    return None if row is None else _person(tuple(row))


def of_set(registry: Registry, name: str) -> Person | None:
    """The person whose set, of whatever kind, has this name."""
    sql = f"{_PEOPLE} WHERE p.id = (SELECT person_id FROM sets WHERE name = ?)"
    row = registry.db.execute(sql, (name,)).fetchone()
    return None if row is None else _person(tuple(row))


def of_id(registry: Registry, person: int | None) -> Person | None:
    """The person with this id."""
    row = registry.db.execute(f"{_PEOPLE} WHERE p.id = ? AND s.id IS NOT NULL", (person,)).fetchone()
    return None if row is None else _person(tuple(row))


def rename(registry: Registry, person: int, name: str | None) -> None:
    """Give a person (by its id) a name, or none."""
    registry.db.execute("UPDATE people SET name = ? WHERE id = ?", (name, person))


def set_standing(registry: Registry, person: int, standing: str, *, merged_into: int | None = None) -> None:
    """A person is active, ignored, merged into another, or forgotten."""
    registry.db.execute("UPDATE people SET standing = ?, merged_into = ? WHERE id = ?", (standing, merged_into, person))


def add(
    registry: Registry, name: str, number: int, pack: str, *, person_name: str | None = None, origin: str = "made", run_id: int = 0
) -> int:
    """A new person with a set, still to be written; returns the person's id. ``origin``: "adopted" of a set of its owner's images."""
    sets.add(registry, FaceSet(name, number, origin, pack, person_name), run_id, written=False)
    return int(registry.db.execute("SELECT person_id FROM sets WHERE name = ?", (name,)).fetchone()[0])


def give(registry: Registry, face_id: str, person: int, standing: Reason, distance: float | None = None) -> None:
    """A face, by whichever of its measurements, is a person's because a user said so."""
    give_all(registry, [face_id], person, standing, distance)


def give_all(registry: Registry, face_ids: Iterable[str], person: int, standing: Reason, distance: float | None = None) -> None:
    """Faces are a person's because a user said so."""
    registry.db.executemany(
        "UPDATE memberships SET standing = ?, person_id = ?, distance = ?, runner_up_id = NULL, runner_up_distance = NULL, "
        "ambiguous = 0, gate_has = NULL, gate_needs = NULL, better_key = NULL, was_for = NULL, note = NULL, decided_by = 'decision' "
        "WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        ((standing, person, distance, face_id) for face_id in face_ids),
    )


def free(registry: Registry, face_id: str) -> None:
    """A face is nobody's because a user said so: the next run looks for whose it is."""
    registry.db.execute(
        "UPDATE memberships SET standing = 'new', person_id = NULL, distance = NULL, runner_up_id = NULL, runner_up_distance = NULL, "
        "ambiguous = 0, gate_has = NULL, gate_needs = NULL, better_key = NULL, was_for = NULL, note = NULL, decided_by = 'decision' "
        "WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        (face_id,),
    )


def free_all(registry: Registry, face_ids: Iterable[str], person: int) -> None:
    """Faces that stand with a person (by its id) are nobody's."""
    for face_id in face_ids:
        owner = registry.db.execute(
            "SELECT person_id FROM memberships WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)", (face_id,)
        ).fetchone()
        if owner is not None and owner[0] == person:
            free(registry, face_id)


def hand_over(registry: Registry, person: int, to: int) -> None:
    """All faces of a person, in whichever standing, are another's."""
    registry.db.execute("UPDATE memberships SET person_id = ?, decided_by = 'decision' WHERE person_id = ?", (to, person))


def years(registry: Registry) -> Mapping[int, tuple[str, str, int]]:
    """Person's id -> first and last year of the photos with their faces (members and recognised ones), and how many faces."""
    sql = (
        f"SELECT m.person_id, min(y), max(y), count(*) FROM (SELECT s.person_id, substr({first_taken('f.photo_id')}, 1, 4) AS y "
        "FROM memberships AS s JOIN faces AS f ON f.id = s.face_id WHERE s.person_id IS NOT NULL "
        "AND s.standing IN ('member', 'recognised')) AS m GROUP BY m.person_id"
    )
    return {row[0]: (row[1] or "", row[2] or "", row[3]) for row in registry.db.execute(sql)}


def standings(registry: Registry) -> Mapping[int, Mapping[str, int]]:
    """Person's id -> how many faces have each standing there."""
    found: dict[int, dict[str, int]] = {}
    sql = "SELECT person_id, standing, count(*) FROM memberships WHERE person_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    for person, standing, count in registry.db.execute(sql):
        found.setdefault(person, {})[standing] = count
    return found


def eras(registry: Registry) -> Mapping[int, list[str]]:
    """Person's id -> names of the era sets."""
    found: dict[int, list[str]] = {}
    for person, name in registry.db.execute("SELECT person_id, name FROM sets WHERE kind = 'era' AND retired = 0 ORDER BY name"):
        found.setdefault(person, []).append(name)
    return found


def source_names(registry: Registry) -> dict[int, list[SourceName]]:
    """Person's id -> what their faces (members and recognised ones) are called by their source, the most frequent first."""
    totals: dict[int, int] = {}
    called: dict[tuple[int, str], list[str]] = {}
    for who, _, person_id, name in _named_faces(registry, "s.standing IN ('member', 'recognised') AND s.person_id IS NOT NULL"):
        totals[who] = totals.get(who, 0) + 1
        if name:
            called.setdefault((who, person_id), []).append(name)
    dates = dict(registry.db.execute("SELECT person_id, birth_date FROM source_people WHERE birth_date <> ''").fetchall())
    found: dict[int, list[SourceName]] = {}
    for (who, person_id), names in sorted(called.items(), key=lambda item: (item[0][0], -len(item[1]), item[1][0], item[0][1])):
        found.setdefault(who, []).append(SourceName(person_id, names[0], dates.get(person_id), len(names), totals[who]))
    return found


def names_of_faces(registry: Registry, pack: str, names: Iterable[str]) -> dict[str, str]:
    """Key of a pack's measurement -> that of ``names`` by which its source calls the face, however that is spelt there."""
    wanted = {folded(name): name for name in names}
    if not wanted:
        return {}
    of_face = {face: wanted[called] for _, face, _, name in _named_faces(registry, "1") if (called := folded(name)) in wanted}
    keys = registry.db.execute("SELECT key, face_id FROM measurements WHERE pack = ? ORDER BY key", (pack,))
    return {key: of_face[face] for key, face in keys if face in of_face}


def _named_faces(registry: Registry, where: str) -> Iterator[tuple[int, int, str, str]]:
    """``(person's id, face, source's person id, name)`` of faces; the last two are "" where their source names nobody there.

    A face is the source's where it told it, or where its box lies (IoU >= .5, one to one).
    """
    names = {
        (label, person_id): name
        for label, person_id, name in registry.db.execute("SELECT label, person_id, name FROM source_people")
    }  # fmt: skip
    by_id = {person_id: name for (_, person_id), name in sorted(names.items()) if name}  # of a group, another user's word for them
    boxes: dict[int, list[tuple[str, str]]] = {}
    sql = "SELECT photo_id, label, boxes FROM assets WHERE photo_id IS NOT NULL AND boxes IS NOT NULL AND boxes <> '[]' ORDER BY id"
    for photo, label, source_boxes in registry.db.execute(sql):
        boxes.setdefault(photo, []).append((label, source_boxes))
    rows = registry.db.execute(
        "SELECT f.photo_id, s.person_id, f.id, f.x1, f.y1, f.x2, f.y2, f.source_person_id, p.width, p.height FROM memberships AS s "
        f"JOIN faces AS f ON f.id = s.face_id JOIN photos AS p ON p.id = f.photo_id WHERE {where} ORDER BY f.photo_id, f.id"
    )
    for photo, group in groupby(rows, key=lambda row: row[0]):
        here = list(group)
        width, height = here[0][8], here[0][9]
        seen = {}
        for label, text in boxes.get(photo, ()):
            source_boxes = [FaceBox(*box) for box in json.loads(text)]
            placed = [
                (box, place) for box in source_boxes if (place := box.scaled_to(width or box.image_width, height or box.image_height))
            ]
            pairs = same_places([(x1, y1, x2, y2) for _, _, _, x1, y1, x2, y2, *_ in here], [place for _, place in placed])
            for i, j in pairs.items():
                box = placed[j][0]
                if box.person_id and i not in seen:
                    own = names.get((label, box.person_id), box.person_name)
                    seen[i] = (box.person_id, by_id.get(box.person_id, "") if own is None else own)
        for i, row in enumerate(here):
            person_id, name = seen.get(i) or (row[7] or "", by_id.get(row[7] or "", ""))
            yield row[1], row[2], person_id, name_as_kept(name)


def names_at_sources(registry: Registry) -> list[str]:
    """All names that sources give to people."""
    sql = "SELECT DISTINCT trim(name) AS n FROM source_people WHERE trim(name) <> '' ORDER BY n"
    return [row[0] for row in registry.db.execute(sql)]


def births(registry: Registry) -> dict[str, str]:
    """Name as it is compared (``wording.folded``) -> birth date (ISO 8601) as the sources tell it; of several people of one name
    that agree.
    """
    found: dict[str, set[str]] = {}
    for name, born in registry.db.execute("SELECT name, birth_date FROM source_people WHERE birth_date <> '' ORDER BY 1, 2"):
        found.setdefault(folded(name), set()).add(born[:10])
    return {name: min(dates) for name, dates in found.items() if name and len(dates) == 1}


def _person(row: tuple[Any, ...]) -> Person:
    who, number, name, born, standing, into, set_name, origin, pack, written, retired, revision = row
    return Person(who, number, name, born, standing, into, set_name, origin, pack, bool(written), bool(retired), revision)
