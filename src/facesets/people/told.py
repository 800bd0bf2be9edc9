"""What Immich was told from here by publishing, and is still to be so: taken from the journal of writes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from facesets.records import Box
from facesets.registry import PublishedStep


@dataclass(frozen=True, slots=True)
class ToldFace:
    """A face that was given to a person there: its box in the unit square of the upright original, and the id that it had."""

    place: Box
    face_id: str | None
    person_id: str
    number: int
    decision: int


@dataclass(slots=True)
class Told:
    """By number: whom in Immich and which album; by person's id: the last name from here; by asset: faces; by album and tag: assets."""

    people: dict[int, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)  # of people who were made: what they are called until they have their name
    names: dict[str, str] = field(default_factory=dict)
    faces: dict[str, list[ToldFace]] = field(default_factory=dict)
    albums: dict[int, str] = field(default_factory=dict)
    album_names: dict[str, str] = field(default_factory=dict)
    in_albums: dict[str, set[str]] = field(default_factory=dict)
    tagged: dict[int, dict[str, set[str]]] = field(default_factory=dict)  # by number and the tag's path

    def inherited(self, merged: Mapping[int, Sequence[tuple[int, str | None]]]) -> dict[int, str]:
        """By number: the person in Immich of somebody who turned out to be them."""
        found = {number: [self.people[n] for n, _ in those if n in self.people] for number, those in merged.items()}
        return {number: ids[0] for number, ids in found.items() if ids}

    def tagged_of(self, numbers: Iterable[int]) -> dict[str, set[str]]:
        """The path of a tag -> assets on which it was put for these people."""
        found: dict[str, set[str]] = {}
        for number in numbers:
            for path, assets in self.tagged.get(number, {}).items():
                found.setdefault(path, set()).update(assets)
        return found


def told(steps: Iterable[PublishedStep]) -> Told:
    """Take the writes that stand together, oldest first."""
    all_ = Told()
    for step in steps:
        wanted, result = step.wanted, step.result
        match step.action:
            case "make" if "person" in result:
                all_.people[step.number] = result["person"]
                all_.tokens[result["person"]] = step.before["token"]
            case "name":
                all_.people[step.number] = wanted["person"]
                all_.names[wanted["person"]] = wanted["name"]
            case "face" | "draw":
                all_.people.setdefault(step.number, wanted["person"])
                place: Box = tuple(wanted["place"])
                face = ToldFace(place, wanted.get("face") or result.get("face"), wanted["person"], step.number, step.decision)
                all_.faces.setdefault(wanted["asset"], []).append(face)
            case "album" if "album" in result:
                all_.albums[step.number] = result["album"]
                all_.album_names[result["album"]] = wanted["name"]
            case "album_name":
                all_.album_names[wanted["album"]] = wanted["name"]
            case "album_add":
                all_.in_albums.setdefault(wanted["album"], set()).update(result.get("added", ()))
            case "album_remove":
                all_.in_albums.setdefault(wanted["album"], set()).difference_update(wanted["assets"])
            case "tag":
                all_.tagged.setdefault(step.number, {}).setdefault(wanted["path"], set()).update(wanted["assets"])
            case "untag":
                for paths in all_.tagged.values():  # it may have been put on for somebody who turned out to be this person
                    paths.get(wanted["path"], set()).difference_update(wanted["assets"])
    return all_
