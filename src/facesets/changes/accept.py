"""The act ``accept``: what a user did to a set's folder by hand is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facesets.changes.record import renamed, waiting
from facesets.clustering import centroid
from facesets.errors import NotFound, UsageError
from facesets.export import DescribedSet, ManifestEntry, described_set, file_facts, merge_manifest, renamed_folder, retire_in_manifest
from facesets.identity import what_stands
from facesets.records import Centroid, FaceSet
from facesets.registry import Person, Registry, changes, decisions, eras, faces, people, sets
from facesets.wording import count_of, plural
from facesets.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Accepted:
    """``what`` was accepted, in words, and the decision's id; None where there was nothing to accept."""

    what: str
    decision: int | None = None


def accept(workspace: Workspace, registry: Registry, name: str) -> Accepted:
    """Take a written set as its folder is now. A removed folder retires it, a renamed one is known by its bytes.

    Raises NotFound, UsageError where it is still to be written, FacesetsError where its folder cannot be read.
    """
    faceset = sets.find(registry, name)
    if faceset is None:
        raise NotFound(f"no set is called {name!r} here; facesets list sets  shows them all")
    if (era := next((era for era in eras.select(registry) if era.name == name), None)) is not None:
        raise UsageError(
            f"{name} is an era, which is made again whenever {era.of} is another one. Move what you want to keep elsewhere, and: "
            f"facesets eras {era.of}"
        )
    if name in {planned.name for planned in sets.select(registry, written=False)}:
        raise UsageError(f"{name} is planned and not written yet: facesets write")
    recorded, more = sets.files(registry, name), ""
    folder = workspace.facesets / name
    if folder.is_dir() and not folder.is_symlink():
        facts = file_facts(folder)
        # where the folder still has to follow a decision, the registry knows better than its description
        follows = faceset.origin == "made" and name not in waiting(registry)
        described = described_set(folder, faceset.number, (fact.path for fact in facts)) if follows else None
        known = {(key, file) for key, _, file in sets.member_files(registry, name)}
        if facts == recorded and (described is None or {(key, file) for key, _, file in described.members} == known):
            return Accepted("it is as recorded; there is nothing to accept")
        missing = {file.path for file in recorded} - {file.path for file in facts}
        with registry.transaction():
            decision = changes.decide(registry, "accept", {"set": faceset.number, "files": {f.path: f.sha256 for f in facts}})
            sets.set_files(registry, name, facts)
            sets.leave_out_files(registry, name, missing if described is None else missing & {*described.missing})
            sets.forget_centroids(registry, name)  # taken anew from what it holds now
            if described is not None:
                more = take_described(registry, faceset, described)
        taken = f"{plural(len(facts), 'is')} taken as {'it is' if len(facts) == 1 else 'they are'}"
        what = f"{count_of(len(facts), 'file')} {taken} now{more}"
        faceset = sets.find(registry, name) or faceset
    elif (found := renamed_folder(workspace.facesets, recorded, {each.name for each in sets.select(registry)})) is not None:
        with registry.transaction():
            decision = changes.decide(registry, "accept", {"set": faceset.number, "renamed": found})
            sets.rename(registry, name, found)
            renamed(registry, name, found)
            sets.set_files(registry, found, file_facts(workspace.facesets / found))
        retire_in_manifest(workspace.facesets, name, remember=False)
        what = f"it is called {found} now, and keeps its number {faceset.number}"
        name = found
    else:
        with registry.transaction():
            decision = changes.decide(registry, "accept", {"set": faceset.number, "removed": True})
            sets.retire(registry, name)
            into = _merged_into(registry, faceset.number)
        retire_in_manifest(workspace.facesets, name)
        if into is not None:
            return Accepted(f"it is part of {into.said}, as was decided, and retired; its number {faceset.number} stays used", decision)
        return Accepted(f"retired, as its folder is gone; its number {faceset.number} stays used", decision)
    if faceset.origin == "made":
        files = sets.files(registry, name)
        members = len(sets.members(registry, name))
        entry = ManifestEntry(name, faceset.number, members, faceset.pack, faceset.person_name, files)
        merge_manifest(workspace.facesets, [entry])
    return Accepted(what, decision)


def take_described(registry: Registry, faceset: FaceSet, described: DescribedSet) -> str:
    """A set that was written here holds the faces that its description names, in the files that are there: as after a registry from
    before a decision was brought back. Returns what is to be said of it; joins the caller's transaction.
    """
    person = people.of_set(registry, faceset.name)
    assert person is not None
    rows = {key: row for key, _, _ in described.members if (row := faces.find(registry, key)) is not None}
    members = [member for member in described.members if member[0] in rows]
    if faceset.pack != described.pack and members:
        sets.set_pack(registry, faceset.name, described.pack)
    gone = sets.take_members(registry, faceset.name, members)
    people.free_all(registry, gone, person.id)
    vectors = [rows[key].vector for key, _, _ in members]
    if not described.missing and len(members) == len(described.members):
        sets.set_centroid(registry, described.pack, Centroid(faceset.name, described.centroid, len(members)))
    elif vectors:
        sets.set_centroid(registry, described.pack, Centroid(faceset.name, centroid(np.stack(vectors)), len(vectors)))
    if unknown := len(described.members) - len(members):
        many = count_of(unknown, "face of it is") if unknown == 1 else f"{unknown:,} faces of it are"
        return f"; {many} not known here yet: after the next run, facesets accept {faceset.name}  once more"
    return ""


def _merged_into(registry: Registry, number: int) -> Person | None:
    """The person that a set became part of by a decision that stands; its faces are theirs from here on."""
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    person, into = people.of_number(registry, number), people.of_number(registry, stand.now(number))
    if person is None or into is None or person.id == into.id:
        return None
    people.set_standing(registry, person.id, "merged", merged_into=into.id)
    people.hand_over(registry, person.id, into.id)
    return into
