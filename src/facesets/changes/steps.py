"""Changes to sets on disk, one way for all: begun in one transaction, carried on after a kill, given up with a reason.

A change's steps are in the journal before the first of them is done, and each is marked once it is. A step that was done and not
marked is known by what lies where. Paths are below the folder of sets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from facesets.changes.record import record
from facesets.errors import FacesetsError
from facesets.files import sync
from facesets.registry import Registry, changes
from facesets.registry import Step as FileStep
from facesets.workspace import Workspace

MOVE = "move"  # from, to
RECORD = "record"  # what a new revision is, in the registry
HISTORY = ".history"


class StepImpossible(FacesetsError):
    """What a step was to work on is not as it was; the change is given up."""


class Waiting(FacesetsError):
    """A set's folder cannot follow yet; the message says why, and what to do."""


def begin(
    registry: Registry,
    kind: str,
    payload: Mapping[str, Any],
    *,
    steps: Sequence[FileStep] = (),
    inverse: Mapping[str, Any] | None = None,
    decision_id: int | None = None,
    run_id: int | None = None,
) -> int:
    """Record a change that is to be made, with the decision or the run it follows from; returns its id.

    Joins the caller's transaction: what the change means in the registry belongs there too.
    """
    with registry.transaction():
        return changes.add(registry, kind, payload, inverse=inverse, steps=steps, decision_id=decision_id, run_id=run_id)


def swap(name: str, at: str) -> list[FileStep]:
    """The steps that put a set's new revision, written at ``.NAME.partial``, in the place of the old, which goes into the history."""
    return [FileStep(MOVE, {"from": name, "to": at}), FileStep(MOVE, {"from": f".{name}.partial", "to": name})]


def in_history(folder: Path, decision: int, name: str) -> str:
    """A place in the history for a set's folder, or an era's, that nothing has."""
    n, free = 1, f"{HISTORY}/{decision}/{PurePosixPath(name).name}"
    while os.path.lexists(folder / free):
        n += 1
        free = f"{HISTORY}/{decision}/{PurePosixPath(name).name}.{n}"
    return free


def carry_on(registry: Registry, workspace: Workspace) -> list[changes.Change]:
    """Carry through all changes with steps that are under way; returns them as they are then: applied, or given up with a reason."""
    settled = []
    for change in changes.under_way(registry):
        try:
            for n, step in enumerate(changes.steps(registry, change.id)):
                if not step.done:
                    if step.action != RECORD:
                        _do(workspace.facesets, step)
                    with registry.transaction():
                        if step.action == RECORD:
                            record(registry, workspace, change)
                        changes.set_step(registry, change.id, n, done=True)
        except StepImpossible as err:
            give_up(registry, workspace, change.id, str(err))
        else:
            with registry.transaction():
                changes.settle(registry, change.id, "applied")
        settled.append(changes.get(registry, change.id))
    return settled


def carry_through(
    registry: Registry,
    workspace: Workspace,
    kind: str,
    payload: Mapping[str, Any],
    *,
    steps: Sequence[FileStep],
    inverse: Mapping[str, Any],
    decision_id: int | None,
) -> str | None:
    """Begin a change of these ``steps`` on disk and the registry's record of them, and carry it on; returns why it was given up."""
    steps = [*steps, FileStep(RECORD, {})]
    change = begin(registry, kind, payload, steps=steps, inverse=inverse, decision_id=decision_id)
    carry_on(registry, workspace)
    settled = changes.get(registry, change)
    return settled.reason or "" if settled.state == "given_up" else None


def give_up(registry: Registry, workspace: Workspace, change_id: int, reason: str) -> None:
    """Take back what was done of a change, the last step first, as far as that is possible, and record why it was given up."""
    for n, step in reversed(list(enumerate(changes.steps(registry, change_id)))):
        if step.done:
            try:
                _do(workspace.facesets, FileStep(step.action, {"from": step.arguments["to"], "to": step.arguments["from"]}))
            except StepImpossible:  # its owner was there meanwhile: the folder is one that differs, or is missing
                if os.path.lexists(kept := workspace.facesets / step.arguments["to"]):
                    reason += f"; what was there before lies in {kept}"
                continue
            with registry.transaction():
                changes.set_step(registry, change_id, n, done=False)
    with registry.transaction():
        changes.settle(registry, change_id, "given_up", reason)


def _do(folder: Path, step: FileStep) -> None:
    """Do a step that was not done, or was done and not marked. Raises StepImpossible, FacesetsError."""
    if step.action != MOVE:
        raise StepImpossible(f"this facesets knows no step {step.action!r}")
    source, target = folder / step.arguments["from"], folder / step.arguments["to"]
    if not os.path.lexists(source):
        if os.path.lexists(target):
            return
        raise StepImpossible(f"{source} is not there any more")
    if os.path.lexists(target):
        raise StepImpossible(f"{target} is there already")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.rename(target)
        for parent in {source.parent, target.parent}:
            sync(parent)
    except OSError as err:
        raise FacesetsError(f"{source} cannot be moved to {target}: {err.strerror or err}. Mend that, and run again") from err
