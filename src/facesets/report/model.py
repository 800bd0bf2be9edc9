"""The page model: everything the templates show, and nothing else. Frozen records; review uses them too. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facesets.records import Reason, State


@dataclass(frozen=True, slots=True)
class Tile:
    """One face or picture. ``thumb`` and ``large`` are addresses seen from the pages' folder; None where it cannot be read.

    ``key`` names it within its page; ``lines`` are the sentences that stand beside the large picture.
    """

    key: str
    thumb: str | None
    large: str | None
    day: str | None = None  # the photo's: 2019-05-04
    distance: float | None = None  # to the set's average
    photo: str | None = None  # its file's name; None in a blurred report
    lines: Sequence[str] = ()

    @property
    def caption(self) -> str:
        """What stands under the small picture."""
        return " · ".join(part for part in (self.day, None if self.distance is None else f"{self.distance:.2f}") if part)


@dataclass(frozen=True, slots=True)
class SetPage:
    """A set: its card on the first page, and a page of its own. ``recognised`` are some of its ``matched`` faces."""

    name: str
    number: int
    person: str | None
    made: bool
    ignored: bool
    tiles: Sequence[Tile]
    matched: int
    recognised: Sequence[Tile]
    distances: tuple[float, float] | None  # nearest and farthest face
    years: tuple[str, str] | None
    neighbour: tuple[str, float] | None  # the nearest other set, by average
    story: Sequence[str]  # what explain says of it

    @property
    def page(self) -> str:
        """The file of its own page."""
        return f"{self.name}.html"


@dataclass(frozen=True, slots=True)
class Gate:
    """Faces that one gate kept out of every set; ``tiles`` are some of them."""

    reason: Reason
    name: str
    sentence: str
    count: int
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """A row of an accounting table."""

    code: str
    count: int
    sentence: str


@dataclass(frozen=True, slots=True)
class StateCount:
    """A state with its reasons; ``start`` and ``width`` are its part of a bar 1000 long."""

    state: State
    name: str
    count: int
    reasons: Sequence[ReasonCount]
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where all files, or all faces, have got to: a bar and a table."""

    noun: str  # file, face
    total: int
    states: Sequence[StateCount]


@dataclass(frozen=True, slots=True)
class Distances:
    """Of every face that has a set: its distance to that set's average and (if there is another) to the nearest other's."""

    pack: str
    own: Sequence[float]
    other: Sequence[float]
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """All pages. ``looked_through`` photos and ``placed`` faces are parts of the two accountings."""

    files: Accounting
    faces: Accounting
    looked_through: int
    placed: int
    sets: Sequence[SetPage]
    distances: Distances | None
    gates: Sequence[Gate]
    planned: Sequence[str]
    gone: int  # files that were listed once, and are in neither accounting
    blurred: bool

    @property
    def made(self) -> Sequence[SetPage]:
        """Sets that facesets made."""
        return [each for each in self.sets if each.made]

    @property
    def adopted(self) -> Sequence[SetPage]:
        """Sets that were there before."""
        return [each for each in self.sets if not each.made]
