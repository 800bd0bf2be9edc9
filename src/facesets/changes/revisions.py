"""New revisions: the folders of sets follow what users decided since they were written, one revision a set for all of it.

    wanted    the files that stay, those that go, those that come: from the registry and the acts that still wait
    beside    the new folder, .faceset_NNN.partial: files that stay are hard links where the file system can, copies where not
    journal   the steps, with what the registry is to say of the folder
    swap      the old folder into .history/<decision>/, the new one into its place (:mod:`facesets.changes.steps`)

A folder that somebody altered by hand is never swapped: that is said, and ``accept`` or putting it right makes it possible. Where the
members are those of an earlier revision, as after an undo, the new one has its very bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facesets.changes import steps
from facesets.changes.contents import build, has, says, wanted
from facesets.changes.record import ACT, REVISION, file_list, settle, waiting
from facesets.changes.steps import Waiting
from facesets.changes.write import PhotosNeeded
from facesets.export import (
    ManifestEntry,
    file_facts,
    merge_manifest,
    name_in_manifest,
    retire_in_manifest,
    stamps,
    unretire_in_manifest,
)
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.records import FaceSet
from facesets.registry import Change, FileFact, Registry, changes, gallery, people, sets
from facesets.registry import Step as FileStep
from facesets.workspace import Workspace


@dataclass(slots=True)
class Revised:
    """Names of sets whose folders are new, and of eras; of sets that wait, why."""

    written: list[str] = field(default_factory=list)
    eras: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)


def write_revisions(workspace: Workspace, registry: Registry, progress: Progress, decoders: DecoderPool) -> Revised:
    """Bring the folders of all sets up to date with what was decided. Repeating it after a kill ends in the same tree.

    Raises FacesetsError where the disk does not take it; then each set is whole, in its old or its new revision.
    """
    steps.carry_on(registry, workspace)
    done = Revised()
    acts = changes.planned(registry, ACT)
    names = list(dict.fromkeys(name for act in acts for name in act.payload["sets"]))
    if names:
        with progress.task("revising sets", len(names), "sets") as task:
            for name in names:
                try:
                    if _revise(workspace, registry, name, acts, decoders):
                        done.written.append(name)
                except (Waiting, PhotosNeeded) as err:
                    done.waiting[name] = str(err)
                task.advance()
    if names or changes.of_kind(registry, ACT):  # also what a kill kept from it
        sync_manifest(workspace, registry)
    return done


def sync_manifest(workspace: Workspace, registry: Registry) -> None:
    """Bring the manifest's entries, retired ones and names up to date. Raises CorruptFile, FacesetsError."""
    folder, later = workspace.facesets, waiting(registry)
    for faceset in sets.select(registry, retired=True):
        if faceset.name not in later:
            retire_in_manifest(folder, faceset.name)
    written = [each for each in sets.select(registry, written=True) if (folder / each.name).is_dir() and each.name not in later]
    for faceset in written:
        unretire_in_manifest(folder, faceset.name, faceset.number)
    made = [each for each in written if each.origin == "made"]
    if made:
        sizes = gallery.faces_by_set(registry)
        merge_manifest(folder, [_entry(registry, faceset, sizes[faceset.name]) for faceset in made])
    name_in_manifest(folder, {each.name: (each.number, each.person_name) for each in written if each.origin == "adopted"})


def _entry(registry: Registry, faceset: FaceSet, size: int) -> ManifestEntry:
    files = sets.files(registry, faceset.name)
    return ManifestEntry(faceset.name, faceset.number, size, faceset.pack, faceset.person_name or "", files)


def _revise(workspace: Workspace, registry: Registry, name: str, acts: Sequence[Change], decoders: DecoderPool) -> bool:
    """Write a set's new revision and put it into its place; whether its folder is another one now."""
    person = people.of_set(registry, name)
    assert person is not None, name
    folder, recorded = workspace.facesets / name, sets.files(registry, name)
    own = [act for act in acts if name in act.payload["sets"]]
    decision = max(act.decision_id or 0 for act in own)
    there = folder.is_dir() and not folder.is_symlink()
    if person.retired and not there:
        with registry.transaction():
            settle(registry, name)
        return False
    as_recorded(folder, name, recorded, there=there)
    at = steps.in_history(workspace.facesets, decision, name)
    if person.retired:
        move = FileStep(steps.MOVE, {"from": name, "to": at})
        gone: dict[str, Any] = {"set": name, "files": [], "members": None, "centroid": None, "retired": True}
        return _apply(workspace, registry, gone, [move], recorded, decision, at)
    content = wanted(registry, name, person.origin, recorded, own)
    same = has({fact.path: fact.sha256 for fact in recorded}, content, person.origin)
    if there and not content.new and same and (person.origin != "made" or says(registry, folder, content)):
        with registry.transaction():
            settle(registry, name)
        return False
    made = build(workspace, registry, name, content, decoders, there=there)
    todo = steps.swap(name, at)[0 if there else 1 :]
    return _apply(
        workspace, registry, {**made, "set": name, "pack": person.pack, "retired": False}, todo, recorded if there else [], decision, at
    )


def _apply(
    workspace: Workspace,
    registry: Registry,
    payload: dict[str, Any],
    todo: list[FileStep],
    before: list[FileFact],
    decision: int,
    at: str,
) -> bool:
    inverse = {"files": file_list(before), "at": at if before else None}
    reason = steps.carry_through(registry, workspace, REVISION, payload, steps=todo, inverse=inverse, decision_id=decision)
    if reason is not None:
        raise Waiting(f"its folder could not be replaced: {reason}. What was decided is kept; facesets write  tries again")
    return True


def as_recorded(folder: Path, name: str, recorded: Sequence[FileFact], *, there: bool) -> None:
    """Raises Waiting where a set's folder is missing, or its owner altered it."""
    if recorded and not there:
        raise Waiting(f"its folder is missing. If you removed or renamed it: facesets accept {name}")
    known = {fact.path: (fact.size, fact.mtime_ns, fact.inode) for fact in recorded}
    if there and stamps(folder) != known and file_facts(folder) != recorded:
        raise Waiting(
            f"its folder is not as recorded, so it was left alone. facesets verify names the files; if that is your work: "
            f"facesets accept {name}"
        )


def pending(registry: Registry) -> Mapping[int, list[str]]:
    """Decision -> the sets whose folders it still has to reach."""
    found: dict[int, list[str]] = {}
    for act in changes.planned(registry, ACT):
        found.setdefault(act.decision_id or 0, []).extend(act.payload["sets"])
    return found
