"""Room identity: heals what average linkage splits. Pure: arrays in, arrays out.

Average linkage asks for the mean of all pairs, the wrong question between two big groups of one varied face. Their normalised
centroids answer better: each is a mean of many photos, free of most of what a single photo adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesets.identity.arrays import Ints, in_order_of_first, pairs_of, roots, vectors_of, weights_of
from facesets.identity.match import DECIMALS

_BLOCK = 1024
_DIGITS = 9  # products of a block differ in the last bits from side to side; rounded, near stays mutual


@dataclass(frozen=True, slots=True)
class Merge:
    """Two groups found to be one person: a row of each (the lowest), their sizes, and the distance of their centroids."""

    kept: int
    joined: int
    kept_size: int
    joined_size: int
    distance: float


def consolidate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    cut: float,
    *,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
) -> tuple[Ints, tuple[Merge, ...]]:
    """Labels (int64 [n], by first occurrence) after joining groups whose centroids are within ``cut``, and each merge made.

    In rounds, each pair of groups that are one another's nearest is joined until no two allowed groups are within the cut, single
    faces included, but not with one another: of two single faces linkage has said all there is to say. Groups that hold a pair of
    ``cannot_link`` (int [m, 2]), or rows with two different ``names`` (int [n], -1 unnamed), are never joined. Of equally near
    groups the one with the lowest row is taken. A cut of 0 changes nothing.
    """
    x = vectors_of(embeddings)
    n = len(x)
    w = weights_of(weights, n)
    pairs = pairs_of(cannot_link, n)
    named = np.full(n, -1, np.int64) if names is None else np.asarray(names, dtype=np.int64)
    start = in_order_of_first(labels)
    if len(start) != n or len(named) != n:
        raise ValueError(f"labels and names must have one entry for each of the {n} rows")
    if n == 0 or cut <= 0:
        return start, ()
    groups = _Groups(x, start, w, pairs, named, cut)
    while groups.merge_round():
        pass
    return in_order_of_first(roots(groups.parent)[start]), tuple(groups.merges)


class _Groups:
    """The groups so far, each under the number of its first member; kept in float64, compared in float64."""

    def __init__(self, x: NDArray[np.float32], labels: Ints, w: NDArray[np.float64], pairs: Ints, named: Ints, cut: float) -> None:
        k = int(labels.max()) + 1
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(k))
        self.first = order[starts]
        self.size = np.diff(np.append(starts, len(labels)))
        self.sums = np.empty((k, x.shape[1]))
        self.weight, self.square = np.empty(k), np.empty(k)
        for g, members in enumerate(np.split(order, starts[1:])):
            rows = x[members].astype(np.float64)
            self.sums[g] = (rows * w[members, None]).sum(axis=0)
            self.weight[g] = w[members].sum()
            self.square[g] = ((rows * rows).sum(axis=1) * w[members]).sum()
        self.parent = np.arange(k, dtype=np.int64)
        self.alive = np.ones(k, dtype=bool)
        self.cut = cut
        self.foes: dict[int, set[int]] = {}
        for a, b in np.unique(labels[pairs], axis=0).tolist():
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)
        self.names: dict[int, set[int]] = {}
        for row in np.flatnonzero(named >= 0).tolist():
            self.names.setdefault(int(labels[row]), set()).add(int(named[row]))
        self.merges: list[Merge] = []
        self.centre = np.zeros_like(self.sums)
        self._recentre(np.arange(k))
        self.near = np.full(k, -1, np.int64)
        self.distance = np.full(k, np.inf)
        self._find(np.flatnonzero(self.size > 1), both=True)

    def _recentre(self, groups: Ints) -> None:
        length = np.sqrt(np.einsum("ij,ij->i", self.sums[groups], self.sums[groups]))
        rms = np.sqrt(self.square[groups] / self.weight[groups])
        self.centre[groups] = self.sums[groups] * np.where(length > 0, rms / np.maximum(length, 1e-300), 0)[:, None]

    def _find(self, groups: Ints, *, both: bool = False) -> None:
        """The nearest allowed group of each of ``groups``; with ``both`` these are told to the others as well."""
        alive = np.flatnonzero(self.alive)
        half = np.einsum("ij,ij->i", self.centre, self.centre) / 2
        for a in range(0, len(groups), _BLOCK):
            g = groups[a : a + _BLOCK]
            d = half[g, None] + half[None, alive] - self.centre[g] @ self.centre[alive].T
            np.round(d, _DIGITS, out=d)
            d[g[:, None] == alive[None, :]] = np.inf
            d[(self.size[g] == 1)[:, None] & (self.size[alive] == 1)[None, :]] = np.inf
            self._forbid(d, g, alive)
            best = np.argmin(d, axis=1)
            self.near[g], self.distance[g] = alive[best], d[np.arange(len(g)), best]
            if both:
                best = np.argmin(d, axis=0)
                least = d[best, np.arange(len(alive))]
                better = (least < self.distance[alive]) | ((least == self.distance[alive]) & (g[best] < self.near[alive]))
                self.near[alive[better]], self.distance[alive[better]] = g[best[better]], least[better]

    def _forbid(self, d: NDArray[np.float64], groups: Ints, alive: Ints) -> None:
        if not self.foes and not self.names:
            return
        place = {int(g): i for i, g in enumerate(alive)}
        for i, g in enumerate(groups.tolist()):
            d[i, [place[f] for f in self.foes.get(g, ()) if f in place]] = np.inf
            mine = self.names.get(g)
            if mine:
                d[i, [place[o] for o, theirs in self.names.items() if o in place and len(mine | theirs) > 1]] = np.inf

    def merge_round(self) -> bool:
        """Join every two groups that are one another's nearest within the cut; False where there are none."""
        k = np.flatnonzero(self.alive & (self.distance <= self.cut))
        k = k[self.near[self.near[k]] == k]
        k = k[k < self.near[k]]
        if not len(k):
            return False
        gone = self.near[k]
        for a, b in zip(k.tolist(), gone.tolist(), strict=True):
            size, first, distance = self.size, self.first, round(float(self.distance[a]), DECIMALS)
            self.merges.append(Merge(int(first[a]), int(first[b]), int(size[a]), int(size[b]), distance))
            self.sums[a] += self.sums[b]
            self.weight[a] += self.weight[b]
            self.square[a] += self.square[b]
            size[a] += size[b]
            self.parent[b], self.alive[b] = a, False
            self.distance[b] = np.inf
            self._inherit(a, b)
        self._recentre(k)
        orphans = np.flatnonzero(self.alive & (np.isin(self.near, gone) | np.isin(self.near, k)))
        self.distance[np.union1d(orphans, k)] = np.inf
        self._find(np.union1d(orphans, k), both=True)
        return True

    def _inherit(self, a: int, b: int) -> None:
        for foe in self.foes.pop(b, ()):
            self.foes[foe].discard(b)
            self.foes[foe].add(a)
            self.foes.setdefault(a, set()).add(foe)
        if b in self.names:
            self.names.setdefault(a, set()).update(self.names.pop(b))
