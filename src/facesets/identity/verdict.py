"""Identity: what a decision says of each face, of each new set, and in figures. Pure records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facesets.identity.gates import GateFailure
from facesets.records import Reason


@dataclass(frozen=True, slots=True)
class FragmentMerge:
    """The consolidation that brought a face to its group: its fragment of ``size`` and one of ``others``, of which ``face`` is one.

    ``distance`` is the mean distance of all their pairs, ``allowed`` the one up to which these two may join; ``centroids`` the distance
    of their centroids, where that was the evidence.
    """

    size: int
    others: int
    face: str
    distance: float
    allowed: float
    centroids: float | None = None


@dataclass(frozen=True, slots=True)
class NeighborGroup:
    """A group of at least two faces near to a face: its number, size, and the distance to its centroid."""

    group: int
    size: int
    distance: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one face is and why.

    ``set`` is the set it is in, matches, or was left out of; of a likely face the one that it is offered to; None where its group is
    no set. ``distance`` is to that set's centroid. ``other`` is the nearest other set (of all there are after this decision),
    ``other_distance`` to it; None where there is none; the difference of the two is the face's margin. ``ambiguous``: the other set
    is within the match distance too. ``group`` numbers the cluster the face was in (-1: it matched a set before), ``group_size``
    counts its faces. ``whole_group``: all of the group is likely more of ``set``'s person, which is one suggestion. ``failed`` has
    the figures of the gate that ``reason`` names, ``moved`` the merge that joined its fragment to the group, ``neighbors`` the nearest
    groups, its own among them.
    """

    face_id: str
    reason: Reason
    set: str | None
    distance: float | None
    other: str | None
    other_distance: float | None
    ambiguous: bool = False
    group: int = -1
    group_size: int = 0
    whole_group: bool = False
    failed: GateFailure | None = None
    moved: FragmentMerge | None = None
    neighbors: tuple[NeighborGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSet:
    """A set to be made: number, name (``faceset_NNN``), members' face ids best first, centroid (float64 [d], 6 decimals)."""

    number: int
    name: str
    members: tuple[str, ...]
    centroid: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures of one decision; ``covered_by_set`` and ``top_sizes`` (the ten largest clusters) detail two of them."""

    existing_centroids: int = 0
    already_covered: int = 0
    covered_by_set: Mapping[str, int] = field(default_factory=dict)
    unmatched: int = 0
    clusters: int = 0
    top_sizes: tuple[int, ...] = ()
    past_gates: int = 0
    known_persons: int = 0  # groups that are likely more of an existing set's person
    emitted: int = 0
    likely: int = 0  # faces offered for a look
    unchanged: int = 0  # faces in no set that were not decided on again, as nothing new is near to their groups


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict for every face, in canonical order; the new sets in the order of their numbers; the figures."""

    verdicts: tuple[Verdict, ...]
    sets: tuple[NewSet, ...]
    counts: Counts
