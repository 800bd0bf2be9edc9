"""What earlier decisions say of faces, where a new one says otherwise: the later one wins, and this is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facesets.changes import standing
from facesets.identity import WhatStands, what_stands
from facesets.registry import ContentKey, Registry, decisions, measurements, people
from facesets.thresholds import thresholds_of
from facesets.wording import folded


def _before(registry: Registry, decision: int) -> WhatStands:
    return what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands and made.id < decision)


def contradicted(
    registry: Registry, keys: Iterable[ContentKey], decision: int, *, person: int | None = None, not_person: int | None = None
) -> list[str]:
    """Sentences on what stood before ``decision`` and said otherwise of these faces: that they are not of the person with the number
    ``person``, or that they are of ``not_person``.
    """
    stand = _before(registry, decision)
    notes: dict[int, int] = {}
    for key in keys:
        rejected = stand.rejected(key).get(person) if person is not None else None
        owned = stand.owner(key) if not_person is not None else None
        if rejected is not None:
            notes[rejected] = notes.get(rejected, 0) + 1
        if owned is not None and owned[0] == not_person:
            notes[owned[1]] = notes.get(owned[1], 0) + 1
    out = []
    for earlier, n in sorted(notes.items()):
        made = decisions.find(registry, earlier)
        assert made is not None
        which = "1 face" if n == 1 else f"{n:,} faces"
        out.append(f"decision {earlier} ({made.act}) said otherwise of {which}; this later one holds")
    return out


def spoken_of(registry: Registry, keys: Sequence[ContentKey], packs: Iterable[str]) -> set[str]:
    """The faces that content keys mean, by the measurements of these packs, whatever bytes their photos have by now."""
    found: set[str] = set()
    for pack in dict.fromkeys(packs):
        found.update(*decisions.of_content(registry, keys, pack, thresholds_of(pack).match).values())
    return found


def of_neither(registry: Registry, a: int, b: int) -> tuple[set[str], set[str]]:
    """The faces, and the owner's images (by SHA-256), that were rejected from one of the people with these numbers and are of neither
    by any decision.
    """
    stand = standing(registry)
    said = [(key, stand.owner(key)) for key in stand.keys.values() if {a, b} & stand.rejected(key).keys()]
    keys = [key for key, owner in said if owner is None or owner[0] not in (a, b)]
    found = spoken_of(registry, [key for key in keys if key["box"]], measurements.packs(registry))
    return found, {key["photo"] for key in keys if not key["box"]}


def cannot_link(registry: Registry, a: int, b: int, decision: int) -> int | None:
    """The decision before this one by which the people with these numbers are two, where one says so."""
    return _before(registry, decision).cannot_link.get(frozenset((a, b)))


def names_in_use(registry: Registry, name: str, but: int) -> list[str]:
    """Sets of other people who are called so."""
    found = people.select(registry, standing=("active", "ignored"))
    return [each.set_name for each in found if each.number != but and each.name and folded(each.name) == folded(name)]
