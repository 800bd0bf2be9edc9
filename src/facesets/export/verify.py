"""Export room: the proof. Compares the sets on disk with the registry, file by file and by hash, and checks sums. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CorruptFile, FacesetsError
from ..records import FaceSet, Reason
from ..registry import Registry, sets, sums
from ..registry.sets import FileFact
from ..workspace import Workspace
from . import manifest
from .accounting import is_face_reason
from .existing import existing_sets, file_facts, partial_folders


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
    written, planned = list(sets.select(registry, written=True)), list(sets.select(registry, written=False))
    problems: list[Problem] = []
    counts = {"sets": len(written), "made": 0, "adopted": 0, "files": 0, "bytes": 0}
    for faceset in written:
        recorded = sets.files(registry, faceset.name)
        counts[faceset.origin] += 1
        counts["files"] += len(recorded)
        counts["bytes"] += sum(file.size for file in recorded)
        problems += _set_problems(folder, faceset, recorded)
    problems += [
        Problem(faceset.name, None, "planned, but not written yet; facesets run (or export) writes it") for faceset in planned
    ]
    problems += _manifest_problems(folder, registry, [faceset for faceset in written if faceset.origin == "made"])
    unsound, totals = _sums(registry)
    known = {faceset.name for faceset in (*written, *planned)}
    notes = [
        f"{found.name} is on disk and unknown here; the next run takes it in as it is"
        for found in existing_sets(folder)
        if found.name not in known
    ]
    notes += [f"{name} was left by an interrupted run; the next run makes that set anew" for name in partial_folders(folder)]
    problems += unsound
    return VerifyReport(not problems, problems, notes, {**counts, "planned": len(planned), **totals})


def _set_problems(folder: Path, faceset: FaceSet, recorded: list[FileFact]) -> Iterator[Problem]:
    path = folder / faceset.name
    if path.is_symlink() or not path.is_dir():
        yield Problem(faceset.name, None, "its folder is missing")
        return
    try:
        there = {fact.path: fact for fact in file_facts(path)}
    except FacesetsError as err:
        yield Problem(faceset.name, None, str(err))
        return
    want = {fact.path: fact for fact in recorded}
    for name in sorted(want.keys() | there.keys()):
        if name not in there:
            yield Problem(faceset.name, name, "is missing")
        elif name not in want:
            yield Problem(faceset.name, name, "was not there when the set was recorded")
        elif there[name] != want[name]:
            sizes = f" ({want[name].size} bytes then, {there[name].size} now)" if there[name].size != want[name].size else ""
            yield Problem(faceset.name, name, f"has other bytes than when the set was recorded{sizes}")


def _manifest_problems(folder: Path, registry: Registry, made: list[FaceSet]) -> Iterator[Problem]:
    try:
        document = manifest.read_manifest(folder)
    except CorruptFile as err:
        yield Problem(None, manifest.MANIFEST, err.problem)
        return
    if document is None:
        if made:
            yield Problem(None, manifest.MANIFEST, "is missing; facesets run (or export) writes it anew")
        return
    entries = manifest.entries(document)
    for faceset in made:
        entry = entries.get(faceset.name)
        if entry is None:
            yield Problem(faceset.name, manifest.MANIFEST, "does not name this set; facesets run (or export) adds it")
        elif entry.get("files_sha256") != manifest.files_hash(sets.files(registry, faceset.name)):
            yield Problem(faceset.name, manifest.MANIFEST, "has another hash for this set than the registry")


def _sums(registry: Registry) -> tuple[list[Problem], dict[str, int]]:
    """Every asset and face has one reason that is known and of its kind, and sets list exactly the faces that say so."""
    problems: list[Problem] = []
    totals: dict[str, int] = {}
    for table, what in (("assets", "listed"), ("faces", "faces")):
        totals[what], by_reason = sums.by_raw_reason(registry, table)
        known = {reason.value for reason in Reason if is_face_reason(reason) == (table == "faces")}
        counted = sum(n for reason, n in by_reason.items() if reason in known)
        if counted != totals[what]:
            odd = ", ".join(f"{reason} ({n})" for reason, n in by_reason.items() if reason not in known)
            problems.append(Problem(None, None, f"{totals[what]} {table}, but only {counted} in a state; reasons unknown here: {odd}"))
    astray = sums.members_astray(registry)
    problems += [Problem(name, None, f"the registry is of two minds about its face {face_id}") for name, face_id in astray]
    return problems, totals
