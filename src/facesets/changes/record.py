"""The step of a new revision that the registry takes: from here on the set's folder is what was just moved into its place."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np

from facesets.export import stamped
from facesets.records import Centroid
from facesets.registry import Change, EraSet, FileFact, Registry, changes, eras, runs, sets
from facesets.workspace import Workspace

ACT = "act"  # the kind of change that follows from a user's decision
ERAS = "eras"  # the kind of change that brings a set's eras up to date with it
_FOLLOWED = "eras_followed"
REVISION = "revision"  # the kind of change that brings a set's folder up to date with all of them


def record(registry: Registry, workspace: Workspace | None, change: Change) -> None:
    """Take a revision's files, members and centroid for what the set has now; joins the caller's transaction.

    Without ``workspace``, as where that was done before: whether the files are still so is not looked up.
    """
    if change.kind == ERAS:
        _record_eras(registry, workspace, change)
        return
    name, payload = change.payload["set"], change.payload
    facts = [FileFact(*file) for file in payload["files"]]
    sets.set_files(registry, name, _stamped(workspace, name, facts))
    if payload["members"] is not None:
        sets.set_members(registry, name, [(key, distance, file) for key, distance, file in payload["members"]])
    sets.forget_centroids(registry, name)
    if payload["centroid"] is not None:
        vector = np.frombuffer(bytes.fromhex(payload["centroid"]), "<f8")
        sets.set_centroid(registry, payload["pack"], Centroid(name, vector, payload["n"]))
    sets.next_revision(registry, name, written=bool(facts) or bool(payload["retired"]))
    settle(registry, name, change.id)
    runs.note(registry, None, "set revised", name=name, decision=change.decision_id)


def _stamped(workspace: Workspace | None, name: str, facts: list[FileFact]) -> list[FileFact]:
    return facts if workspace is None else stamped(workspace.facesets / name, facts)


def _record_eras(registry: Registry, workspace: Workspace | None, change: Change) -> None:
    payload = change.payload
    for name in payload["gone"]:
        eras.retire(registry, name)
    for made in payload["made"]:
        era = EraSet(made["name"], payload["set"], payload["number"], made["from"], made["to"], made["thin"], len(made["members"]))
        eras.put(registry, era, [(key, distance, file) for key, distance, file in made["members"]])
        facts = [FileFact(*file) for file in made["files"]]
        sets.set_files(registry, era.name, _stamped(workspace, era.name, facts))
    followed(registry, payload["set"], payload["state"])
    runs.note(registry, None, "eras made", name=payload["set"], eras=[made["name"] for made in payload["made"]], gone=payload["gone"])


def followed(registry: Registry, name: str, state: str) -> None:
    """A set's eras are as this state of it (its revision; "": it is to have none) asks."""
    registry.set_fact(_FOLLOWED, json.dumps({**followed_states(registry), name: state}, sort_keys=True))


def followed_states(registry: Registry) -> dict[str, str]:
    """Set -> the state of it that its eras are of."""
    return dict(json.loads(registry.fact(_FOLLOWED) or "{}"))


def settle(registry: Registry, name: str, before: int | None = None) -> None:
    """Acts (those of changes older than ``before``) wait for this set's folder no longer."""
    for act in changes.planned(registry, ACT):
        if name in act.payload["sets"] and (before is None or act.id < before):
            left = [each for each in act.payload["sets"] if each != name]
            changes.set_payload(registry, act.id, {**act.payload, "sets": left})
            if not left:
                changes.settle(registry, act.id, "applied")


def waiting(registry: Registry) -> set[str]:
    """Sets whose folders are still to follow what was decided: the manifest speaks of what is there."""
    return {name for act in changes.planned(registry, ACT) for name in act.payload["sets"]}


def let_go(registry: Registry, name: str, files: Collection[str]) -> None:
    """Acts that wait for a set's folder bring these files there no more."""
    for act in changes.planned(registry, ACT):
        into = act.payload["in"]
        if not into.get(name, {}).keys().isdisjoint(files):
            left = {path: sha256 for path, sha256 in into[name].items() if path not in files}
            changes.set_payload(registry, act.id, {**act.payload, "in": {**into, name: left}})


def renamed(registry: Registry, name: str, to: str) -> None:
    """Acts that wait for a set's folder wait for the one of its new name."""
    for act in changes.planned(registry, ACT):
        if name in act.payload["sets"]:
            payload: dict[str, Any] = {**act.payload, "sets": [to if each == name else each for each in act.payload["sets"]]}
            for part in ("out", "in"):
                payload[part] = {to if each == name else each: files for each, files in act.payload[part].items()}
            changes.set_payload(registry, act.id, payload)


def file_list(facts: list[FileFact]) -> list[list[object]]:
    """Files as a change keeps them."""
    return [[fact.path, fact.size, fact.sha256] for fact in facts]
