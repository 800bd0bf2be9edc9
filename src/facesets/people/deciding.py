"""One way for all acts: the decision, what follows from it in the registry and what its folders wait for land in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from facesets.changes import ACT, begin, carry_on, files_as_decided
from facesets.people.outcome import Effects, Outcome
from facesets.registry import Registry, changes, lost, rows
from facesets.workspace import Workspace


class _DryRun(Exception):
    pass


def decide(
    workspace: Workspace,
    registry: Registry,
    act: str,
    payload: Mapping[str, Any],
    do: Callable[[Effects], rows.Difference | None],
    *,
    people: Collection[int],
    faces: Iterable[str] = (),
    dry_run: bool = False,
) -> Outcome:
    """Record a decision and ``do`` what follows from it, which touches these ``people`` (ids) and the standings of these ``faces``.

    The payload is in content keys and set numbers. A dry run does the same and takes it back. ``do`` may return the difference it
    made, where it knows better.
    """
    if not dry_run:
        carry_on(registry, workspace)  # what a kill left half-way comes first
    effects, decision = Effects(), None
    keys = list(faces)
    try:
        with registry.transaction():
            before = rows.take_down(registry, people, keys)
            effects.decision = decision = changes.decide(registry, act, payload)
            own = do(effects)
            if own is None:
                # a split's new person is known by its rows afterwards
                own = rows.difference(before, rows.take_down(registry, {*people, *effects.changes.pop("_people", ())}, keys))
            own = rows.one_after_the_other(own, lost.give_place(registry, own))
            begin(
                registry, ACT,
                {"sets": effects.folders, "out": effects.out, "in": effects.into},
                inverse={
                    "difference": own, "folders": effects.folders, "out": _hashed(registry, effects.out), "in": effects.into,
                    "sentences": effects.sentences, **({"recorded": effects.recorded} if effects.recorded else {}),
                },
                decision_id=decision,
            )  # fmt: skip
            if not effects.folders:
                change = changes.of_decision(registry, decision, ACT)
                assert change is not None
                changes.settle(registry, change.id, "applied")
            _land(dry_run=dry_run)
    except _DryRun:
        decision = None
    return Outcome(
        act, decision, tuple(effects.sentences), effects.changes, tuple(effects.folders), tuple(effects.notes), dry_run,
    )  # fmt: skip


def _land(*, dry_run: bool) -> None:
    if dry_run:
        raise _DryRun


def _hashed(registry: Registry, out: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """Files that go, with their hashes: what an undo brings back."""
    return {name: files_as_decided(registry, name, paths) for name, paths in out.items()}
