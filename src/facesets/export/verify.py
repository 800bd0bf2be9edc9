"""Export room: the proof. Compares the sets on disk with the registry, file by file and by hash, and checks sums. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facesets.errors import CorruptFile, FacesetsError
from facesets.export import manifest
from facesets.export.described import described_files
from facesets.export.existing_sets import existing_sets, file_facts, partial_folders
from facesets.reason_texts import is_face_reason
from facesets.records import FaceSet, Reason
from facesets.registry import EraSet, FileFact, Registry, changes, eras, integrity, sets
from facesets.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as recorded. ``set`` and ``file`` are None where the problem is of no one set or file."""

    set: str | None
    file: str | None
    what: str

    def __str__(self) -> str:
        where = "/".join(part for part in (self.set, self.file) if part)
        return f"{where}: {self.what}" if where else self.what


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``ok`` where there is no problem. ``notes`` are worth knowing and no failure; ``counts`` say what was looked at."""

    ok: bool
    problems: list[Problem]
    notes: list[str]
    counts: Mapping[str, int]


def verify(workspace: Workspace, registry: Registry) -> VerifyReport:
    """Prove that every recorded set has exactly its recorded files, that the manifest names every set made here, and that sums hold.

    Hashes every file of every set. Raises FacesetsError only where the folder of sets itself cannot be read.
    """
    folder = workspace.facesets
    retired, later = list(sets.select(registry, retired=True)), _waiting(registry)
    written, planned = list(sets.select(registry, written=True)), list(sets.select(registry, written=False))
    back = [each for each in written if each.name in later and not sets.files(registry, each.name)]  # folders that are to be again
    written, planned = [each for each in written if each not in back], [*planned, *back]
    problems: list[Problem] = []
    counts = {"sets": len(written), "made": 0, "adopted": 0, "files": 0, "bytes": 0}
    for faceset in written:
        recorded = sets.files(registry, faceset.name)
        counts[faceset.origin] += 1
        counts["files"] += len(recorded)
        counts["bytes"] += sum(file.size for file in recorded)
        problems += _set_problems(folder, faceset, recorded)
    problems += _doubled(folder, registry, written, later)
    problems += [
        Problem(faceset.name, None, "planned, but not written yet; facesets run (or write) writes it")
        for faceset in planned
        if faceset.name not in later
    ]
    there = eras.select(registry)
    problems += _era_problems(folder, registry, there)
    counts["eras"] = len(there)
    problems += _manifest_problems(folder, registry, [faceset for faceset in written if faceset.origin == "made"])
    unsound, totals = _sums(registry)
    known, gone = {faceset.name for faceset in (*written, *planned)} | later, {faceset.name for faceset in retired}
    notes = [
        f"{found.name} is on disk though it is retired; if it is to be a set again: facesets accept {found.name}"
        if found.name in gone
        else f"{found.name} is on disk and unknown here; the next run recognises it and leaves it as it is"
        for found in existing_sets(folder)
        if found.name not in known
    ]
    notes += [f"{name} was left by an interrupted run; the next run makes that set anew" for name in partial_folders(folder)]
    problems += unsound
    history, held = _history(folder, registry)
    problems += history
    notes += [f"{name}: {_follows(name, planned, gone)}; facesets write  does that" for name in sorted(later)]
    totals |= held
    return VerifyReport(not problems, problems, notes, {**counts, "planned": len(planned), **totals})


def _history(folder: Path, registry: Registry) -> tuple[list[Problem], dict[str, int]]:
    """Earlier revisions, where they are still kept, have exactly their files."""
    problems, held = list[Problem](), {"revisions": 0}
    earlier = [change.inverse for change in changes.of_kind(registry, "revision")]
    earlier += [each for change in changes.of_kind(registry, "eras") for each in change.inverse["revisions"]]
    for inverse in earlier:
        at = inverse.get("at")
        if not at or not (folder / at).is_dir():
            continue  # the first of a set, taken back into its place, or let go
        held["revisions"] += 1
        want = {path: (size, sha256) for path, size, sha256 in inverse["files"]}
        there = {fact.path: (fact.size, fact.sha256) for fact in file_facts(folder / at)}
        for path in sorted(path for path in want.keys() | there.keys() if want.get(path) != there.get(path)):
            problems.append(Problem(at, path, "is not as it was in this earlier revision"))
    return problems, held


def _follows(name: str, planned: list[FaceSet], retired: Collection[str]) -> str:
    """What a set's folder waits for."""
    if name in retired:
        return "its folder is still to go, as was decided"
    if any(faceset.name == name for faceset in planned):
        return "its folder is still to be made, as was decided"
    return "its folder is still to follow what was decided"


def _waiting(registry: Registry) -> set[str]:
    """Sets whose folders are still to follow what was decided."""
    return {name for change in changes.planned(registry, "act") for name in change.payload["sets"]}


def _doubled(folder: Path, registry: Registry, written: list[FaceSet], later: Collection[str]) -> Iterator[Problem]:
    """No file stands for two members: not in the registry, and not in what a folder says of itself."""
    for faceset in written:
        files = [file for _, _, file in sets.member_files(registry, faceset.name) if file is not None]
        own = faceset.origin == "made" and faceset.name not in later
        described = described_files(folder / faceset.name) if own else []
        for file in sorted({file for each in (files, described) for file, n in Counter(each).items() if n > 1}):
            yield Problem(faceset.name, file, "stands for two faces of this set")


def _era_problems(folder: Path, registry: Registry, there: list[EraSet]) -> Iterator[Problem]:
    """Every era has exactly its files, and the manifest names it."""
    try:
        named = {entry.get("name"): entry for entry in manifest.era_entries(folder)}
    except CorruptFile:
        named = {}  # said of the manifest as a whole
    for era in there:
        recorded = sets.files(registry, era.name)
        if not (folder / era.name).is_dir():
            yield Problem(era.name, None, f"its folder is missing; facesets eras {era.of}  makes it again")
            continue
        yield from _file_problems(folder, era.name, recorded)
        if named.get(era.name, {}).get("files_sha256") != manifest.files_hash(recorded):
            yield Problem(era.name, manifest.MANIFEST, f"does not have this era as it is; facesets eras {era.of}  mends that")


def _set_problems(folder: Path, faceset: FaceSet, recorded: list[FileFact]) -> Iterator[Problem]:
    path = folder / faceset.name
    if path.is_symlink() or not path.is_dir():
        yield Problem(faceset.name, None, f"its folder is missing; if you removed or renamed it: facesets accept {faceset.name}")
        return
    yield from _file_problems(folder, faceset.name, recorded)


def _file_problems(folder: Path, faceset: str, recorded: list[FileFact]) -> Iterator[Problem]:
    try:
        there = {fact.path: fact for fact in file_facts(folder / faceset)}
    except FacesetsError as err:
        yield Problem(faceset, None, str(err))
        return
    want = {fact.path: fact for fact in recorded}
    for name in sorted(want.keys() | there.keys()):
        if name not in there:
            yield Problem(faceset, name, "is missing")
        elif name not in want:
            yield Problem(faceset, name, "was not there when the set was recorded")
        elif there[name] != want[name]:
            sizes = f" ({want[name].size} bytes then, {there[name].size} now)" if there[name].size != want[name].size else ""
            yield Problem(faceset, name, f"has other bytes than when the set was recorded{sizes}")


def _manifest_problems(folder: Path, registry: Registry, made: list[FaceSet]) -> Iterator[Problem]:
    try:
        document = manifest.read_manifest(folder)
    except CorruptFile as err:
        yield Problem(None, manifest.MANIFEST, err.problem)
        return
    if document is None:
        if made:
            yield Problem(None, manifest.MANIFEST, "is missing; facesets run (or write) writes it anew")
        return
    entries = manifest.entries(document)
    for faceset in made:
        entry = entries.get(faceset.name)
        if entry is None:
            yield Problem(faceset.name, manifest.MANIFEST, "does not name this set; facesets run (or write) adds it")
        elif entry.get("files_sha256") != manifest.files_hash(sets.files(registry, faceset.name)):
            yield Problem(faceset.name, manifest.MANIFEST, "has another hash for this set than the registry")


def _sums(registry: Registry) -> tuple[list[Problem], dict[str, int]]:
    """Every asset and face has one reason that is known and of its kind, and sets list exactly the faces that say so."""
    problems: list[Problem] = []
    totals: dict[str, int] = {}
    for table, what in (("assets", "listed"), ("memberships", "faces")):
        totals[what], by_reason = integrity.by_raw_reason(registry, table)
        known = {reason.value for reason in Reason if is_face_reason(reason) == (table == "memberships")}
        counted = sum(n for reason, n in by_reason.items() if reason in known)
        if counted != totals[what]:
            odd = ", ".join(f"{reason} ({n})" for reason, n in by_reason.items() if reason not in known)
            kind = "assets" if table == "assets" else "faces"
            said = f"{totals[what]} {kind}, but only {counted} in a state; reasons unknown here: {odd}"
            problems.append(Problem(None, None, said))
    if without := integrity.faces_without_standing(registry):
        problems.append(Problem(None, None, f"registry inconsistency: faces without a standing: {without}"))
    astray = integrity.members_astray(registry)
    problems += [Problem(name, None, f"registry inconsistency: face {face_id} and its set disagree") for name, face_id in astray]
    return problems, totals
