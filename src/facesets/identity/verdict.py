"""Room identity: what a decision says of each face, of each new set, and in figures. Pure records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facesets.identity.gates import Failed
from facesets.records import Reason


@dataclass(frozen=True, slots=True)
class Moved:
    """The consolidation that brought a face to its group: its fragment of ``size`` and one of ``others``, of which ``face`` is one.

    ``distance`` is that of their centroids, ``witness`` that of their two nearest faces where the centroids were not enough.
    """

    size: int
    others: int
    face: str
    distance: float
    witness: float | None


@dataclass(frozen=True, slots=True)
class NearGroup:
    """A group of at least two faces near to a face: its number, size, and the distance to its centroid."""

    group: int
    size: int
    distance: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one face is and why.

    ``set`` is the set it is in, matches, or was left out of; None where its group is no set. ``distance`` is to that set's
    centroid. ``other`` is the nearest other set (of all there are after this decision), ``other_distance`` to it; None where there
    is none. ``ambiguous``: the other set is within the match distance too. ``group`` numbers the cluster the face was in (-1: it
    matched a set before), ``group_size`` counts its faces. ``failed`` has the figures of the gate that ``reason`` names, ``moved`` the
    merge that joined its fragment to the group, ``near`` the nearest groups, its own among them.
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
    failed: Failed | None = None
    moved: Moved | None = None
    near: tuple[NearGroup, ...] = ()


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
    known_persons: int = 0  # groups that turned out to be more of an existing set
    emitted: int = 0
    dropped_outliers: int = 0  # of new sets


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict for every face, in canonical order; the new sets in the order of their numbers; the figures."""

    verdicts: tuple[Verdict, ...]
    sets: tuple[NewSet, ...]
    counts: Counts
