"""Identity: what the decisions that stand say, taken together in their order; a later one wins. Pure: records in, records out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[Any, ...]  # a content key, hashable
Spoken = tuple[int, str, Mapping[str, Any]]  # number, act, payload of a decision


@dataclass(slots=True)
class WhatStands:
    """Numbers of people go by what they are now: a merged one by the one it became part of."""

    keys: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    owners: dict[Key, tuple[int, int]] = field(default_factory=dict)  # face -> person's number, and the decision that says so
    not_of: dict[Key, dict[int, int]] = field(default_factory=dict)  # face -> numbers of people it is not, each with the decision
    names: dict[int, str] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)
    cannot_link: dict[frozenset[int], int] = field(default_factory=dict)  # two numbers of different people -> the decision
    ignored: set[int] = field(default_factory=set)

    def now(self, number: int) -> int:
        """The number that a person goes by now."""
        while number in self.merged:
            number = self.merged[number]
        return number

    def owner(self, key: Mapping[str, Any]) -> tuple[int, int] | None:
        """Whose a face is, by which decision."""
        found = self.owners.get(face_key(key))
        return None if found is None else (self.now(found[0]), found[1])

    def rejected(self, key: Mapping[str, Any]) -> dict[int, int]:
        """Whose a face is not (number -> decision)."""
        own = self.owner(key)  # two people who turned out to be one, and the face was said to be of one of them
        found = {self.now(number): decision for number, decision in self.not_of.get(face_key(key), {}).items()}
        return {number: decision for number, decision in found.items() if own is None or number != own[0]}


def face_key(key: Mapping[str, Any]) -> Key:
    """A content key that can be compared: photo and box."""
    return (key["photo"], *key["box"])


def what_stands(decisions: Iterable[Spoken]) -> WhatStands:
    """Take decisions together. ``decisions`` are those that stand, in the order they were made."""
    all_ = WhatStands()
    for decision, act, payload in decisions:
        _of_sets(all_, decision, act, payload)
        for key, whose in zip(payload.get("faces", ()), payload.get("of", ()), strict=True):
            face = face_key(key)
            all_.keys.setdefault(face, key)
            if act in ("reject", "move", "split") and whose is not None:
                _is_not(all_, face, whose, decision)
            if act in ("move", "split"):
                _is(all_, face, payload["to"], decision)
            elif act in ("confirm", "extend"):
                _is(all_, face, whose, decision)
            elif act == "accept":  # an image that its owner put there: theirs from now on, whatever was said of it before
                _may_be(all_, face, whose)
    return all_


def _of_sets(all_: WhatStands, decision: int, act: str, payload: Mapping[str, Any]) -> None:
    """What a decision says of whole sets."""
    if act == "name":
        all_.names[payload["set"]] = payload["name"]
    elif act == "names":
        all_.names.update({int(number): name for number, name in payload["names"].items()})
    elif act == "ignore":
        all_.ignored.add(payload["set"])
    elif act == "split":
        all_.cannot_link[frozenset((payload["set"], payload["to"]))] = decision
        if payload["name"]:
            all_.names[payload["to"]] = payload["name"]
    elif act == "distinct":
        all_.cannot_link[frozenset((payload["set"], payload["to"]))] = decision
    elif act == "merge":
        _merge(all_, payload["set"], payload["into"])
        if payload["name"]:
            all_.names[payload["into"]] = payload["name"]


def _is(all_: WhatStands, key: Key, number: int, decision: int) -> None:
    all_.owners[key] = (number, decision)
    _may_be(all_, key, number)


def _may_be(all_: WhatStands, key: Key, number: int) -> None:
    not_of = all_.not_of.get(key, {})
    for other in [other for other in not_of if all_.now(other) == all_.now(number)]:
        del not_of[other]


def _is_not(all_: WhatStands, key: Key, number: int, decision: int) -> None:
    all_.not_of.setdefault(key, {})[number] = decision
    if key in all_.owners and all_.now(all_.owners[key][0]) == all_.now(number):
        del all_.owners[key]


def _merge(all_: WhatStands, number: int, into: int) -> None:
    all_.cannot_link = {
        pair: d for pair, d in all_.cannot_link.items() if {all_.now(n) for n in pair} != {all_.now(number), all_.now(into)}
    }
    if all_.now(into) != number:
        all_.merged[number] = into
