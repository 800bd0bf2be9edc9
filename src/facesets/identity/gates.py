"""Identity: what a group must have to become a set, and a face to be in one. Pure: arrays and records in and out.

The gates in their order, each with the reason it leaves behind; a face keeps the first one it fails:

    1. too_small       short side of the face in original pixels below ``min_face_short``
    2. low_score       detection score below ``min_det_score``
    3. blurred         sharpness below ``min_sharpness``
    4. few_faces       its group has fewer than ``min_faces`` faces that pass 1 to 3
    5. few_photos      those stand in fewer than ``min_photos`` distinct photos, copies and bursts counted once
    6. likely          by less than the margin nearer to its own people than to others, or beyond the likely distance of its set's
                       centroid; 4 and 5 are asked again of what is left
    7. near_duplicate  a better face of the same exposure is in the set
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import DECIMALS, SLACK, Floats, Ints, centroid, distances, in_parts
from facesets.identity.ranking import quality
from facesets.identity.table import FaceTable
from facesets.records import Reason, Thresholds

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Gates:
    """The least a set and its faces must have; 0 switches a gate off."""

    min_faces: int = 5  # fewer tell little about a person, and trainers want 5 to 10 at least
    min_photos: int = 4  # one exposure, however often copied, is no person
    min_face_short: float = 90.0  # pixels of the original; smaller faces blur when enlarged to a crop
    min_det_score: float = 0.6  # below are profiles, backs of heads and patterns
    min_sharpness: float = 0.0


@dataclass(frozen=True, slots=True)
class GateFailure:
    """The gate a face failed in figures: what it or its group has, what is asked for; of a near-duplicate the better face."""

    has: float
    needs: float
    better: str | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of a group: for each face its reason, and the figures where it failed; for a set its centroid and who was kept.

    ``passed`` says whether it passed the gates before unsure faces were put aside; ``centroid`` is None for a group that is no set.
    Faces of a set whose reason is NEW are not of its person: they go on to be clustered.
    """

    reasons: tuple[Reason, ...]
    failed: tuple[GateFailure | None, ...]
    passed: bool
    centroid: NDArray[np.float64] | None = None
    members: Ints | None = None  # rows of the group, in canonical order


def face_reasons(table: FaceTable, gates: Gates) -> list[Reason | None]:
    """The first of gates 1 to 3 that each face fails, None where it passes."""
    small = table.face_short < gates.min_face_short
    unsure = table.det_score < gates.min_det_score
    blurred = table.sharpness < gates.min_sharpness
    out: list[Reason | None] = []
    for s, u, b in zip(small, unsure, blurred, strict=True):
        out.append(Reason.TOO_SMALL if s else Reason.LOW_SCORE if u else Reason.BLURRED if b else None)
    return out


def exposures(vectors: Floats, order: Ints, cut: float) -> Ints:
    """For each row of ``vectors`` [m, d] the row that stands for its exposure: itself, or the better row it nearly equals.

    Rows are gone through in ``order`` (best first); one within ``cut`` of a row already kept is that row's near-duplicate, so a
    long burst in which the face slowly turns keeps several, not one.
    """
    return _stand_for(order, _pairs_within(vectors, cut))


def _stand_for(order: Ints, pairs: Ints) -> Ints:
    """:func:`exposures` of rows of which ``pairs`` [p, 2] are near duplicates."""
    m = len(order)
    leader = np.arange(m, dtype=np.int64)
    place = np.empty(m, np.int64)
    place[order] = np.arange(m)
    better_of: dict[int, list[int]] = {}
    for i, j in pairs.tolist():
        worse, better = (i, j) if place[i] > place[j] else (j, i)
        better_of.setdefault(worse, []).append(better)
    for row in order.tolist():
        kept = [j for j in better_of.get(row, ()) if leader[j] == j]
        if kept:
            leader[row] = min(kept, key=lambda j: int(place[j]))
    return leader


def _pairs_within(vectors: Floats, cut: float) -> Ints:
    """Pairs of rows no farther apart than ``cut``: int64 [p, 2]; products in float32 say which are worth an exact look."""
    out = [np.empty((0, 2), np.int64)]
    if cut <= 0:
        return out[0]
    x = np.asarray(vectors, dtype=np.float32)
    half = np.einsum("ij,ij->i", x, x, dtype=np.float64) / 2
    rough, slack = half.astype(np.float32), np.float32(SLACK * (1 + 2 * half.max(initial=0)))
    for rows in in_parts(len(x), len(x)):
        others = slice(rows.start, None)
        products = x[rows] @ x[others].T
        products -= rough[others]
        i, j = np.divmod(np.flatnonzero(products >= rough[rows, None] - np.float32(cut) - slack), products.shape[1])
        i, j = i[i < j] + rows.start, j[i < j] + rows.start
        for b in range(0, len(i), _BLOCK):
            p, q = i[b : b + _BLOCK], j[b : b + _BLOCK]
            d = half[p] + half[q] - np.einsum("ij,ij->i", x[p].astype(np.float64), x[q])
            close = np.round(d, DECIMALS) <= cut
            out.append(np.stack([p[close], q[close]], axis=1))
    return np.concatenate(out)


def gate(table: FaceTable, thresholds: Thresholds, gates: Gates, lead: Floats, confirmed: NDArray[np.bool_]) -> GateResult:
    """Send one group (``table``: its faces in canonical order) through the gates.

    ``lead`` float64 [n]: by how much each face is more similar to the others of the group than to anybody else. ``confirmed`` bool [n]:
    faces that somebody looked at, which no gate puts aside.
    """
    reasons = [None if sure else r for r, sure in zip(face_reasons(table, gates), confirmed.tolist(), strict=True)]
    failed = [_face_failed(table, i, reason, gates) for i, reason in enumerate(reasons)]
    usable = np.array([i for i, r in enumerate(reasons) if r is None], dtype=np.int64)
    if len(usable) < max(gates.min_faces, 1):
        return _no_set(reasons, failed, Reason.FEW_FACES, GateFailure(len(usable), gates.min_faces), False)
    alike = usable[_pairs_within(table.vectors[usable], thresholds.near_duplicate)]
    sure = usable[(lead[usable] >= thresholds.margin) | confirmed[usable]]
    passed = False
    while True:
        if len(sure) < max(gates.min_faces, 1):
            return _no_set(reasons, failed, Reason.FEW_FACES, GateFailure(len(sure), gates.min_faces), passed)
        leader = _leaders(table, sure, alike)
        kept = sure[leader == sure]
        photos = len({table.sha256s[i] for i in kept.tolist()})
        if photos < gates.min_photos:
            return _no_set(reasons, failed, Reason.FEW_PHOTOS, GateFailure(photos, gates.min_photos), passed)
        passed = True
        centre = centroid(table.vectors[kept])
        away = distances(table.vectors, centre[None])[:, 0]
        far = (away[sure] > thresholds.likely) & ~confirmed[sure]
        if not far.any():
            break
        sure = sure[~far]
    final: list[Reason] = [r or Reason.NEW for r in reasons]
    for i in np.setdiff1d(usable, sure).tolist():
        if lead[i] >= 0 and away[i] <= thresholds.likely:
            final[i], failed[i] = Reason.LIKELY, GateFailure(float(lead[i]), thresholds.margin)
    for i, better in zip(sure.tolist(), leader.tolist(), strict=True):
        final[i] = Reason.MEMBER if i == better else Reason.NEAR_DUPLICATE
        distance = float(distances(table.vectors[i : i + 1], table.vectors[better][None])[0, 0])
        failed[i] = None if i == better else GateFailure(distance, thresholds.near_duplicate, table.face_ids[better])
    return GateResult(tuple(final), tuple(failed), passed=True, centroid=centre, members=kept)


def _face_failed(table: FaceTable, i: int, reason: Reason | None, gates: Gates) -> GateFailure | None:
    figures = {
        Reason.TOO_SMALL: (table.face_short, gates.min_face_short),
        Reason.LOW_SCORE: (table.det_score, gates.min_det_score),
        Reason.BLURRED: (table.sharpness, gates.min_sharpness),
    }
    if reason is None:
        return None
    column, needs = figures[reason]
    return GateFailure(float(column[i]), needs)


def _no_set(
    reasons: list[Reason | None], failed: list[GateFailure | None], why: Reason, figures: GateFailure, passed: bool
) -> GateResult:
    """Every face that failed nothing of its own fails with its group."""
    return GateResult(
        tuple(r or why for r in reasons), tuple(own if r else figures for r, own in zip(reasons, failed, strict=True)), passed
    )


def _leaders(table: FaceTable, usable: Ints, alike: Ints) -> Ints:
    """For each usable row the row that stands for its exposure (itself, or a better one); ``alike``: pairs of near duplicates."""
    best_first = np.argsort(-quality(table.take(usable)), kind="stable")
    at = np.full(len(table), -1, np.int64)
    at[usable] = np.arange(len(usable))
    there = at[alike]
    stands: Ints = usable[_stand_for(best_first, there[(there >= 0).all(axis=1)])]
    return stands
