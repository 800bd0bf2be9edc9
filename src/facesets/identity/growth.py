"""Identity: a few new faces among many that were decided on before. Pure: arrays and records in and out.

Linkage below a cut and consolidation above what is usual are local: a face changes groups that have a face near enough to join it, and
no others. So decided on again are

    new       the faces that no decision knows
    likely    those that were offered for a look, and those that a set is near to (its averages move as it grows)
    touched   the groups (of faces that are in no set) with a face near enough to a new one that is of no set
    broken    the groups that lost a face

whole groups each, in the company of all: what is usual is told by a sample of the others. All other faces stay as they are, and have no
verdict. A whole decision may still differ a little, where a group that grew would have drawn others along: so it is made now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import LEAST_BACKGROUND, Ints, backgrounds, cohort_of, distance_to_any, in_parts, least_evidence, nearest_sets
from facesets.identity.constraints import Constraints
from facesets.identity.decide import Population, decide, one_each
from facesets.identity.gates import Gates
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Decision
from facesets.progress import Progress
from facesets.records import Centroid, Reason, Thresholds

#: Of a face in no set, what may stand.
STANDS = frozenset({Reason.FEW_FACES, Reason.FEW_PHOTOS, Reason.TOO_SMALL, Reason.LOW_SCORE, Reason.BLURRED})


FEWEST = 5000  # faces in no set: fewer are soon decided on anew
MOST_NEW = 0.1  # of them; whatever came since all were


def is_growth(faces: int, whole: int) -> bool:
    """Whether of so many ``faces`` in no set few enough came since all (``whole``) were decided on."""
    return whole >= FEWEST and faces <= whole * (1 + MOST_NEW)


@dataclass(frozen=True, slots=True)
class Before:
    """What the last decision said of a face: its reason, the number of its group, and how many faces that had."""

    reason: Reason
    group: int
    size: int


def decide_growth(
    table: FaceTable, existing: Sequence[Centroid], before: Mapping[str, Before], *, thresholds: Thresholds, gates: Gates,
    constraints: Constraints, first_number: int, progress: Progress,
) -> Decision:  # fmt: skip
    """Decide on those faces of ``table`` that are not ``before`` (by their ids), and on those whose groups they may change.

    Group numbers go on after the highest there is. For the other arguments see :func:`facesets.identity.decide`.
    """
    table = table.canonical()
    x = table.vectors
    known = [before.get(face) for face in table.face_ids]
    judged = [one is not None and (one.reason in STANDS or one.reason is Reason.LIKELY) for one in known]
    group = np.array([one.group if one and there else -1 for one, there in zip(known, judged, strict=True)], dtype=np.int64)
    likely = np.array([one is not None and one.reason is Reason.LIKELY for one in known], dtype=bool)
    size = np.array([one.size if one else 0 for one in known], dtype=np.int64)
    new = group < 0
    first_group = int(group.max(initial=-1)) + 1
    group[new] = first_group + np.arange(np.count_nonzero(new))  # alone
    numbers, first, group, counts = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    centres = np.stack([c.vector for c in existing]) if existing else np.empty((0, x.shape[1]))
    again = new | likely | (size > counts[group]) | (distance_to_any(x, centres) <= thresholds.likely)
    population = Population(_sample(x, group, first[~new[first]]), len(numbers), first_group)
    seeds, old = np.flatnonzero(new & ~_sure(x, new, existing, thresholds)), np.flatnonzero(~new)
    away = distance_to_any(x[old], x[seeds])
    again[old[away <= thresholds.cluster]] = True
    if thresholds.consolidate > 0:
        people = one_each(existing)
        usual = population.sample if people is None else np.concatenate([people, population.sample])
        evidence = least_evidence(thresholds.consolidate, len(numbers))
        may = old[(away > thresholds.cluster) & (away <= 1 - 2 * LEAST_BACKGROUND - evidence)]
        again[_may_join(x, seeds, may, usual, evidence)] = True
    while True:
        again = np.isin(group, group[again])
        decision = decide(
            table.take(np.flatnonzero(again)), existing, thresholds=thresholds, gates=gates, constraints=constraints,
            first_number=first_number, among=population, progress=progress,
        )  # fmt: skip
        made = np.array([s.centroid for s in decision.sets]).reshape(-1, x.shape[1])
        more = np.flatnonzero(~again)[distance_to_any(x[~again], made) <= thresholds.likely]
        if not len(more):
            return replace(decision, counts=replace(decision.counts, unchanged=len(table) - len(decision.verdicts)))
        again[more] = True


def _sure(x: NDArray[np.float32], new: NDArray[np.bool_], existing: Sequence[Centroid], thresholds: Thresholds) -> NDArray[np.bool_]:
    """Which of the ``new`` rows are surely of a set, as far as distances say."""
    near = nearest_sets(x[new], existing)
    out = np.zeros(len(x), dtype=bool)
    out[new] = (near.first_distance <= thresholds.match) & (near.second_distance >= near.first_distance + thresholds.margin)
    return out


def _may_join(x: NDArray[np.float32], seeds: Ints, old: Ints, usual: NDArray[np.float64], evidence: float) -> Ints:
    """Those rows of ``old`` whose groups one of ``seeds`` may join by consolidation; ``usual`` [m, d] are the others of the library."""
    theirs, own = (backgrounds(x[rows], np.empty(0, np.int64), usual) for rows in (seeds, old))
    found = np.zeros(len(old), dtype=bool)
    for part in in_parts(len(old), len(seeds)) if len(seeds) else ():
        over = x[old[part]] @ x[seeds].T - theirs.astype(np.float32)
        found[part] = over.max(axis=1) >= own[part] + evidence
    return old[found]


def _sample(x: NDArray[np.float32], group: Ints, first: Ints) -> NDArray[np.float64]:
    """The centroids (unit length) of those groups whose first rows these are, or of some, evenly taken."""
    first = np.sort(first)
    rows = [np.flatnonzero(group == group[row]) for row in first[cohort_of(len(first))].tolist()]
    means = np.array([x[part].mean(axis=0, dtype=np.float64) for part in rows]).reshape(-1, x.shape[1])
    out: NDArray[np.float64] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return out
