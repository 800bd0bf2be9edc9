"""Eras follow their sets: folders of the parts of a person whose looks moved, made of a set's own crops, and made again with it.

    which     sets planned by a run with ``[eras] enabled``, and those that ``facesets eras`` was asked for
    when      a set's revision is another one than its eras were made of
    how       written beside as links, begun in one transaction, swapped in, recorded; what an era was before goes into the history

The set itself is only read. The same set, dates and settings give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facesets.changes import steps
from facesets.changes.archive import Entry, described
from facesets.changes.contents import fill, in_order
from facesets.changes.member_photos import Picture
from facesets.changes.record import ERAS, file_list, followed, followed_states, waiting
from facesets.changes.revisions import Revised, as_recorded
from facesets.changes.revisions import write_revisions as revise
from facesets.changes.steps import Waiting
from facesets.export import DESCRIPTION, FACES, EraEntry, Member, SetPlan, describe_entries, eras_in_manifest, face_entry, files_hash
from facesets.files import read_file
from facesets.identity import find_eras, known_date, set_name
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.registry import EraSet, FaceRow, FileFact, Person, Registry, changes, decisions, eras, faces, people, sets
from facesets.registry import Step as FileStep
from facesets.thresholds import thresholds_of
from facesets.workspace import Workspace

THIN = "_thin"
ERAS_ACT = "eras"  # the decision


@dataclass(frozen=True, slots=True)
class EraPlan:
    """An era as it is to be: its row, and its faces, best first, each with the entry of its faceset.json."""

    era: EraSet
    members: tuple[tuple[str, float, str], ...]  # face, distance, file
    sources: dict[str, Path]  # file -> the crop in the set's folder
    description: bytes


@dataclass(frozen=True, slots=True)
class Eras:
    """All eras of a set, oldest first; none where its looks did not move. ``undated``: faces whose date is not known."""

    plans: tuple[EraPlan, ...]
    faces: int
    undated: int


def write_revisions(workspace: Workspace, registry: Registry, progress: Progress, decoders: DecoderPool) -> Revised:
    """Bring the folders of all sets, and of their eras, up to date with what was decided.

    Repeating it after a kill ends in the same tree. Raises FacesetsError where the disk does not take it; then each set is whole, in
    its old or its new revision.
    """
    done = revise(workspace, registry, progress, decoders)
    made = write_eras(workspace, registry, progress)
    done.eras = made.eras
    done.waiting |= made.waiting
    return done


def write_eras(
    workspace: Workspace, registry: Registry, progress: Progress, *, again: Collection[str] = (), today: str | None = None
) -> Revised:
    """Make the eras of each set that is to have them and is not as it was when they were made, and of those ``again`` (by name).

    Returns the names of era sets that are new or other than before, and of sets whose eras cannot follow, why. ``today``: ISO date.
    """
    steps.carry_on(registry, workspace)
    done = Revised()
    states, wanted, later = followed_states(registry), wanted_eras(registry), waiting(registry)
    todo = []
    for person in people.select(registry):
        state = _state(registry, person, wanted)
        stale = state != states.get(person.set_name, "") or person.set_name in again
        if stale and person.set_name not in later and (person.written or person.retired):
            todo.append((person, state))
    if todo:
        with progress.task("making eras", len(todo), "sets") as task:
            for person, state in todo:
                try:
                    done.eras += _follow(workspace, registry, person, state, today or datetime.now(UTC).date().isoformat())
                except Waiting as err:
                    done.waiting[person.set_name] = f"its eras: {err}"
                task.advance()
    if todo or states:
        _sync_manifest(workspace, registry)
    return done


def wanted_eras(registry: Registry) -> set[int]:
    """Numbers of the sets that are to have eras."""
    planned = [change for state in ("planned", "applied") for change in changes.of_kind(registry, "plan", state)]
    names = {name for change in planned if change.payload.get("eras") for name in change.payload["sets"]}
    found = {person.number for person in people.select(registry) if person.set_name in names} if names else set[int]()
    for made in decisions.select(registry):
        if made.act == ERAS_ACT and made.stands:
            found = found | set(made.payload["sets"]) if made.payload["on"] else found - set(made.payload["sets"])
    return found


def eras_pending(registry: Registry) -> list[str]:
    """Sets whose eras are still to follow."""
    states, wanted = followed_states(registry), wanted_eras(registry)
    written = [each for each in people.select(registry) if each.written]
    return [each.set_name for each in written if _state(registry, each, wanted) != states.get(each.set_name, "")]


def _state(registry: Registry, person: Person, wanted: Collection[int]) -> str:
    """What of a set its eras are made of: its files, also as its owner had them accepted; "" where there are to be none."""
    if person.number not in wanted or person.retired:
        return ""
    return f"{person.revision} {files_hash(sets.files(registry, person.set_name))}"


def eras_of(workspace: Workspace, registry: Registry, person: Person, *, today: str) -> Eras:
    """The eras that a written set has as it is now."""
    settings, folder = workspace.settings.eras, workspace.facesets / person.set_name
    entries = {entry["face_id"]: entry for entry in described(folder).get("faces", ())}
    scans = eras.scan_days(registry, settings.scan_day)
    rows, said = list[FaceRow](), list[Entry]()
    for key, _, file in sets.member_files(registry, person.set_name):
        row = faces.find(registry, key)
        entry = entries.get(key) or _entry(registry, row, file)
        if row is None or entry is None or file is None:
            continue
        seen = decisions.seen(registry, key)
        rows.append(row)
        said.append({**entry, "file": file, "taken_at": (seen and seen.taken_at) or entry.get("taken_at")})
    packs = Counter(row.face.pack for row in rows)
    usual = min(packs, key=lambda pack: (-packs[pack], pack), default="")
    kept = [i for i, row in enumerate(rows) if row.face.pack == usual]
    dates = [known_date(said[i]["taken_at"], today=today, scan_days=scans) for i in kept]
    undated = sum(date is None for date in dates)
    if undated == len(kept):
        return Eras((), len(kept), undated)
    vectors = np.stack([rows[i].vector for i in kept])
    found = find_eras(vectors, dates, alike=thresholds_of(usual).cluster, change=settings.change)
    plans = [
        _plan(
            folder,
            person,
            era.first,
            era.last,
            [rows[kept[i]] for i in era.rows],
            [said[kept[i]] for i in era.rows],
            settings.min_faces,
        )
        for era in (found if len(found) > 1 else ())
    ]
    return Eras(tuple(plans), len(kept), undated)


def _plan(folder: Path, person: Person, first: int, last: int, rows: list[FaceRow], said: list[Entry], least: int) -> EraPlan:
    entries, centre = in_order(said, rows)
    crops = [f"{FACES}/{n:04d}{PurePosixPath(entry['file']).suffix}" for n, entry in enumerate(entries, 1)]
    sources = {crop: folder / entry["file"] for crop, entry in zip(crops, entries, strict=True)}
    entries = [{**entry, "file": crop} for crop, entry in zip(crops, entries, strict=True)]
    thin = len(entries) < least
    name = f"{set_name(person.number)}_era_{first}-{last}"
    era = EraSet(f"{THIN}/{name}" if thin else name, person.set_name, person.number, first, last, thin, len(entries))
    plan = SetPlan(name, person.number, described(folder).get("identity", ""), rows[0].face.pack, centre, ())
    members = tuple((entry["face_id"], entry["distance"], entry["file"]) for entry in entries)
    return EraPlan(era, members, sources, describe_entries(plan, entries, era=(first, last)))


def _entry(registry: Registry, row: FaceRow | None, file: str | None) -> Entry | None:
    """What is said of a member that no faceset.json describes: one that was put into a set of its owner's own images."""
    picture = Picture.of(registry, row.face.sha256) if row else None
    if row is None or picture is None or file is None:
        return None
    asset = picture.row.asset
    return face_entry(file, Member(row.face, 0.0, asset.owner_id, asset.asset_id, asset.taken_at, ""))


def _follow(workspace: Workspace, registry: Registry, person: Person, state: str, today: str) -> list[str]:
    """Bring a set's eras up to date; returns the names of those that are other than before. Raises Waiting, FacesetsError."""
    root = workspace.facesets
    if state:
        as_recorded(
            root / person.set_name, person.set_name, sets.files(registry, person.set_name), there=(root / person.set_name).is_dir()
        )
    wanted = {plan.era.name: plan for plan in eras_of(workspace, registry, person, today=today).plans} if state else {}
    have = {era.name: sets.files(registry, era.name) for era in eras.select(registry, person.set_name)}
    gone = [name for name in have if name not in wanted]
    new = [plan for name, plan in wanted.items() if not _is_there(root, plan, have.get(name), registry)]
    moved = [name for name in [*gone, *(plan.era.name for plan in new if plan.era.name in have)] if (root / name).is_dir()]
    for name in moved:
        _as_made(root, name, have[name])
    for plan in new:
        if plan.era.name not in have and (root / plan.era.name).exists():
            raise Waiting(f"{root / plan.era.name} is there already and is not ours; move it away, and facesets eras {person.set_name}")
    if not gone and not new:
        with registry.transaction():
            followed(registry, person.set_name, state)
        return []
    made = [_build(root, plan) for plan in new]
    decision = max((each.id for each in decisions.select(registry)), default=0)
    todo = [FileStep(steps.MOVE, {"from": name, "to": steps.in_history(root, decision, name)}) for name in moved]
    todo += [FileStep(steps.MOVE, {"from": _partial(plan.era.name), "to": plan.era.name}) for plan in new]
    before = [{"at": step.arguments["to"], "files": file_list(have[name])} for step, name in zip(todo, moved, strict=False)]
    payload = {"set": person.set_name, "number": person.number, "state": state, "made": made, "gone": gone}
    inverse = {"revisions": before}
    reason = steps.carry_through(registry, workspace, ERAS, payload, steps=todo, inverse=inverse, decision_id=decision or None)
    if reason is not None:
        raise Waiting(f"their folders could not be replaced: {reason}. facesets eras {person.set_name}  tries again")
    return [plan.era.name for plan in new]


def _is_there(root: Path, plan: EraPlan, recorded: list[FileFact] | None, registry: Registry) -> bool:
    """Whether an era's folder is as it is to be already."""
    if recorded is None or not (root / plan.era.name).is_dir():
        return False
    known = [(key, file) for key, _, file in sets.member_files(registry, plan.era.name)]
    own = next((fact for fact in recorded if fact.path == DESCRIPTION), None)
    try:
        same = own is not None and read_file(root / plan.era.name / DESCRIPTION) == plan.description
    except OSError:
        same = False
    return same and known == [(key, file) for key, _, file in plan.members]


def _as_made(root: Path, name: str, recorded: list[FileFact]) -> None:
    try:
        as_recorded(root / name, name, recorded, there=True)
    except Waiting:
        raise Waiting(
            f"{name} is not as it was made, so it was left alone. If that is your work, move it away: an era is made again whenever "
            "its set is another one"
        ) from None


def _build(root: Path, plan: EraPlan) -> dict[str, Any]:
    """Write an era beside; returns what the registry is to say of it."""
    partial = root / _partial(plan.era.name)
    facts = fill(partial, {file: (source, None) for file, source in plan.sources.items()}, {DESCRIPTION: plan.description})
    era = plan.era
    return {
        "name": era.name, "from": era.first, "to": era.last, "thin": era.thin, "files": file_list(facts),
        "members": [list(member) for member in plan.members],
    }  # fmt: skip


def _partial(name: str) -> str:
    return f".{PurePosixPath(name).name}.partial"


def _sync_manifest(workspace: Workspace, registry: Registry) -> None:
    entries = [
        EraEntry(era.name, era.of, era.first, era.last, era.thin, sets.files(registry, era.name))
        for era in eras.select(registry)
        if (workspace.facesets / era.name).is_dir()
    ]
    eras_in_manifest(workspace.facesets, entries, {*followed_states(registry)})
