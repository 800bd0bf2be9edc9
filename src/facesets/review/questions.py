"""What the page Decide asks: the suggestions of :mod:`facesets.people`, one question a face where eyes are needed.

The queue is found out in a reading thread and kept. What was answered or put off leaves it at once, and the next question always comes
from its head: nothing is skipped while it shrinks.
"""

from __future__ import annotations

import hashlib
import shlex
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from facesets.people import Suggestion, suggest
from facesets.registry import Registry, gallery
from facesets.review.cache import stamp_of
from facesets.review.threads import RegistryThreads

EYES, BULK = "eyes", "bulk"
#: The two lanes: address, name, what is in it.
LANES: Final[Mapping[str, tuple[str, str]]] = {
    EYES: ("One by one", "Doubtful faces and pairs of sets, each to be looked at."),
    BULK: ("In one go", "Whole groups of faces that are surely one person: a name, or a yes, for all of them."),
}
_AGAIN: Final = 20.0  # seconds between two searches, while decisions come fast: one takes seconds in a large library
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """``yes`` and ``no`` are an act of :mod:`facesets.review.acts` and its fields; no ``no``: put off. ``faces``: put right by a yes.

    ``left`` is what the question is about (a face's id, or a set), ``right`` the set that it may be of (none: who is it?).
    """

    id: str
    lane: str
    kind: str
    text: str
    faces: float
    left: str
    right: str | None
    yes: tuple[str, Values] | None
    no: tuple[str, Values] | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def questions(registry: Registry) -> list[Question]:
    """All that can be answered here, the most useful first."""
    found = [question for each in suggest(registry) for question in _of(each)]
    unnamed = [p for p in gallery.people(registry) if p.name is None and p.written]
    found += [
        _question("who", BULK, _one_person(p.members), float(p.members), p.set_name, None, None, None) for p in unnamed if p.members
    ]
    return sorted(found, key=lambda each: (-each.faces, each.id))


def _one_person(faces: int) -> str:
    return "This face is somebody." if faces == 1 else f"These {faces:,} faces are one person."


def _question(
    kind: str, lane: str, text: str, faces: float, left: str, right: str | None, yes: Any, no: Any, **evidence: Any
) -> Question:
    key = hashlib.sha256("\0".join([kind, left, right or "", repr(yes)]).encode()).hexdigest()[:16]
    return Question(key, lane, kind, text, faces, left, right, yes, no, evidence)


def _of(each: Suggestion) -> Iterator[Question]:
    words = shlex.split(each.command)
    match each.kind:
        case "merge":
            small, big = words[2:4]
            name = {"name": words[5]} if words[4:5] == ["--name"] else {}
            yes = ("merge", {"sets": small, "into": big, **name})
            yield _question("merge", EYES, each.text, each.faces, small, big, yes, ("distinct", {"set": small, "other": big}))
        case "extend":
            yield _question("extend", BULK, each.text, each.faces, words[2], words[2], ("extend", {"set": words[2]}), None)
        case "name":
            yes = ("name", {"set": words[2], "name": words[3]})
            yield _question("name", BULK, each.text, each.faces, words[2], None, yes, None, name=words[3])
        case "look":
            of = each.evidence["set"]
            for key, distance in each.evidence["faces"]:
                yes, no = ("confirm", {"faces": key, "set": of}), ("reject", {"faces": key, "set": of})
                yield _question("look", EYES, "A likely face", 1 / (1 + distance), key, of, yes, no, distance=distance)
        case "move" if "set" in each.evidence:  # what Immich calls otherwise is asked on the command line
            own, other = each.evidence["set"], each.evidence["other_set"]
            for key, near, far in each.evidence["faces"]:
                yes, no = ("move", {"faces": key, "set": own, "to": other}), ("confirm", {"faces": key, "set": own})
                yield _question(
                    "move", EYES, "In a set, and nearer to another", near / (near + far), key, other, yes, no, own=own, distance=far
                )


class Queue:
    """The questions of this session; called from the event loop alone."""

    def __init__(self, threads: RegistryThreads) -> None:
        self._threads = threads
        self._all: list[Question] = []
        self._searched: object = None  # the registry's state that the last search began with
        self._begun = -_AGAIN
        self._search: Future[list[Question]] | None = None
        self._lock = threading.Lock()
        self._answered: dict[str, int] = {}  # id -> after how many acts
        self._given: dict[str, Question] = {}  # what was answered, by id: an undo asks it again
        self._made: dict[int, tuple[Question, bool]] = {}  # decision -> what it is about; whether it answers it or takes that back
        self._later: list[str] = []
        self.right = 0.0  # faces put right in this session

    def refresh(self) -> Future[list[Question]] | None:
        """Search again where something was decided since, here or by another command; None where nothing was.

        The first search is to be waited for.
        """
        if self._search is not None and self._search.done():
            self._search = None
        now, acts, state = time.monotonic(), self._threads.acts, stamp_of(self._threads.workspace.registry_file)
        if self._search is None and state != self._searched and (now - self._begun > _AGAIN or not self._all):
            self._begun, self._searched = now, state
            self._search = self._threads.submit(lambda registry: self._found(registry, acts))
        return self._search

    def _found(self, registry: Registry, acts: int) -> list[Question]:
        found = questions(registry)
        with self._lock:
            self._all = found
            self._answered = {key: after for key, after in self._answered.items() if after > acts}
        return found

    def left(self, lane: str) -> list[Question]:
        """What is still to be asked; what was put off comes last, the earliest first."""
        with self._lock:
            open_ = [each for each in self._all if each.lane == lane and each.id not in self._answered]
        off = {key: at for at, key in enumerate(self._later)}
        return sorted(open_, key=lambda each: off.get(each.id, -1))

    def head(self, lane: str, held: Collection[str]) -> Question | None:
        """The first that the page does not hold already."""
        return next((each for each in self.left(lane) if each.id not in held), None)

    def find(self, key: str) -> Question | None:
        """A question that was asked; whether it still fits, its act says."""
        with self._lock:
            return next((each for each in self._all if each.id == key), None) or self._given.get(key)

    def answered(self, question: Question, decisions: Sequence[int]) -> None:
        """It was answered, which made these decisions."""
        self.dropped(question)
        self._given[question.id] = question
        self._made |= dict.fromkeys(decisions[:1], (question, True))
        self.right += max(1.0, question.faces)

    def taken_back(self, decision: int | None, undo: int) -> None:
        """A decision was undone (None: none was): its question is open again, or answered as before where that was an undo itself."""
        if decision is None or decision not in self._made:
            return
        question, answers = self._made.pop(decision)
        if answers:
            self.right -= max(1.0, question.faces)
            self._made[undo] = (question, False)
            with self._lock:
                self._answered.pop(question.id, None)
        else:
            self.answered(question, [undo])

    def dropped(self, question: Question) -> None:
        """It was answered, or fits no more; the search that has begun before must not bring it back."""
        with self._lock:
            self._answered[question.id] = self._threads.acts

    def put_off(self, key: str) -> None:
        """Ask it last."""
        self._later = [*(each for each in self._later if each != key), key]
