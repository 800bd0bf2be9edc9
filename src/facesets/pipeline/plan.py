"""The plan: who is who, which sets are to be, their numbers and members, fixed in one transaction before the first is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..embedding import Pack
from ..identity import Decision, FaceTable, Gates, Verdict, decide
from ..progress import Progress
from ..records import Centroid, Cuts, FaceSet, Reason
from ..registry import Registry, assets, faces, runs, sets
from ..settings import ClusterSettings
from ..workspace import Workspace

_SEEN = "plan_fingerprint"


def plan(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, run_id: int, progress: Progress, *, classic: bool
) -> dict[str, Any]:
    """Decide on every face of these users that is in no set, and plan new sets; returns the yardstick's counters.

    Where nothing changed since the last plan, nothing is decided again.
    """
    cuts = effective_cuts(pack.cuts, workspace.settings.cluster)
    gates = Gates(**asdict(workspace.settings.gates))
    classic = classic or workspace.settings.cluster.classic
    existing = sets.centroids(registry, pack.id)
    rows = _open_faces(registry, labels, pack.id)
    question = json.dumps([pack.id, sorted(labels), asdict(cuts), asdict(gates), classic])
    if registry.fact(_SEEN) == _fingerprint(question, rows, existing):
        rows = []
    table = _table(registry, rows)
    decision = decide(
        table, existing, cuts=cuts, gates=gates, classic=classic, first_number=sets.highest_number(registry) + 1, progress=progress
    )
    if rows:
        with registry.transaction():
            _store(registry, decision, pack.id, run_id, cuts)
            left = _open_faces(registry, labels, pack.id)
            registry.set_fact(_SEEN, _fingerprint(question, left, sets.centroids(registry, pack.id)))
    return asdict(decision.counts)


def effective_cuts(own: Cuts, chosen: ClusterSettings) -> Cuts:
    """The pack's distances, each replaced by the user's where one is set."""
    wanted = {name: getattr(chosen, name) for name in asdict(own)}
    return Cuts(**{name: value if (value := wanted[name]) >= 0 else default for name, default in asdict(own).items()})


def _open_faces(registry: Registry, labels: Sequence[str], pack: str) -> list[faces.FaceRow]:
    found = faces.select(registry, pack=pack, labels=labels)
    return [row for row in found if row.set_name is None and row.reason not in (Reason.UNMEASURED, Reason.PHOTO_LOST)]


def _table(registry: Registry, rows: Sequence[faces.FaceRow]) -> FaceTable:
    taken_at = assets.taken_at_by_sha256(registry) if rows else {}
    taken = [taken_at.get(row.face.sha256) for row in rows]
    vectors = np.stack([row.vector for row in rows]) if rows else np.empty((0, 1), np.float32)
    return FaceTable.of([row.face for row in rows], vectors, taken)


def _fingerprint(question: str, rows: Sequence[faces.FaceRow], existing: Sequence[Centroid]) -> str:
    """What a decision depends on, as one hash."""
    digest = hashlib.sha256(question.encode())
    for row in rows:
        digest.update(f"{row.face.face_id} {row.reason} ".encode())
    for centroid in existing:
        digest.update(centroid.name.encode() + centroid.vector.tobytes())
    return digest.hexdigest()


def _store(registry: Registry, decision: Decision, pack: str, run_id: int, cuts: Cuts) -> None:
    verdicts = {verdict.face_id: verdict for verdict in decision.verdicts}
    faces.settle(registry, ((v.face_id, v.reason, _detail(v), v.set, v.distance) for v in decision.verdicts))
    for new in decision.sets:
        sets.add(registry, FaceSet(new.name, new.number, "made", pack), run_id, written=False)
        sets.add_members(registry, new.name, ((face_id, verdicts[face_id].distance or 0.0) for face_id in new.members))
        sets.set_centroid(registry, pack, Centroid(new.name, new.centroid, len(new.members)))
    names = [new.name for new in decision.sets]
    runs.note(registry, run_id, "plan", sets=names, cuts=asdict(cuts), counts=asdict(decision.counts))


def _detail(verdict: Verdict) -> str:
    """What ``explain`` tells beyond the reason, as JSON."""
    told = asdict(verdict)
    keep = ("other", "other_distance", "ambiguous", "group", "group_size", "failed", "moved", "near")
    return json.dumps({key: told[key] for key in keep if told[key] is not None}, sort_keys=True)
