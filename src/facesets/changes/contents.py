"""What a set's new folder is to hold, by what users decided, and that folder beside the old one: ``.faceset_NNN.partial``.

Files that stay are hard links where the file system can, copies where not. Where the members are those of an earlier revision, as
after an undo, the new one has its very bytes: also those of a description that its owner altered, or of which files were taken out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facesets.changes.archive import Archive, Entry, described
from facesets.changes.record import ACT, REVISION, file_list
from facesets.changes.steps import Waiting
from facesets.changes.write import crop_of, member_of
from facesets.clustering import centroid as centroid_of
from facesets.clustering import distances
from facesets.export import DESCRIPTION, FACES, SetPlan, crop_name, describe_entries, described_set, face_entry, measured_entry
from facesets.files import disk_error, read_file, remove, sync
from facesets.identity import FaceTable, rank
from facesets.photos import DecoderPool
from facesets.records import Reason
from facesets.registry import Change, FaceRow, FileFact, Registry, changes, decisions, faces, people, sets
from facesets.thresholds import thresholds_of
from facesets.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Content:
    """What a set's folder is to hold: each path's recorded hash (None: to be made), and the faces, best first."""

    files: Mapping[str, str | None]
    members: tuple[tuple[str, float, str], ...]  # face, distance, file
    new: frozenset[str]  # faces whose crop is to be brought


def description_of(origin: str) -> set[str]:
    """The file that says what is in a set's folder, which is made anew with each revision; a set that its owner made has none."""
    return {DESCRIPTION} if origin == "made" else set()


def wanted(registry: Registry, name: str, origin: str, recorded: Sequence[FileFact], own: Sequence[Change]) -> Content:
    """The content that the decisions ask for; a new face gets the next free file name."""
    files: dict[str, str | None] = {fact.path: fact.sha256 for fact in recorded if {fact.path} != description_of(origin)}
    for act in own:
        for path in act.payload["out"].get(name, ()):
            files.pop(path, None)
        for path, sha256 in act.payload["in"].get(name, {}).items():
            if {path} == description_of(origin):
                continue  # made anew, or as an earlier revision has it
            files[_free(path, files, sha256)] = sha256
    members, new = list[tuple[str, float, str]](), set[str]()
    known = sets.member_files(registry, name)
    for _, _, file in known:
        if file is not None:
            files.setdefault(file, None)
    at = _highest({*files, *names_used(registry, name)})
    numbered = origin == "made" or any(path.startswith(f"{FACES}/") for path in files)
    for key, distance, written in known:
        file = written
        if file is None:
            at += 1
            file = _free(crop_name(at) if numbered else f"{key[:16]}.png", files, None)
            files[file] = None
            new.add(key)
        members.append((key, distance, file))
    return Content(files, tuple(members), frozenset(new))


def _free(path: str, files: Mapping[str, str | None], sha256: str | None) -> str:
    """``path``, or one like it that no other file has."""
    stem, dot, suffix = path.rpartition(".")
    n, free = 1, path
    while free in files and (sha256 is None or files[free] != sha256):
        n += 1
        free = f"{stem}-{n}{dot}{suffix}"
    return free


def files_as_decided(registry: Registry, name: str, among: Collection[str] | None = None) -> dict[str, str]:
    """Path -> SHA-256 of a set's files, or of those ``among`` these paths; what acts took out or brought counts, also where the folder
    is still to follow.
    """
    if among is None:
        among = names_used(registry, name)
    acts = (act.payload for act in changes.planned(registry, ACT))
    files = changes.decided_files(acts, name, sets.hashes(registry, name, among))
    return {path: sha256 for path, sha256 in files.items() if path in among}


def names_used(registry: Registry, name: str) -> set[str]:
    """The paths of all files that a set has, had in an earlier revision, or that an act brought, also where another took it out before
    the folder followed: an undo brings each back, or takes it away, under its own.
    """
    used = {fact.path for fact in sets.files(registry, name)}
    used.update(f[0] for c in changes.of_kind(registry, REVISION) if c.payload["set"] == name for f in c.inverse["files"])
    return used | changes.brought(registry, name)


def _highest(paths: Collection[str]) -> int:
    """The highest number that a crop among these files has in its name."""
    stems = (path.removeprefix(f"{FACES}/").removesuffix(".png") for path in paths if path.startswith(f"{FACES}/"))
    return max((int(stem) for stem in stems if stem.isascii() and stem.isdigit()), default=0)


def nowhere(workspace: Workspace, registry: Registry, name: str) -> list[str]:
    """Files that a written set is to have by what was decided, and that no folder of a set and no history has any more.

    Not those of its faces: their crops are cut anew, or leave it with a photo that is lost.
    """
    person = people.of_set(registry, name)
    assert person is not None
    own = [act for act in changes.planned(registry, ACT) if name in act.payload["sets"]]
    content = wanted(registry, name, person.origin, sets.files(registry, name), own)
    archive, crops = Archive(workspace, registry), {file for _, _, file in content.members}
    away = {
        path: sha for path, sha in content.files.items() if path not in crops and not os.path.lexists(workspace.facesets / name / path)
    }
    return sorted(path for path, sha256 in away.items() if sha256 is not None and archive.file(sha256) is None)


def build(
    workspace: Workspace, registry: Registry, name: str, content: Content, decoders: DecoderPool, *, there: bool
) -> dict[str, Any]:
    """Write the new folder beside; returns what the registry is to say of it. Raises Waiting, PhotosNeeded, FacesetsError."""
    person = people.of_set(registry, name)
    assert person is not None
    archive = Archive(workspace, registry)
    folder, partial = workspace.facesets / name, workspace.facesets / f".{name}.partial"
    own = described(folder) if there else {}
    made: dict[str, Any] = {"members": [list(member) for member in content.members], "centroid": None, "n": 0}
    data: dict[str, bytes] = {}
    if person.origin == "made":
        earlier = _earlier(archive, registry, name, content, workspace)
        as_then = described_set(earlier[0], person.number, content.files) if earlier else None
        members: Sequence[tuple[str, float, str]]
        if as_then is not None and not as_then.missing and {(key, file) for key, _, file in as_then.members} == _who(content):
            members, vector = as_then.members, as_then.centroid
        else:
            entries, vector = _described(workspace, registry, archive, name, content, own)
            members = [(entry["face_id"], entry["distance"], entry["file"]) for entry in entries]
        if earlier is None:
            identity = own.get("identity") or hashlib.sha256("\n".join(sorted(m[0] for m in content.members)).encode()).hexdigest()[:16]
            plan = SetPlan(name, person.number, identity, person.pack, vector, ())
            data[DESCRIPTION] = describe_entries(plan, entries)
        elif earlier[1] is not None:
            data[DESCRIPTION] = earlier[1]
        made["members"] = [list(member) for member in members]
        if members:
            made["centroid"], made["n"] = np.ascontiguousarray(vector, "<f8").tobytes().hex(), len(members)
    key_of = {file: key for key, _, file in content.members}
    sources: dict[str, tuple[Path, str | None]] = {}
    for path, sha256 in content.files.items():
        here = folder / path
        key = key_of.get(path)
        if there and sha256 is not None and here.exists() and key not in content.new:
            sources[path] = (here, sha256)
        elif sha256 is not None and (found := archive.file(sha256)) is not None:
            sources[path] = (found, sha256)
        elif key is not None and (known := archive.face(key)) is not None:
            sources[path] = (known[1], None)
        elif key is not None:
            data[path] = crop_of(workspace, registry, key, decoders)
        else:
            how = f"facesets accept {name}" if person.written else "facesets undo"
            raise Waiting(
                f"the bytes of {path} are neither in the folder of a set nor in the history any more. To go on without: {how}"
            )
    return {**made, "files": file_list(fill(partial, sources, data))}


def fill(partial: Path, sources: Mapping[str, tuple[Path, str | None]], data: Mapping[str, bytes]) -> list[FileFact]:
    """Make a folder of links to (or copies of) ``sources``, each with its hash where that is known, and of files with this ``data``.

    Raises FacesetsError where the disk does not take it; then nothing is left of the folder.
    """
    try:
        return _fill(partial, sources, data)
    except OSError as err:
        with suppress(OSError):
            remove(partial)
        raise disk_error(err, partial) from err


def _fill(partial: Path, sources: Mapping[str, tuple[Path, str | None]], data: Mapping[str, bytes]) -> list[FileFact]:
    remove(partial)
    partial.mkdir(mode=0o700, parents=True)
    facts, folders = list[FileFact](), {partial}
    for path, (source, known) in sorted(sources.items()):
        target = partial / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders.add(target.parent)
        if source.is_symlink():
            target.symlink_to(source.readlink())
            facts.append(FileFact(path, len(os.fsencode(source.readlink())), known or ""))
            continue
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, target)
            sync(target)
        with target.open("rb") as file:
            facts.append(FileFact(path, target.stat().st_size, known or hashlib.file_digest(file, "sha256").hexdigest()))
    for path, content in sorted(data.items()):
        target = partial / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders.add(target.parent)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        facts.append(FileFact(path, len(content), hashlib.sha256(content).hexdigest()))
    for each in sorted(folders):
        sync(each)
    return sorted(facts, key=lambda fact: fact.path)


def _who(content: Content) -> set[tuple[str, str]]:
    return {(key, file) for key, _, file in content.members}


def says(registry: Registry, folder: Path, content: Content) -> bool:
    """Whether a folder that holds these files says of itself who is to be in it; also one that says nothing that can be read.

    It may name faces whose files its owner took out: that was accepted, and no act writes another word about it.
    """
    entries = {(str(entry["face_id"]), str(entry["file"])) for entry in described(folder).get("faces", ())}
    wanted = _who(content)
    more = entries - wanted
    if not entries:
        return True
    if wanted - entries or any(file in content.files for _, file in more):
        return False
    return all((seen := decisions.seen(registry, key)) is None or seen.standing == Reason.REMOVED for key, _ in more)


def has(files: Mapping[str, str], content: Content, origin: str) -> bool:
    """Whether these files (path -> SHA-256) are those that a folder is to hold, apart from its description."""
    there = {path: sha256 for path, sha256 in files.items() if {path} != description_of(origin)}
    return there.keys() == content.files.keys() and all(content.files[path] in (None, sha256) for path, sha256 in there.items())


def _earlier(
    archive: Archive, registry: Registry, name: str, content: Content, workspace: Workspace
) -> tuple[Path, bytes | None] | None:
    """The newest revision that is kept which held these files and said who is in them: its folder, and its description as it was."""
    for change in reversed(archive.revisions):
        at = change.inverse.get("at")
        if change.payload["set"] != name or not at or content.new:
            continue
        files = {path: sha256 for path, _, sha256 in change.inverse["files"]}
        folder = workspace.facesets / at
        if not has(files, content, "made") or not folder.is_dir() or not says(registry, folder, content):
            continue
        if DESCRIPTION not in files:
            return folder, None
        with suppress(OSError):
            if hashlib.sha256(data := read_file(folder / DESCRIPTION)).hexdigest() == files[DESCRIPTION]:
                return folder, data
    return None


def _described(
    workspace: Workspace, registry: Registry, archive: Archive, name: str, content: Content, own: Mapping[str, Any]
) -> tuple[list[Entry], np.ndarray[Any, np.dtype[np.float64]]]:
    """The faces of a set made here, best first, each with its distance to the centroid of them all, and that centroid."""
    here = {entry["face_id"]: entry for entry in own.get("faces", ())}
    in_file = {entry["file"]: entry for entry in own.get("faces", ())}
    entries: dict[str, Entry] = {}
    rows = []
    for key, _, file in content.members:
        row = faces.find(registry, key)
        assert row is not None, key
        rows.append(row)
        known = archive.face(key)
        if key in here:
            entries[key] = {**here[key], "file": file}
        elif known is not None:
            entries[key] = {**known[0], "file": file}
        elif file in in_file and key not in content.new:  # the same face, by another pack's measure
            entries[key] = {**in_file[file], **measured_entry(row.face)}
        else:
            entries[key] = face_entry(file, member_of(workspace, registry, row, 0.0, name))
    return in_order([entries[row.face.face_id] for row in rows], rows)


def in_order(entries: Sequence[Entry], rows: Sequence[FaceRow]) -> tuple[list[Entry], np.ndarray[Any, np.dtype[np.float64]]]:
    """Entries of a faceset.json, each with its row, best first with their distances to the centroid of them all; and that centroid."""
    if not rows:
        return [], np.zeros(0)
    known = {row.face.face_id: entry for row, entry in zip(rows, entries, strict=True)}
    # the hash of the bytes, also where the face was measured before they came: the order is that of the set's first revision
    named = [replace(row.face, sha256=entry["source"]["sha256"]) for row, entry in zip(rows, entries, strict=True)]
    table = FaceTable.of(named, np.stack([row.vector for row in rows]), [entry.get("taken_at") for entry in entries]).canonical()
    centre = centroid_of(table.vectors)
    away = distances(table.vectors, centre[None])[:, 0]
    order = rank(table, away, thresholds_of(rows[0].face.pack))
    return [{**known[table.face_ids[i]], "distance": float(away[i])} for i in order.tolist()], centre
