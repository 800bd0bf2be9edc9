"""Identity: when a person's looks moved. Pure: arrays in, spans of years out.

A person is cut into spans of years where the average face before and after differ by more than chance and more than a grown-up's does
from year to year. Of all ways to cut, that with the least sum of

    scatter     of the faces of each span around their mean (half squared distances, as everywhere)
    cuts        each costs CHANCE times what a cut anywhere saves by chance, and ``change`` times the similarity that faces of one look
                have, for as many faces as stand on its smaller side (the harmonic mean of both, halved)

So two neighbouring spans remain apart exactly where their means, free of what single photos add, differ by more than ``change``, as a
share: 0 the same face, 1 somebody else. This is optimal partitioning (W. D. Fisher, "On grouping for maximum homogeneity", 1958), found
exactly by dynamic programming over the years; the cost of a cut depends on the spans at both its sides. A wedding is one occasion:
faces of one day count as many as their design effect leaves (L. Kish, "Survey Sampling", 1965), at most 1 / ``OCCASION``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facesets.clustering import Floats, Ints
from facesets.identity.dates import year_of

CHANGE = 0.15  # how far looks must have moved; benchmarks/eras.py chooses it by cross-validation over people
CHANCE = 2.0  # the same
OCCASION = 0.25  # share of what varies between photos of one look that those of one day have in common
LEAST = 2  # days that a span's faces are of: of one nobody knows whether it is the look or the occasion
_PAIRS = 30.0  # pairs of faces of one look that weigh as much as what the pack says of all people
_DIGITS = 9  # sums differ in their last bits from machine to machine; equal is equal


@dataclass(frozen=True, slots=True)
class Era:
    """A span of years, both ends included, and the rows of its faces."""

    first: int
    last: int
    rows: Ints


def find_eras(
    vectors: Floats, taken_at: Sequence[str | None], *, alike: float, change: float = CHANGE, chance: float = CHANCE
) -> list[Era]:
    """The eras of a person, oldest first; one where the looks did not move, none where no date is known.

    ``vectors`` [n, d] of unit length; ``taken_at`` ISO 8601, None where it says nothing (:mod:`facesets.identity.dates`); ``alike``:
    the pack's distance up to which two faces are linked. Depends on the faces alone, not on their order.
    """
    dated = [(year_of(when), (when or "")[:10], i) for i, when in enumerate(taken_at)]
    known = [(year, day, i) for year, day, i in dated if year is not None]
    if not known:
        return []
    years = np.array([year for year, _, _ in known], dtype=np.int64)
    rows = np.array([i for _, _, i in known], dtype=np.int64)
    _, day, times = np.unique([day for _, day, _ in known], return_inverse=True, return_counts=True)
    weights = 1 / (1 + (times[day] - 1) * OCCASION)
    x = np.asarray(vectors, dtype=np.float64)[rows]
    each, at = np.unique(years, return_inverse=True)
    cuts = _cuts(x, at, day, weights, len(each), 1 - alike, change, chance)
    ends = [*cuts[1:], len(each)]
    return [Era(int(each[a]), int(each[b - 1]), rows[(at >= a) & (at < b)]) for a, b in zip(cuts, ends, strict=True)]


def _cuts(x: Floats, at: Ints, day: Ints, weights: Floats, n: int, usual: float, change: float, chance: float) -> list[int]:
    """The first year (by its place) of each span; ``at`` [m]: the place of each face's year."""
    sums = np.zeros((n + 1, x.shape[1]))
    np.add.at(sums, at + 1, x * weights[:, None])
    sums = np.cumsum(sums, axis=0)
    mass = np.concatenate([[0.0], np.cumsum(np.bincount(at, weights, n))])
    days = np.array([len(np.unique(day[at == year])) for year in range(n)])  # a day is of one year
    count = np.concatenate([[0], np.cumsum(days)])
    one_look = _one_look(x, at, day, usual)
    spread = (1 - one_look) / 2
    cost = np.full((n, n + 1), np.inf)  # of a span from a to b
    for a in range(n):
        inside = mass[a + 1 :] - mass[a]
        total = sums[a + 1 :] - sums[a]
        cost[a, a + 1 :] = inside / 2 - np.einsum("ij,ij->i", total, total) / (2 * inside)
    best = np.full((n, n + 1), np.inf)  # of all cuts up to b, the last span being from a
    came = np.full((n, n + 1), -1, np.int64)
    for b in range(1, n + 1):
        if count[b] >= LEAST or b == n:
            best[0, b] = cost[0, b]
        for a in range(1, b):
            if count[b] - count[a] < LEAST:
                continue
            left, right = mass[a] - mass[:a], mass[b] - mass[a]
            paid = chance * spread + change * one_look * left * right / (left + right)
            found = np.round(best[:a, a] + paid, _DIGITS)
            came[a, b] = int(np.argmin(found))
            best[a, b] = found[came[a, b]] + cost[a, b]
    a, b = int(np.argmin(np.round(best[:, n], _DIGITS))), n
    cuts = [a]
    while a > 0:
        a, b = int(came[a, b]), a
        cuts.append(a)
    return cuts[::-1]


def _one_look(x: Floats, at: Ints, day: Ints, usual: float) -> float:
    """How similar two photos of this person are while looks do not move: of one year, of two days. Few such pairs are no proof."""
    total, pairs = 0.0, 0.0
    for year in range(int(at.max()) + 1):
        rows = np.flatnonzero(at == year)
        whole = x[rows].sum(axis=0)
        similar, n = float(whole @ whole), float(len(rows)) ** 2
        for one in np.unique(day[rows]).tolist():
            inside = rows[day[rows] == one]
            part = x[inside].sum(axis=0)
            similar -= float(part @ part)
            n -= float(len(inside)) ** 2
        total += similar / 2
        pairs += n / 2
    return float(np.clip((total + usual * _PAIRS) / (pairs + _PAIRS), 0.05, 0.98))
