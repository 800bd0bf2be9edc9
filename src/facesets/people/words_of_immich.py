"""What Immich says by now of what was published: names and faces that somebody changed there since. Evidence, asked for and not taken.

Of what the last run, ``publish`` or ``name --from-immich`` saw there; asks no server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from facesets.identity import WhatStands, what_stands
from facesets.people.told import Told, ToldFace, told
from facesets.registry import Made, Person, Registry, decisions, people, published, same_places
from facesets.wording import folded, name_as_kept

_LOOKED = ("confirm", "move", "split")  # acts by which somebody says of single faces whose they are


@dataclass(frozen=True, slots=True)
class Look:
    """The last decision about a single face, and whose it was in Immich by what was known then (people's ids; None: not recorded)."""

    decision: int
    there: frozenset[str] | None

    def answers(self, row: ToldFace, person_id: str) -> bool:
        """Whether it was made after a face was published, and knowing that Immich has it with this person: it is the later word."""
        return self.decision > row.decision and (self.there is None or person_id in self.there)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A person who was published under the name ``before`` and is called ``name`` in Immich."""

    person: Person
    before: str
    name: str


@dataclass(frozen=True, slots=True)
class CalledOtherwise:
    """Faces (by their keys) of ``person`` that Immich has with ``name``; ``to``: who that is here, where that is known.

    ``published``: they were given to the person by a publish, so that somebody has moved them since.
    """

    person: Person
    name: str
    to: Person | None
    published: bool
    keys: tuple[str, ...]


def renamed_there(registry: Registry) -> list[Renamed]:
    """People whose name somebody changed in Immich since it was published, by number."""
    there, found = published.people_there(registry), []
    for label, said in _told(registry).items():
        for number, person_id in said.people.items():
            name, before = name_as_kept(there.get((label, person_id), "")), name_as_kept(said.names.get(person_id) or "")
            person = people.of_number(registry, number)
            if person is not None and person.standing == "active" and before and name and name not in (before, person.name):
                found.append(Renamed(person, before, name))
    return sorted(found, key=lambda each: each.person.number)


def called_otherwise(registry: Registry) -> list[CalledOtherwise]:
    """Faces of people whom Immich has too, under their name or as published, that are somebody else's there and were not decided on
    here since. Where nothing was published and more of the person's faces have that name there than the person's own, it is another
    word for the person.
    """
    made, all_told = decisions.select(registry), _told(registry)
    looked = last_look(registry, made, what_stands((one.id, one.act, one.payload) for one in made if one.stands))
    merged = published.merged_names(registry)
    there = {(label, folded(name)) for (label, _), name in published.people_there(registry).items() if name}
    called = published.names_there(registry)
    grouped: dict[tuple[int, str, int | None, bool], set[str]] = {}
    for row in published.named_faces_there(registry):
        said = all_told.get(row.label, Told())
        former = {folded(name) for _, name in merged.get(row.number, ()) if name}
        known = row.number in said.people or (row.label, folded(row.name)) in there
        if not known or said.people.get(row.number) == row.person_id or folded(row.immich_name) in {folded(row.name), *former}:
            continue
        names = called[row.number, row.label]
        if row.number not in said.people and names[folded(row.immich_name)] > names[folded(row.name)]:
            continue
        before = _told_of(registry, said, row.label, row.asset_id, row.key)
        look = looked(row.key)
        if look is not None and (before is None or look.answers(before, row.person_id)):
            continue
        other = next((number for number, person_id in said.people.items() if person_id == row.person_id), None)
        grouped.setdefault((row.number, row.immich_name, other, before is not None), set()).add(row.key)
    found = []
    for (number, name, other, was_published), keys in sorted(grouped.items(), key=lambda item: (item[0][:2], item[0][3])):
        person = people.of_number(registry, number)
        assert person is not None
        to = people.of_number(registry, other) if other is not None else _called(registry, name)
        found.append(CalledOtherwise(person, name, to if to and to.id != person.id else None, was_published, tuple(sorted(keys))))
    return found


def set_words(registry: Registry, number: int) -> list[str]:
    """What both sides said last of a person, where they were published."""
    lines, names = [], published.people_there(registry)
    for label, said in _told(registry).items():
        person_id = said.people.get(number)
        if person_id is None:
            continue
        before, now = said.names.get(person_id), names.get((label, person_id))
        came = f"published to the Immich of {label}" + (f" as {before!r}" if before else "")
        then = "" if now is None else ", and has no name there now" if not now else (
            ", and is called so there still" if now == before else f", and is called {now!r} there now"
        )  # fmt: skip
        lines.append(f"It was {came}{then}.")
    return lines


def face_words(registry: Registry, key: str) -> list[str]:
    """What both sides said last of a face: who it is in Immich, what was published, and which decision here says so."""
    lines = []
    names = published.people_there(registry)
    if (there := published.face_there(registry, key)) is not None:
        label, asset_id, person_id = there
        said = _told(registry).get(label, Told())
        row = _told_of(registry, said, label, asset_id, key)
        name = names.get((label, person_id), "")
        now = f"it is {name!r} there" if name else "it is somebody without a name there" if person_id else "it is nobody there"
        if row is not None:
            was = names.get((label, row.person_id)) or said.names.get(row.person_id, "")
            moved = "still so" if row.person_id == person_id else f"changed there since: {now}"
            lines.append(f"In Immich it was given to {was!r} by decision {row.decision}, and that is {moved}.")
        elif person_id:
            lines.append(f"In Immich {now}, as Immich was last asked.")
    if (said_here := _said_here(registry, key)) is not None:
        lines.append(said_here)
    return lines


def _said_here(registry: Registry, key: str) -> str | None:
    made = decisions.select(registry)
    stand = what_stands((one.id, one.act, one.payload) for one in made if one.stands)
    (content,) = decisions.content_keys(registry, [key])
    owner, rejected = stand.owner(content), stand.rejected(content)
    if owner is None and not rejected:
        return None
    decision = owner[1] if owner is not None else max(rejected.values())
    at = next(one.at for one in made if one.id == decision)
    number = owner[0] if owner is not None else max(rejected, key=lambda number: rejected[number])
    person = people.of_number(registry, number)
    who = person.said if person else f"person {number}"
    return f"Here decision {decision} of {at[:10]} says that it is {'' if owner is not None else 'not '}{who}."


def _told(registry: Registry) -> dict[str, Told]:
    """User's label -> what their Immich was told."""
    steps = published.standing(registry)
    return {label: told(step for step in steps if step.label == label) for label in sorted({step.label for step in steps})}


def _pairs(rows: list[ToldFace], faces: list[published.FaceThere]) -> Iterator[tuple[ToldFace, published.FaceThere]]:
    """What was told last of each face."""
    for face in faces:
        last = [row for row in rows if same_places([face.place], [row.place])]
        if last:
            yield last[-1], face


def _told_of(registry: Registry, said: Told, label: str, asset_id: str, key: str) -> ToldFace | None:
    """What Immich was told last of a face."""
    pairs = _pairs(said.faces.get(asset_id, []), published.faces_there(registry, label, asset_id)) if asset_id in said.faces else ()
    return next((row for row, face in pairs if face.key == key), None)


def last_look(registry: Registry, made: Sequence[Made], stand: WhatStands) -> Callable[[str], Look | None]:
    """Says of a face's key by which decision somebody said of this very face whose it is; None where nobody did."""
    by_id = {one.id: one for one in made}

    def last(key: str) -> Look | None:
        (content,) = decisions.content_keys(registry, [key])
        owner = stand.owner(content)
        one = None if owner is None else by_id.get(owner[1])
        if one is None or one.act not in _LOOKED:
            return None
        return Look(one.id, frozenset(one.payload["immich"]) if "immich" in one.payload else None)

    return last


def _called(registry: Registry, name: str) -> Person | None:
    found = [one for one in people.select(registry, standing=("active",)) if folded(one.name or "") == folded(name) and not one.retired]
    return found[0] if len(found) == 1 else None
