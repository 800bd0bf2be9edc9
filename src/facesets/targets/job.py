"""What an export works with: one person's faces on their way to one consumer, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facesets.progress import Progress
from facesets.registry import Registry, exports
from facesets.targets.consent import Permit
from facesets.targets.names import file_name, tag_name
from facesets.targets.pictures import NoPicture, NotHere, Pictures
from facesets.targets.terms import Candidate, Purpose
from facesets.workspace import Workspace

NO_LIMIT = sys.maxsize


@dataclass(frozen=True, slots=True)
class Item:
    """A file to be handed on: its bytes, or the file that has them. ``about``: where it comes from, for the record."""

    data: bytes | Path
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What came of one person's export. ``left_out``: face id -> why, for faces that were not taken."""

    set_name: str
    number: int
    name: str
    place: str
    new: int = 0
    kept: int = 0
    withdrawn: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # of the target's own: predicted confidence, hits of a check
    refused: str = ""  # why nothing of this person was handed on

    def refuse(self, why: str) -> None:
        """Nothing is handed on of this person; what was counted on the way there was not done."""
        self.refused, self.new, self.kept, self.withdrawn = why, 0, 0, 0

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "set": self.set_name, "person": self.number, "name": self.name if self.name != self.set_name else None,
            "place": self.place, "new": self.new, "kept": self.kept, "withdrawn": self.withdrawn, "left_out": self.left_out,
            "notes": self.notes, "facts": self.facts, "refused": self.refused or None,
        }  # fmt: skip


@dataclass(slots=True)
class Job:
    """One person's export. ``candidates``: the faces that may be handed on, best first."""

    workspace: Workspace
    registry: Registry
    progress: Progress
    pictures: Pictures
    target: str
    person: exports.Person
    candidates: Sequence[Candidate]
    permit: Permit
    count: int  # at most so many faces; NO_LIMIT where the user said 0
    out: Path | None
    url: str
    outcome: Outcome
    dry_run: bool = False
    check: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    era: tuple[int, int] | None = None  # the first and last year that were asked for
    eras: tuple[tuple[int, int], ...] = ()  # those of the person's era sets
    away: set[str] = field(default_factory=set)  # faces whose pictures are not here now

    @property
    def called(self) -> str:
        """The person's name on one line, else the set's."""
        return tag_name(self.person.name or "", self.person.set_name)

    def leave_out(self, candidate: Candidate, why: str | NoPicture) -> None:
        """A face is not handed on, and this is why; where its picture is not here now, what was made of it before stays."""
        self.outcome.left_out[candidate.face.face_id] = str(why)
        if isinstance(why, NotHere):
            self.away.add(candidate.face.face_id)

    def leave_out_the_rest(self, taken: Set[str]) -> None:
        """Faces (ids) that were not taken, and of which nothing was said, were passed over for others."""
        for candidate in self.candidates:
            if candidate.face.face_id not in taken:
                self.outcome.left_out.setdefault(candidate.face.face_id, "others were chosen")

    def about(self, candidate: Candidate, **more: Any) -> dict[str, Any]:
        """Where a file comes from."""
        face, row = candidate.face, candidate.asset
        source = {"owner_id": row.asset.owner_id, "asset_id": row.asset.asset_id} if row else {}
        return {"face": face.face_id, "photo": face.sha256, **source, "box": [round(side, 2) for side in face.box], **more}


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the table. ``kind``: files below a folder, requests to a service, or sidecars of photos.

    ``read_back``: who reads the result in our tests, as the reference prints it.
    """

    name: str
    purpose: Purpose
    kind: str  # files, service, sidecars
    help: str
    run: Callable[[Job], Mapping[str, Item]] | Callable[[Job], None]
    read_back: str
    named: bool = False  # the consumer knows people by name: no name, no export
    calls: Callable[[str, str], str] = file_name  # a person's name and set -> what the consumer calls them
