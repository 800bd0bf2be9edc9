"""Identity: what users and their libraries say for sure, as constraints on who is who. Pure records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Constraints:
    """Sure knowledge that every decision keeps to. Faces go by their ids, sets by their names (``faceset_NNN``).

    ``must_link`` and ``cannot_link`` are pairs of faces; ``not_in_set`` pairs of a face and a set whose person it is not.
    ``confirmed`` maps faces that somebody looked at to their set, or to None where it has none yet: no gate puts them aside.
    ``names`` maps faces, ``set_names`` sets to the name of their person: different names never meet, a face within the likely
    distance of a set of its own name is that set's. ``births`` maps sets and names to a date (ISO 8601): who was born later is not in
    the photo. Sets of ignored people need no mention: they are sets that exist, and so recognised.
    """

    must_link: tuple[tuple[str, str], ...] = ()
    cannot_link: tuple[tuple[str, str], ...] = ()
    not_in_set: frozenset[tuple[str, str]] = frozenset()
    confirmed: Mapping[str, str | None] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    set_names: Mapping[str, str] = field(default_factory=dict)
    births: Mapping[str, str] = field(default_factory=dict)

    def excludes(self, face_id: str, taken_at: str | None, set_name: str) -> bool:
        """Whether a face, by itself, cannot be of a set's person."""
        own, theirs = self.names.get(face_id), self.set_names.get(set_name)
        born = self.births.get(set_name) or (self.births.get(theirs) if theirs else None)
        return (
            (face_id, set_name) in self.not_in_set
            or (own is not None and theirs is not None and own != theirs)
            or before(taken_at, born)
        )

    def same_name(self, face_id: str, set_name: str) -> bool:
        """Whether a face and a set have one name."""
        own = self.names.get(face_id)
        return own is not None and own == self.set_names.get(set_name)


def before(taken_at: str | None, born: str | None) -> bool:
    """Whether a photo was taken on a day before a birth date; False where either is not known."""
    return taken_at is not None and born is not None and taken_at[: len(born[:10])] < born[:10]
