"""What users decided since a backup was made, carried over from the newer registry to the older one that comes back.

Decisions come first, then what followed from each, in its order: rows of people, sets and faces as the act changed them, then the
revisions by which folders followed. So each folder counts as it lies, and each decision can be taken back to the same bytes. What the
older registry cannot know, as faces that were found since, is not carried over: the decision stands, its folder is said to differ, and
``accept`` takes that in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from facesets.changes.record import ACT, ERAS, REVISION, record
from facesets.changes.recorded import is_as_recorded, put_back_record, reversed_record
from facesets.identity import WhatStands, what_stands
from facesets.records import Centroid
from facesets.registry import Change, Made, Registry, carried, changes, decisions, faces, people, sets

_SAID_IS_DONE = ("name", "names", "ignore", "distinct", "best", "confirm", "eras")  # they bind by what they say, without a folder
NOT_CARRIED = "the registry that was brought back does not know all that it was about"


@dataclass(slots=True)
class _CarriedOver:
    apart: set[str] = field(default_factory=set)  # sets whose folders the older registry does not follow any further
    to_repeat: set[int] = field(default_factory=set)  # decisions that no folder followed yet, and none will

    def repeat(self, target: Registry, change: Change) -> None:
        """The decision that a change follows from has to be said again, unless saying it is all that it takes."""
        made = decisions.find(target, change.decision_id or 0)
        if made is not None and made.stands and made.act not in _SAID_IS_DONE:
            self.to_repeat.add(made.id)


def carry_over(source: Registry, target: Registry) -> list[int]:
    """Bring what was decided and followed in ``source`` to ``target``; returns decisions that have to be said again.

    Joins the caller's transaction.
    """
    before = standing(target)
    _add_decisions(target, decisions.select(source))
    state = _CarriedOver()
    for change, known in carried.changes_since(source, target):
        if change.kind == ACT:
            _act(source, target, change, state, known=known)
            continue
        if change.kind in (REVISION, ERAS):
            _revision(target, change, state)
        carried.put(source, target, change, known=known)
    _give_up(target, state)
    carried.put_published(source, target)
    carried.put_exported(source, target)
    carried.put_revisions(source, target)
    follow(target, before, standing(target))
    return sorted(state.to_repeat)


def standing(registry: Registry) -> WhatStands:
    """What the decisions of a registry that stand say."""
    return what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)


def follow(registry: Registry, before: WhatStands, after: WhatStands) -> list[int]:
    """Names, and who is ignored, follow what stands now, where it is not what stood before; returns these people's ids."""
    done = []
    for number in before.names.keys() | after.names.keys() | before.ignored | after.ignored:
        if (person := people.of_number(registry, number)) is None:
            continue
        name, ignored = after.names.get(number), number in after.ignored
        if before.names.get(number) != name and person.name != name:
            people.rename(registry, person.id, name)
            done.append(person.id)
        was, is_now = ("active", "ignored") if ignored else ("ignored", "active")
        if (number in before.ignored) != ignored and person.standing == was:
            people.set_standing(registry, person.id, is_now)
            done.append(person.id)
    return done


def _add_decisions(target: Registry, said: list[Made]) -> None:
    have = {made.id for made in decisions.select(target)}
    for made in said:
        if made.id not in have:
            decisions.add(target, replace(made, undone_by=None))
    for made in said:  # once all are there: an earlier one names the later one that took it back
        decisions.set_undone(target, made.id, made.undone_by)


def _act(source: Registry, target: Registry, change: Change, state: _CarriedOver, *, known: bool) -> None:
    inverse, outcome, reason = dict(change.inverse), change.state, ""
    if not known:
        try:
            with carried.attempt(target):
                inverse |= _do_again(source, target, change)
        except carried.NotKnown:
            state.apart.update(inverse["folders"])
            if "recorded" in inverse:
                state.apart.update(inverse.pop("recorded")["name"])
            inverse |= {"difference": [], "carried": False}
            if change.state == "planned":
                outcome, reason = "given_up", NOT_CARRIED
                state.repeat(target, change)
    became = replace(change, inverse=inverse, state=outcome, reason=reason or change.reason)
    carried.put(source, target, became, known=known)


def _do_again(source: Registry, target: Registry, change: Change) -> Mapping[str, Any]:
    """Do an act once more; returns what would take it back now. Raises NotKnown."""
    done: dict[str, Any] = {"difference": carried.do_again(source, target, change.inverse["difference"])}
    for table, key, was, _ in done["difference"]:
        if table == "people" and was is None:
            _take_centroids(source, target, int(key))
    if (record_ := change.inverse.get("recorded")) is not None:
        forward = reversed_record(record_)
        if not is_as_recorded(target, forward):
            raise carried.NotKnown
        done["recorded"] = put_back_record(target, forward)
    return done


def _take_centroids(source: Registry, target: Registry, person: int) -> None:
    new = people.of_id(target, person)
    old = None if new is None else people.of_number(source, new.number)
    if new is not None and old is not None:
        for pack, n, vector in sets.whole_centroids(source, old.set_name):
            sets.set_centroid(target, pack, Centroid(new.set_name, np.frombuffer(vector, "<f8"), n))


def _revision(target: Registry, change: Change, state: _CarriedOver) -> None:
    """The folder is as this revision made it, where all of its faces are known and the decisions were carried over."""
    name = change.payload["set"]
    if change.state != "applied" or name in state.apart:
        return
    try:
        with carried.attempt(target):
            fits = _fits(target, change)
            if fits:
                record(target, None, change)
    except carried.NotKnown:
        fits = False
    if not fits and change.kind == REVISION:
        state.apart.add(name)


def _fits(target: Registry, change: Change) -> bool:
    """Whether a registry knows all that a folder holds since a change."""
    person, payload = people.of_set(target, change.payload["set"]), change.payload
    if person is None:
        return False
    if change.kind == ERAS:
        return all(faces.find(target, key) for made in payload["made"] for key, _, _ in made["members"])
    if payload["retired"] != person.retired:
        return False
    members = payload["members"]
    return members is None or sorted(key for key, _, _ in members) == sorted(key for _, key, _ in sets.members(target, person.set_name))


def _give_up(target: Registry, state: _CarriedOver) -> None:
    """What waits for folders that are not followed any further will not be done."""
    for change in changes.planned(target, ACT):
        if left := state.apart.intersection(change.payload["sets"]):
            kept = [name for name in change.payload["sets"] if name not in left]
            changes.set_payload(target, change.id, {**change.payload, "sets": kept})
            state.repeat(target, change)
            if not kept:
                changes.settle(target, change.id, "given_up", NOT_CARRIED)
