"""What the report shows, gathered and ready to be drawn. Pure: plain records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...records import Reason


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture (a data: URI; None where it could not be read) and what stands in its tooltip."""

    uri: str | None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A set as a contact sheet. ``tiles`` are the first of its ``images`` pictures; ``recognised`` some of its matched faces."""

    name: str
    person: str | None
    made: bool
    images: int
    tiles: Sequence[Tile]
    matched: int
    recognised: Sequence[Tile]
    distances: tuple[float, float] | None  # nearest and farthest face
    years: tuple[str, str] | None
    neighbour: tuple[str, float] | None  # the nearest other set, by centroid


@dataclass(frozen=True, slots=True)
class Distances:
    """Of every face that has a set: its distance to that set's centroid and (if there is another) to the nearest other."""

    pack: str
    own: Sequence[float]
    other: Sequence[float]
    cuts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """All of the page. ``left_out``: some faces for each gate that kept faces out."""

    assets: Mapping[Reason, int]
    faces: Mapping[Reason, int]
    sheets: Sequence[Sheet]
    distances: Distances | None
    left_out: Mapping[Reason, Sequence[Tile]]
    planned: Sequence[str]
    blurred: bool
