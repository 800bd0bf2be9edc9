"""What users decided, as constraints on who is who: faces and sets as the registry has them now."""

from __future__ import annotations

import json
from dataclasses import asdict

from facesets.identity import Constraints, what_stands
from facesets.records import Reason, Thresholds
from facesets.registry import Registry, decisions, faces, measurements, originals, people, runs
from facesets.thresholds import thresholds_of
from facesets.wording import folded

_TAKEN_OVER = "decisions_taken_over"


_BY_RUNS = (Reason.RECOGNISED, Reason.NEAR_DUPLICATE)  # standings that runs give with a set that was there before


def constraints_of(registry: Registry, pack: str, thresholds: Thresholds) -> Constraints:
    """The decisions that stand, and the names and birth dates that sources have, for the faces of a pack.

    A decision speaks of a face at a place of a photo, whichever pack measures it, and of the face at that place where the same asset
    has other bytes now; that is written in the journal once.
    """
    constraints, taken_over = _constraints(registry, pack, thresholds)
    _note(registry, taken_over)
    return constraints


def excluded(registry: Registry, pack: str, constraints: Constraints) -> dict[str, str]:
    """Faces that runs recognised before it was known that they cannot be of that person -> the set's name.

    A name brought a birth date since, say, or the same face was rejected in other bytes of its photo.
    """
    if not (constraints.not_in_set or constraints.births or constraints.names):
        return {}
    taken_at = originals.taken_at_by_sha256(registry)
    return {
        own: name
        for key, own, photo, name in faces.recognised(registry, pack, _BY_RUNS)
        if constraints.confirmed.get(key) != name and constraints.excludes(key, taken_at.get(photo), name)
    }


def excluded_by_any(registry: Registry) -> dict[str, str]:
    """:func:`excluded`, by the measure of whichever pack."""
    found: dict[str, str] = {}
    for pack in measurements.packs(registry):
        found |= excluded(registry, pack, _constraints(registry, pack, thresholds_of(pack))[0])
    return found


def _constraints(registry: Registry, pack: str, thresholds: Thresholds) -> tuple[Constraints, set[str]]:
    """And the faces that took decisions over from other bytes of their photos."""
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    everybody = people.select(registry)
    set_of = {person.number: person.set_name for person in everybody}
    keys = [key for key in stand.keys.values() if key["box"]]  # an owner's image is no face of a pack
    found = decisions.of_content(registry, keys, pack, thresholds.match)
    not_of, of = dict[tuple[str, str], int](), dict[str, tuple[int, str]]()  # with the decision: the latest wins
    for i, key in enumerate(keys):
        for face in found.get(i, ()):
            for number, decision in stand.rejected(key).items():
                if number in set_of:
                    not_of[face, set_of[number]] = max(decision, not_of.get((face, set_of[number]), 0))
            if (owner := stand.owner(key)) is not None and owner[0] in set_of:
                of[face] = max((owner[1], set_of[owner[0]]), of.get(face, (0, "")))
    confirmed: dict[str, str | None] = {face: name for face, (at, name) in of.items() if at > not_of.get((face, name), 0)}
    spelt: dict[str, str] = {}  # of the ways in which a name is spelt the first, so that one name is one
    set_names = {
        person.set_name: spelt.setdefault(folded(person.name), person.name)
        for person in everybody if person.name and not person.retired
    }  # fmt: skip
    names = people.names_of_faces(registry, pack, spelt.values())
    dates = people.births(registry)
    births = {person.set_name: person.birth_date or dates.get(folded(person.name or "")) for person in everybody}
    constraints = Constraints(
        not_in_set=frozenset(pair for pair in not_of if confirmed.get(pair[0]) != pair[1]),
        confirmed=confirmed,
        names={face: name for face, name in names.items() if face not in confirmed},
        set_names=set_names,
        births={name: born for name, born in births.items() if born},
    )
    return constraints, {face for known in found.values() for face in known[1:]}


def fingerprint(constraints: Constraints) -> str:
    """All that they say, in one order."""
    said = asdict(constraints) | {"not_in_set": sorted(constraints.not_in_set)}
    return json.dumps(said, sort_keys=True)


def _note(registry: Registry, now: set[str]) -> None:
    known = set(json.loads(registry.fact(_TAKEN_OVER) or "[]"))
    if new := sorted(now - known):
        with registry.transaction():
            registry.set_fact(_TAKEN_OVER, json.dumps(sorted(known | now)))
            runs.note(registry, None, "decisions taken over", faces=new)
