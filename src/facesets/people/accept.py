"""The act accept: what a user did to a set's folder by hand is right. Registry and manifest follow the folder; no file changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facesets.changes import carry_on, folder_state, nowhere, recorded, renamed, standing, waiting
from facesets.clustering import centroid
from facesets.errors import UsageError
from facesets.export import (
    DescribedSet,
    ManifestEntry,
    described_set,
    file_facts,
    merge_manifest,
    rename_in_manifest,
    renamed_folder,
    retire_in_manifest,
    unretire_in_manifest,
)
from facesets.files import is_face_image
from facesets.people import resolve, said
from facesets.people.deciding import decide
from facesets.people.outcome import Effects, Outcome
from facesets.records import Centroid, Reason
from facesets.registry import FileFact, Person, Registry, decisions, eras, faces, gallery, lost, people, sets
from facesets.wording import count_of, plural
from facesets.workspace import Workspace

ACCEPT = "accept"


def accept(workspace: Workspace, registry: Registry, one: str, *, dry_run: bool = False) -> Outcome:
    """Take a written set as its folder is now. A removed folder retires it, a renamed one is known by its bytes.

    The folder counts at once. Taken back, it is said to differ again, until that is accepted or put right. Raises NotFound; UsageError
    where the set is an era, still to be written or retired; FacesetsError where its folder cannot be read.
    """
    if (era := next((era for era in eras.select(registry) if era.name == one), None)) is not None:
        raise UsageError(
            f"{one} is an era, which is made again whenever {era.of} is another one. Move what you want to keep elsewhere, and: "
            f"facesets eras {era.of}"
        )
    if not dry_run:
        carry_on(registry, workspace)  # what a kill left half-way comes first: the folder is looked at as it is then
    person = resolve.person(registry, one, retired=True)
    folder, later = workspace.facesets / person.set_name, person.set_name in waiting(registry)
    there = folder.is_dir() and not folder.is_symlink()
    if person.retired and (not there or (person.merged_into is not None and not later)):
        raise UsageError(resolve.retired_words(registry, person))
    if not person.written and not person.retired:
        raise UsageError(f"{person.set_name} is planned and not written yet: facesets write")
    were = sets.files(registry, person.set_name)
    if there:
        no_more = nowhere(workspace, registry, person.set_name) if later and not person.retired else []
        do = _as_it_is(registry, person, file_facts(folder), folder, no_more, later=later)
        if do is None:
            return Outcome(ACCEPT, None, (f"{person.said}: it is as recorded; there is nothing to accept",), {}, dry_run=dry_run)
    elif (found := renamed_folder(workspace.facesets, were, {each.name for each in sets.select(registry)})) is not None:
        do = _renamed(registry, person, found, file_facts(workspace.facesets / found))
    else:
        do = _removed(registry, person)
    outcome = do(workspace, dry_run)
    if outcome.decision is not None:
        in_manifest(workspace, registry, person.number, person.set_name)
    return outcome


_Do = Callable[[Workspace, bool], Outcome]


def _as_it_is(
    registry: Registry, person: Person, facts: Sequence[FileFact], folder: Path, no_more: Sequence[str], *, later: bool
) -> _Do | None:
    """Its files are as they are now, and it goes on without those that are ``no_more``; None where they are as recorded."""
    name, were = person.set_name, sets.files(registry, person.set_name)
    # where the folder still has to follow a decision, the registry knows better than its description
    described = described_set(folder, person.number, (f.path for f in facts)) if person.origin == "made" and not later else None
    members = sets.member_files(registry, name)
    same = described is None or {(key, file) for key, _, file in described.members} == {(key, file) for key, _, file in members}
    back = person.retired and not later
    if facts == were and same and not back and not no_more:
        return None
    missing = {file.path for file in were} - {file.path for file in facts}
    faces_of_it, before = {file for _, _, file in described.members} if described else set(), {file.sha256 for file in were}
    put = [f for f in facts if f.sha256 not in before and is_face_image(f.path) and f.path not in faces_of_it]
    mine = [{"photo": f.sha256, "box": [], "set": name, "file": f.path} for f in put]  # images that are theirs by this word

    def take(effects: Effects) -> None:
        sets.set_files(registry, name, facts)
        sets.leave_out_files(registry, name, missing if described is None else missing & {*described.missing})
        sets.forget_centroids(registry, name)  # taken anew from what it holds now
        if back:
            sets.set_retired(registry, name, retired=False)
        if described is not None and (unknown := _take_described(registry, person, described)):
            many = count_of(unknown, "face of it is") if unknown == 1 else f"{unknown:,} faces of it are"
            effects.notes.append(f"{many} not known here yet: after the next run, facesets accept {name}  once more")
        taken = f"{plural(len(facts), 'is')} taken as {'it is' if len(facts) == 1 else 'they are'}"
        again = "its folder is there again; " if back else ""
        effects.sentences.append(f"{person.said}: {again}{count_of(len(facts), 'file')} {taken} now")
        for path in no_more:
            effects.leaves(name, path)
            effects.sentences.append(f"{person.said}: {path}, whose bytes are nowhere any more, is no part of it")
        effects.changes["accepted"] = {"set": name, "files": len(facts), "retired": False}
        effects.notes += said.contradicted(registry, mine, effects.decision, person=person.number)

    payload = {"files": {f.path: f.sha256 for f in facts}, "faces": mine, "of": [person.number] * len(mine)}
    about = [*(key for key, _, _ in members), *(key for key, _, _ in (described.members if described else ()))]
    return _decided(registry, person, payload, take, about)


def _renamed(registry: Registry, person: Person, found: str, facts: Sequence[FileFact]) -> _Do:
    """Its folder has another name."""

    def take(effects: Effects) -> None:
        sets.rename(registry, person.set_name, found)
        renamed(registry, person.set_name, found)
        sets.set_files(registry, found, facts)
        effects.sentences.append(f"{person.said}: it is called {found} now, and keeps its number {person.number}")
        effects.changes["accepted"] = {"set": person.set_name, "renamed": found, "retired": False}

    return _decided(registry, person, {"renamed": found}, take, ())


def _removed(registry: Registry, person: Person) -> _Do:
    """Its folder is gone: the set is retired. Its person stays known, so that no run makes the set anew."""
    theirs = decisions.faces_of(registry, person.id, [str(reason) for reason in Reason])

    def take(effects: Effects) -> None:
        sets.retire(registry, person.set_name)
        lost.lose_photos(registry, [person.id])
        into = _merged_into(registry, person)
        if into is not None:
            what = f"it is part of {into.said}, as was decided, and retired; its number {person.number} stays used"
        else:
            left = len(decisions.faces_of(registry, person.id, [Reason.RECOGNISED]))
            known = f"; {count_of(left, 'face')} of it {'stays' if left == 1 else 'stay'} known" if left else ""
            what = f"retired, as its folder is gone{known}, so that no run makes it anew; its number {person.number} stays used"
        effects.sentences.append(f"{person.said}: {what}")
        effects.changes["accepted"] = {"set": person.set_name, "retired": True}

    return _decided(registry, person, {"removed": True}, take, theirs)


def _decided(
    registry: Registry, person: Person, payload: Mapping[str, Any], take: Callable[[Effects], None], about: Sequence[str]
) -> _Do:
    def do(workspace: Workspace, dry_run: bool) -> Outcome:
        before = folder_state(registry, person.number)

        def taken(effects: Effects) -> None:
            take(effects)
            effects.recorded = recorded(person.number, before, folder_state(registry, person.number))

        spoken = {"set": person.number, **payload}
        return decide(workspace, registry, ACCEPT, spoken, taken, people=(person.id,), faces=dict.fromkeys(about), dry_run=dry_run)

    return do


def in_manifest(workspace: Workspace, registry: Registry, number: int, was: str) -> None:
    """The manifest has a set as the registry has it, which was called ``was``. Raises CorruptFile, FacesetsError."""
    person = people.of_number(registry, number)
    assert person is not None
    folder, name = workspace.facesets, person.set_name
    if was != name:
        rename_in_manifest(folder, was, name)
    if person.retired:
        retire_in_manifest(folder, name)
        return
    unretire_in_manifest(folder, name, number)
    if person.origin == "made":
        size, files = gallery.faces_by_set(registry).get(name, 0), sets.files(registry, name)
        merge_manifest(folder, [ManifestEntry(name, number, size, person.pack, person.name, files)])


def _take_described(registry: Registry, person: Person, described: DescribedSet) -> int:
    """A set that was written here holds the faces that its description names, in the files that are there: as after a registry from
    before a decision was brought back. Returns how many of them are not known here; joins the caller's transaction.
    """
    name = person.set_name
    rows = {key: row for key, _, _ in described.members if (row := faces.find(registry, key)) is not None}
    members = [member for member in described.members if member[0] in rows]
    if person.pack != described.pack and members:
        sets.set_pack(registry, name, described.pack)
    gone = sets.take_members(registry, name, members)
    people.free_all(registry, gone, person.id)
    vectors = [rows[key].vector for key, _, _ in members]
    if not described.missing and len(members) == len(described.members):
        sets.set_centroid(registry, described.pack, Centroid(name, described.centroid, len(members)))
    elif vectors:
        sets.set_centroid(registry, described.pack, Centroid(name, centroid(np.stack(vectors)), len(vectors)))
    return len(described.members) - len(members)


def _merged_into(registry: Registry, person: Person) -> Person | None:
    """The person that a set became part of by a decision that stands; its faces are theirs from here on."""
    into = people.of_number(registry, standing(registry).now(person.number))
    if into is None or person.id == into.id:
        return None
    people.set_standing(registry, person.id, "merged", merged_into=into.id)
    people.hand_over(registry, person.id, into.id)
    sets.forget_centroids(registry, person.set_name)
    return into
