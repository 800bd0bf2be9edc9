"""How similar to strangers a group is by nature. Pure: arrays in, arrays out.

Babies, children and blurred faces resemble one another more than grown-ups do, so one cut for all joins children of different
families before it joins two looks of one adult. A group's *background* is what it shares with people it is not: its mean similarity to
the groups of a cohort that are 11th to 60th nearest to it (the nearest ten may be itself in other photos, and its kin). Speaker
recognition does the same with its cohorts (Matejka et al. 2017, adaptive symmetric score normalisation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesets.clustering.arrays import Floats, Ints

COHORT = 2000  # groups that everybody is compared with, evenly taken; the ranks below are those of libraries about so large
NEAREST, FARTHEST = 10, 60
LEAST = 0.10  # what grown-ups have among strangers; libraries of few people show less, which proves nothing
_BLOCK = 2048


def backgrounds(centres: NDArray[np.float32], cohort: Ints, known: Floats | None = None) -> NDArray[np.float64]:
    """The background of each of ``centres`` [k, d] (unit length): float64 [k], at least ``LEAST``.

    ``cohort`` are the rows that everybody is compared with; ``known`` [m, d] stand beside them: the centroids of people known before.
    """
    others = centres[cohort]
    if known is not None and len(known):
        others = np.concatenate([others, known.astype(np.float32)])
    out = np.full(len(centres), LEAST)
    if len(others) <= NEAREST + 1:
        return out
    place = np.full(len(centres), -1, np.int64)
    place[cohort] = np.arange(len(cohort))
    columns = np.ascontiguousarray(others.T)
    far = min(FARTHEST, len(others) - 1)
    space = np.empty((min(_BLOCK, len(centres)), len(others)), np.float32)
    for a in range(0, len(centres), _BLOCK):
        block = centres[a : a + _BLOCK]
        away = np.matmul(block, columns, out=space[: len(block)])
        np.negative(away, out=away)  # in place, as what follows: copies of it would be most of what consolidation takes
        own = place[a : a + _BLOCK]
        away[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
        away.partition(far - 1, axis=1)
        between = -np.sort(away[:, :far], axis=1)[:, NEAREST:].astype(np.float64)
        out[a : a + _BLOCK] = np.maximum(between.mean(axis=1), LEAST)
    return np.round(out, 5)  # the last bits of float32 products depend on the machine


def cohort_of(k: int) -> Ints:
    """Which of ``k`` groups stand for all."""
    return np.arange(k) if k <= COHORT else np.linspace(0, k - 1, COHORT).astype(np.int64)
