"""The plan: who is who, which sets are to be, their numbers and members, fixed in one transaction before the first is written."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from facesets.changes.averages import refresh_averages
from facesets.changes.constraints import constraints_of, excluded, fingerprint
from facesets.identity import STANDS, Before, Constraints, Decision, FaceTable, Gates, Verdict, decide, decide_growth, is_growth
from facesets.models import Pack
from facesets.progress import Progress
from facesets.records import Centroid, FaceSet, Reason, Thresholds
from facesets.registry import Registry, Standing, changes, decisions, faces, lost, measurements, originals, runs, sets
from facesets.settings import ClusterSettings
from facesets.thresholds import thresholds_of
from facesets.workspace import Workspace

_SEEN = "plan_fingerprint"
_WHOLE = "plan_whole"  # by what all faces were last decided on, and how many were in no set then


def plan(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, run_id: int, progress: Progress, *, classic: bool
) -> dict[str, Any]:
    """Decide on every face of these users that is in no set, and plan new sets; returns the yardstick's counters.

    Where nothing changed since the last plan, nothing is decided again; where a few faces came, what they may change
    (:mod:`facesets.identity.growth`).
    """
    with _no_search_for_cycles():
        return _plan(workspace, registry, labels, pack, run_id, progress, classic=classic)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Hundreds of thousands of small objects are made here and none in a circle: looking for circles among them takes a fifth of it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _plan(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, run_id: int, progress: Progress, *, classic: bool
) -> dict[str, Any]:
    thresholds = effective_thresholds(pack.thresholds, workspace.settings.cluster)
    gates = Gates(**asdict(workspace.settings.gates))
    classic = classic or workspace.settings.cluster.classic
    constraints = constraints_of(registry, pack.id, thresholds)
    with registry.transaction():
        lost.open_again(registry, pack.id)
        faces.open_excluded(registry, excluded(registry, pack.id, constraints))
        refresh_averages(registry, pack.id, workspace.settings.eras)
    existing = sets.centroids(registry, pack.id)
    question = json.dumps([pack.id, sorted(labels), asdict(thresholds), asdict(gates), classic, fingerprint(constraints)])
    decided = faces.decided_in_no_set(registry, pack.id, labels)
    changed = decided is None or registry.fact(_SEEN) != _fingerprint(question, decided, existing)
    rows = list(faces.in_no_set(registry, pack.id, labels)) if changed else []
    taken_at = originals.taken_at_by_sha256(registry) if rows else {}
    table = _table(rows, taken_at)
    packs = {name: thresholds_of(name).match for name in measurements.packs(registry)} if rows else {}
    again = decisions.known_as_well(registry, [row.face.face_id for row in rows], {**packs, pack.id: thresholds.match})
    of = {face: set_name for face, (_, set_name, _) in again.items()}
    constraints = replace(constraints, confirmed={**of, **constraints.confirmed})
    asked: dict[str, Any] = {
        "thresholds": thresholds, "gates": gates, "constraints": constraints, "first_number": sets.highest_number(registry) + 1,
        "progress": progress,
    }  # fmt: skip
    before = {row.face.face_id: Before(row.reason, *row.group) for row in rows if row.group}
    stand = {face for face, one in before.items() if one.reason in STANDS}
    rule = json.dumps([pack.id, sorted(labels), asdict(thresholds), asdict(gates), classic])
    whole = json.loads(registry.fact(_WHOLE) or "{}")
    few = bool(rows) and not classic and is_growth(len(rows), whole.get("faces", 0))
    grows = few and whole["rule"] == _rule(rule, constraints, stand)
    decision = decide_growth(table, existing, before, **asked) if grows else decide(table, existing, classic=classic, **asked)
    with registry.transaction():
        if rows:
            _store(registry, decision, again, pack.id, run_id, thresholds, eras=workspace.settings.eras.enabled)
        lost.lose_photos(registry)  # once the same faces in other bytes were found
        if rows:
            refresh_averages(registry, pack.id, workspace.settings.eras, taken_at)
            left = _left(rows, decision)
            registry.set_fact(_SEEN, _fingerprint(question, left, sets.centroids(registry, pack.id)))
            stand = {face for face, reason in left if reason in STANDS}
            among = whole["faces"] if grows else len(left)
            registry.set_fact(_WHOLE, json.dumps({"rule": _rule(rule, constraints, stand), "faces": among}))
    return asdict(decision.counts)


def effective_thresholds(own: Thresholds, chosen: ClusterSettings) -> Thresholds:
    """The pack's distances, each replaced by the user's where one is set."""
    wanted = {name: getattr(chosen, name) for name in asdict(own)}
    return Thresholds(**{name: default if (value := wanted[name]) == "pack" else value for name, default in asdict(own).items()})


def _table(rows: Sequence[faces.FaceRow], taken_at: Mapping[str, str | None]) -> FaceTable:
    taken = [taken_at.get(row.face.sha256) for row in rows]
    vectors = np.stack([row.vector for row in rows]) if rows else np.empty((0, 1), np.float32)
    return FaceTable.of([row.face for row in rows], vectors, taken)


def _left(rows: Sequence[faces.FaceRow], decision: Decision) -> list[tuple[str, Reason]]:
    """Those of ``rows`` that are open after a decision, with their reasons: what :func:`faces.decided_in_no_set` will tell."""
    said = {verdict.face_id: verdict for verdict in decision.verdicts}
    left = []
    for row in rows:
        one = said.get(row.face.face_id)
        reason, set_name = (one.reason, one.set) if one else (row.reason, None)
        if set_name is None or reason is Reason.LIKELY:
            left.append((row.face.face_id, reason))
    return sorted(left)


def _fingerprint(question: str, decided: Sequence[tuple[str, str]], existing: Sequence[Centroid]) -> str:
    """What a decision depends on, as one hash."""
    digest = hashlib.sha256(question.encode())
    for face_id, reason in decided:
        digest.update(f"{face_id} {reason} ".encode())
    for centroid in existing:
        digest.update(centroid.name.encode() + centroid.vector.tobytes())
    return digest.hexdigest()


def _rule(rule: str, constraints: Constraints, faces_: set[str]) -> str:
    """By what these faces were left in no set, as one hash: settings, and what is known of the faces themselves."""
    said = [
        [sorted([a, b] for a, b in pairs if a in faces_ or b in faces_) for pairs in (constraints.must_link, constraints.cannot_link)],
        sorted(pair for pair in constraints.not_in_set if pair[0] in faces_),
        *(sorted(item for item in known.items() if item[0] in faces_) for known in (constraints.confirmed, constraints.names)),
    ]
    return hashlib.sha256(f"{rule} {json.dumps(said)}".encode()).hexdigest()


def _store(
    registry: Registry, decision: Decision, again: Mapping[str, tuple[str, str, float]], pack: str, run_id: int, thresholds: Thresholds,
    *, eras: bool,
) -> None:  # fmt: skip
    verdicts = {verdict.face_id: verdict for verdict in decision.verdicts}
    for new in decision.sets:
        sets.add(registry, FaceSet(new.name, new.number, "made", pack), run_id, written=False)
    faces.decide(registry, pack, (_once(standing_of(verdict), again, thresholds) for verdict in decision.verdicts))
    for new in decision.sets:
        sets.add_members(registry, new.name, ((face_id, verdicts[face_id].distance or 0.0) for face_id in new.members))
        sets.set_centroid(registry, pack, Centroid(new.name, new.centroid, len(new.members)))
    names = [new.name for new in decision.sets]
    if names:
        changes.add(registry, "plan", {"sets": names} | ({"eras": True} if eras else {}), run_id=run_id)
    runs.note(registry, run_id, "plan", sets=names, thresholds=asdict(thresholds), counts=asdict(decision.counts))


def _once(standing: Standing, again: Mapping[str, tuple[str, str, float]], thresholds: Thresholds) -> Standing:
    """A face that is known already, from the bytes that the photo had before a tag was written into it, is no second face."""
    if standing.reason is not Reason.RECOGNISED or (same := again.get(standing.face_id)) is None or same[1] != standing.set_name:
        return standing
    near = max(thresholds.near_duplicate, thresholds.match)  # the match distance holds for one place in one picture
    return replace(standing, reason=Reason.NEAR_DUPLICATE, better=same[0], gate_has=same[2], gate_needs=near)


def standing_of(verdict: Verdict) -> Standing:
    """A verdict as the registry keeps it."""
    failed = verdict.failed
    evidence = {
        "moved": verdict.moved and asdict(verdict.moved),
        "near": [{"group": each.group, "size": each.size, "distance": each.distance} for each in verdict.neighbors],  # many: no asdict
        "whole_group": verdict.whole_group,
    }
    return Standing(
        verdict.face_id, verdict.reason, verdict.set, verdict.distance, verdict.other, verdict.other_distance, verdict.ambiguous,
        verdict.group, verdict.group_size,
        gate_has=failed.has if failed else None, gate_needs=failed.needs if failed else None, better=failed.better if failed else None,
        evidence={name: value for name, value in evidence.items() if value},
    )  # fmt: skip
