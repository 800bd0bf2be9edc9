"""What to look at next: one ranked list, each entry with its evidence and the command that carries it out.

Ranking: how many faces a yes puts right, as far as can be expected: their number times the chance that the answer is yes. Where no
better figure is known, the chance falls from 1 at distance 0 to 1/2 at the distance up to which the pack calls two one person.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from facesets.changes import excluded_by_any
from facesets.clustering import distances
from facesets.identity import what_stands
from facesets.people import said
from facesets.people.names import AT_LEAST, PHOTOS, suggested_names
from facesets.people.whole_sets import shown_by_own_images
from facesets.people.words_of_immich import called_otherwise, renamed_there
from facesets.reason_texts import name_of
from facesets.records import Reason
from facesets.registry import Person, Registry, SourceName, decisions, faces, gallery, measurements, people, sets
from facesets.thresholds import thresholds_of
from facesets.wording import count_of, folded, plural

_NAMED_ALIKE = 0.9  # chance that two sets to which one user gave one name are one person; assumed, not measured
_Known = dict[int, list[SourceName]]  # person's id -> what their faces are called at their source
_ONE_GATE = 0.8  # a group that has so much of what the gate asks for only just failed


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``kind``: extend, merge, move, reject, name, split, look, group. ``faces``: expected number put right."""

    kind: str
    text: str
    command: str
    faces: float
    evidence: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def suggest(registry: Registry) -> list[Suggestion]:
    """Everything worth a look, most useful first."""
    active = [person for person in people.select(registry, standing=("active",)) if not person.retired]
    known = people.source_names(registry)  # reads all faces
    found = [
        *_extensions(registry, active), *_merges(registry, active), *_names(registry, known), *_nearer(registry, active),
        *_likely(registry), *_source_people(registry, active, known), *_one_name(registry, active, known),
        *_named_alike(registry, active), *_groups(registry), *_changed_in_immich(registry),
    ]  # fmt: skip
    best: dict[str, Suggestion] = {}  # one entry a command, on its best evidence
    for each in sorted(found, key=lambda each: (-each.faces, each.command)):
        best.setdefault(each.command, each)
    return list(best.values())


def _extensions(registry: Registry, active: list[Person]) -> list[Suggestion]:
    standings, no_more, out = people.standings(registry), excluded_by_any(registry), []
    for person in active:
        n = standings.get(person.id, {}).get(Reason.RECOGNISED, 0)
        if n and person.set_name in no_more.values():
            n -= sum(key in no_more for key in decisions.faces_of(registry, person.id, [Reason.RECOGNISED]))
        if n and person.written:
            n -= len(shown_by_own_images(registry, person) - no_more.keys())
        if n and person.written:
            text = f"{count_of(n, 'face', 'was')} recognised as {person.said} and {plural(n, 'is')} in no folder"
            out.append(Suggestion("extend", text, f"facesets extend {person.set_name}", float(n), {"recognised": n}))
    return out


def _merges(registry: Registry, active: list[Person]) -> list[Suggestion]:
    """Two sets that are near enough to each other to be one person, and were never said to be two."""
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    by_name = {person.set_name: person for person in active}
    sizes, out = people.standings(registry), []
    for pack in sorted({person.pack for person in active}):
        centroids = [c for c in sets.centroids(registry, pack, whole=True) if c.name in by_name]
        if len(centroids) < 2:
            continue
        cut = thresholds_of(pack).cluster
        away = distances(np.stack([c.vector for c in centroids]), np.stack([c.vector for c in centroids]))
        for i, j in zip(*np.nonzero(np.triu(away <= cut, 1)), strict=True):
            one, two = by_name[centroids[i].name], by_name[centroids[j].name]
            if (
                one.id == two.id
                or frozenset((one.number, two.number)) in stand.cannot_link
                or (one.name and two.name and folded(one.name) != folded(two.name))
            ):
                continue
            big, small = sorted((one, two), key=lambda each: (-_members(sizes, each), each.number))
            n, away_by = _members(sizes, small), float(away[i, j])
            text = f"{small.said} and {big.said} may be one person: their average faces are {away_by:.2f} apart"
            expected = n * (1 - away_by / (2 * cut))
            command = f"facesets merge {small.set_name} {big.set_name}"
            out.append(Suggestion("merge", text, command, expected, {"distance": away_by, "cut": cut, "faces": n}))
    return out


def _members(sizes: Any, person: Person) -> int:
    return int(sum(sizes.get(person.id, {}).get(str(standing), 0) for standing in (Reason.MEMBER, Reason.RECOGNISED))) or 1


def _names(registry: Registry, known: _Known) -> list[Suggestion]:
    out = []
    for each in suggested_names(registry, known=known):
        if each.conflict is None:
            where = "in its photos" if each.by == PHOTOS else "at its source"
            text = f"{each.person.set_name} is {each.name} {where} ({each.share:.0%} of its faces)"
            command = f"facesets name {each.person.set_name} {shlex.quote(each.name)}"
            evidence = {"name": each.name, "share": each.share, "faces": each.faces}
            out.append(Suggestion("name", text, command, each.faces * each.share, evidence))
    return out


def _nearer(registry: Registry, active: list[Person]) -> list[Suggestion]:
    """Members that are nearer to another person than to their own."""
    out = []
    names = {person.set_name: person for person in active}
    confirmed = _confirmed(registry)
    grouped: dict[tuple[str, str], list[tuple[str, float, float]]] = defaultdict(list)
    for own, other, key, near, far in gallery.nearer_to_another(registry):
        if own in names and other in names:
            grouped[own, other].append((key, near, far))
    for (own, other), all_rows in sorted(grouped.items()):
        rows = [row for row in all_rows if row[0] not in confirmed]
        if rows:
            many = f"{count_of(len(rows), 'face')} of {names[own].said} {plural(len(rows), 'is')}"
            text = f"{many} nearer to {names[other].said}"
            command = f"facesets move {' '.join(key[:16] for key, _, _ in rows)} --to {other}"
            expected = sum(1 - far / (nearer + far) for _, nearer, far in rows)
            out.append(Suggestion("move", text, command, expected, {"set": own, "other_set": other, "faces": rows}))
    return out


def _confirmed(registry: Registry) -> set[str]:
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    spoken = [stand.keys[key] for key in stand.owners if stand.keys[key]["box"]]  # an owner's image has none
    return said.spoken_of(registry, spoken, measurements.packs(registry))


def _likely(registry: Registry) -> list[Suggestion]:
    grouped: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in faces.select(registry, reasons=(Reason.LIKELY,)):
        if row.set_name is not None:
            grouped[row.set_name].append((row.face.face_id, row.distance or 0.0))
    out = []
    for name, rows in sorted(grouped.items()):
        rows.sort(key=lambda row: (row[1], row[0]))
        text = f"{count_of(len(rows), 'face')} may be of {name}: have a look"
        command = f"facesets confirm {' '.join(key[:16] for key, _ in rows)}"
        out.append(Suggestion("look", text, command, len(rows) / 2, {"set": name, "faces": rows}))
    return out


def _source_people(registry: Registry, active: list[Person], known: _Known) -> list[Suggestion]:
    """One set in which the source sees two named people, each in more than a stray face, and that nobody said to be right."""
    confirmed, out = _confirmed(registry), []
    for person in active:
        faces_by_name: dict[str, int] = defaultdict(int)
        spelt: dict[str, str] = {}
        for each in known.get(person.id, ()):
            faces_by_name[spelt.setdefault(folded(each.name), each.name)] += each.faces
        ranked = sorted(faces_by_name.items(), key=lambda item: (-item[1], item[0]))
        if len(ranked) > 1 and ranked[1][1] >= 3 and ranked[0][1] < AT_LEAST * sum(faces_by_name.values()):
            if confirmed.issuperset(decisions.faces_of(registry, person.id, [Reason.MEMBER])):
                continue
            names = " and ".join(f"{name} ({n})" for name, n in ranked[:2])
            text = f"{person.said} may hold two people: its source calls its faces {names}"
            out.append(Suggestion("split", text, f"facesets explain {person.set_name}", ranked[1][1] / 2, {"names": dict(ranked)}))
    return out


def _one_name(registry: Registry, active: list[Person], known: _Known) -> list[Suggestion]:
    """One person of a source in two sets."""
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    sizes = people.standings(registry)
    by_name: dict[str, list[tuple[Person, float, str]]] = defaultdict(list)
    for person in active:
        for each in known.get(person.id, ())[:1]:
            if each.share >= AT_LEAST and (person.name is None or folded(person.name) == folded(each.name)):
                by_name[folded(each.name)].append((person, each.share, each.name))
    out = []
    for _, found in sorted(by_name.items()):
        found.sort(key=lambda each: (-_members(sizes, each[0]), each[0].number))
        for small, share, _ in found[1:]:
            big, other, name = found[0]
            if frozenset((small.number, big.number)) not in stand.cannot_link:
                text = f"{small.said} and {big.said} are both {name} at their source ({share:.0%} and {other:.0%} of their faces)"
                expected = _members(sizes, small) * share * other
                command = f"facesets merge {small.set_name} {big.set_name}"
                out.append(Suggestion("merge", text, command, expected, {"name": name, "shares": [share, other]}))
    return out


def _changed_in_immich(registry: Registry) -> list[Suggestion]:
    """What was published and is otherwise in Immich by now: somebody's word there, which is asked for and not taken."""
    out = []
    for renamed in renamed_there(registry):
        n = _members(people.standings(registry), renamed.person)
        text = f"{renamed.person.set_name} is called {renamed.name!r} in Immich now; it was published as {renamed.before!r}"
        command = f"facesets name {renamed.person.set_name} {shlex.quote(renamed.name)}"
        out.append(Suggestion("name", text, command, n / 2, {"immich_name": renamed.name, "published": renamed.before}))
    for moved in called_otherwise(registry):
        n = len(moved.keys)
        verb, since = ("were given to", " since they were published") if moved.published else ("are", "")
        if n == 1:
            verb, since = ("was given to", " since it was published") if moved.published else ("is", "")
        many = f"{count_of(n, 'face')} of {moved.person.said} {verb}"
        text = f"{many} {moved.name!r} in Immich{since}"
        ids = " ".join(key[:16] for key in moved.keys)
        command = f"facesets move {ids} --to {moved.to.set_name}" if moved.to else f"facesets reject {ids}"
        out.append(
            Suggestion(
                "move" if moved.to else "reject",
                text,
                command,
                n * (1.0 if moved.published else 0.5),
                {"faces": list(moved.keys), "immich_name": moved.name},
            )
        )
    return out


def _named_alike(registry: Registry, active: list[Person]) -> list[Suggestion]:
    """Sets whose people are called the same here: a user may have named one person twice, or two cousins alike."""
    by_name: dict[str, list[Person]] = defaultdict(list)
    for person in active:
        if person.name and person.written:
            by_name[folded(person.name)].append(person)
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    sizes, out = people.standings(registry), []
    for found in by_name.values():
        found.sort(key=lambda each: (-_members(sizes, each), each.number))
        big = found[0]
        for small in found[1:]:
            if frozenset((small.number, big.number)) in stand.cannot_link:
                continue
            n = _members(sizes, small)
            text = f"{small.set_name} and {big.set_name} are both called {small.name}: are they one person?"
            command = f"facesets merge {small.set_name} {big.set_name}" + (
                f" --name {shlex.quote(big.name or '')}" if small.name != big.name else ""
            )
            out.append(Suggestion("merge", text, command, n * _NAMED_ALIKE, {"name": small.name, "faces": n}))
    return out


def _groups(registry: Registry) -> list[Suggestion]:
    """Groups that a gate kept from being a set by little."""
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in faces.select(registry, reasons=(Reason.FEW_FACES, Reason.FEW_PHOTOS)):
        failed = row.detail.get("failed")
        if failed and failed["needs"] and failed["has"] >= _ONE_GATE * failed["needs"] and "group" in row.detail:
            grouped[row.detail["group"]].append(row)
    out = []
    for group, rows in sorted(grouped.items()):
        failed = rows[0].detail["failed"]
        why = f"{name_of(rows[0].reason)} ({failed['has']:g} of {failed['needs']:g})"
        text = (
            f"a group of {count_of(len(rows), 'face')} narrowly fails to be a set: {why}; [gates] in facesets.toml says what one needs"
        )
        command = f"facesets explain {min(row.face.face_id for row in rows)[:16]}"
        out.append(Suggestion("group", text, command, len(rows) / 4, {"group": group, "has": failed["has"], "needs": failed["needs"]}))
    return out
