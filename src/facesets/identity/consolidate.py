"""Room identity: heals what average linkage splits. Pure: arrays in, arrays out.

Average linkage asks for the mean of all pairs, the wrong question between two big groups of one varied face. Their normalised
centroids answer better: each is a mean of many photos, free of most of what a single photo adds. Two pieces of evidence:

    centroids       within the cut: one person
    and a witness   one or two faces on the edge of a group (turned, in poor light) lie beyond the cut of its centroid, but near to one
                    face in it, which was taken like them; so a group of at most ``SMALL`` faces joins if (4 centroid + 3 nearest
                    face) / 7 is within ``REACH`` cuts. Two big groups never join so: siblings have faces that are near by chance
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesets.identity.arrays import Floats, Ints, in_order_of_first, pairs_of, roots, vectors_of, weights_of
from facesets.identity.match import DECIMALS

SMALL = 2
REACH = 1.1  # the farthest without a false merge on the labelled photos; benchmarks/quality.py prints the whole range
FAR = 1.25  # beyond so many cuts no witness is heard
TOGETHER = 2  # groups that stand together in so many photos are two people; in one they may be a person and a mirror

_BLOCK = 512
_DIGITS = 9  # products of a block differ in the last bits from side to side; rounded, near stays mutual
_SLACK = 1e-4  # more than float32 products of unit vectors err


@dataclass(frozen=True, slots=True)
class Merge:
    """Two groups found to be one person: a row of each (the lowest), their sizes, the distance of their centroids.

    ``witness`` is the distance of the two faces nearest to one another, where the centroids alone were not enough.
    """

    kept: int
    joined: int
    kept_size: int
    joined_size: int
    distance: float
    witness: float | None = None


def consolidate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    cut: float,
    *,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    reach: float = REACH,
) -> tuple[Ints, tuple[Merge, ...]]:
    """Labels (int64 [n], by first occurrence) after joining groups that are one person by ``cut``, and each merge made.

    In rounds, each pair of groups that are one another's nearest is joined until no two allowed groups are within the cut, single
    faces included, but not with one another: of two single faces linkage has said all there is to say. Groups that hold a pair of
    ``cannot_link`` (int [m, 2]), or rows with two different ``names`` (int [n], -1 unnamed), or that stand together in ``TOGETHER``
    of the ``photos`` (int [n], the photo of each row) are never joined. Of equally near groups the one with the lowest row is
    taken. A cut of 0 changes nothing, a ``reach`` of 0 hears no witness.
    """
    x = vectors_of(embeddings)
    n = len(x)
    w = weights_of(weights, n)
    pairs = pairs_of(cannot_link, n)
    named = np.full(n, -1, np.int64) if names is None else np.asarray(names, dtype=np.int64)
    seen_in = np.arange(n) if photos is None else np.asarray(photos)
    start = in_order_of_first(labels)
    if any(len(column) != n for column in (start, named, seen_in)):
        raise ValueError(f"labels, names and photos must have one entry for each of the {n} rows")
    if n == 0 or cut <= 0:
        return start, ()
    groups = _Groups(x, start, w, cut, reach)
    groups.forbid(start[pairs].tolist())
    groups.forbid(_together(start, seen_in))
    groups.name(start, named)
    groups.meet(np.flatnonzero(groups.size > 1))
    while groups.merge_round():
        pass
    return in_order_of_first(roots(groups.parent)[start]), tuple(groups.merges)


def _together(labels: Ints, photos: Ints) -> list[tuple[int, int]]:
    """Pairs of groups that have faces in ``TOGETHER`` photos or more."""
    order = np.argsort(photos, kind="stable")
    count: Counter[tuple[int, int]] = Counter()
    for rows in np.split(order, np.flatnonzero(np.diff(photos[order])) + 1):
        if len(rows) > 1:
            here = sorted(set(labels[rows].tolist()))
            count.update((a, b) for i, a in enumerate(here) for b in here[i + 1 :])
    return [pair for pair, times in count.items() if times >= TOGETHER]


class _Groups:
    """The groups so far, each under the number of its first member.

    ``near`` holds, for each group, those it may join: how near (a distance within the cut), centroid distance, witness.
    """

    def __init__(self, x: NDArray[np.float32], labels: Ints, w: Floats, cut: float, reach: float) -> None:
        k = int(labels.max()) + 1
        order = np.argsort(labels, kind="stable")
        self.x, self.cut, self.reach = x, cut, reach
        self.half_square = np.einsum("ij,ij->i", x, x) / 2
        self.members = np.split(order, np.searchsorted(labels[order], np.arange(1, k)))
        self.first = np.array([m[0] for m in self.members])
        self.size = np.array([len(m) for m in self.members])
        self.sums = np.empty((k, x.shape[1]))
        self.weight, self.square = np.empty(k), np.empty(k)
        for g, members in enumerate(self.members):
            rows = x[members].astype(np.float64)
            self.sums[g] = (rows * w[members, None]).sum(axis=0)
            self.weight[g] = w[members].sum()
            self.square[g] = ((rows * rows).sum(axis=1) * w[members]).sum()
        self.parent = np.arange(k, dtype=np.int64)
        self.alive = np.ones(k, dtype=bool)
        self.foes: dict[int, set[int]] = {}
        self.names: dict[int, set[int]] = {}
        self.merges: list[Merge] = []
        self.near: list[dict[int, tuple[float, float, float | None]]] = [{} for _ in range(k)]
        self.centre = np.zeros((k, x.shape[1]))
        self.rough = np.zeros((k, x.shape[1]), np.float32)
        self.half = np.zeros(k)
        self._recentre(np.arange(k))
        self.slack = _SLACK * (1 + 2 * self.half.max())
        self.heard: list[dict[int, float]] = [{} for _ in range(k)]  # witnesses so far

    def forbid(self, pairs: list[tuple[int, int]]) -> None:
        """These groups are not to be joined."""
        for a, b in pairs:
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)

    def name(self, labels: Ints, named: Ints) -> None:
        """Rows that have a name give it to their groups."""
        for row in np.flatnonzero(named >= 0).tolist():
            self.names.setdefault(int(labels[row]), set()).add(int(named[row]))

    def _recentre(self, groups: Ints) -> None:
        length = np.sqrt(np.einsum("ij,ij->i", self.sums[groups], self.sums[groups]))
        rms = np.sqrt(self.square[groups] / self.weight[groups])
        self.centre[groups] = self.sums[groups] * np.where(length > 0, rms / np.maximum(length, 1e-300), 0)[:, None]
        self.rough[groups] = self.centre[groups]
        self.half[groups] = np.einsum("ij,ij->i", self.centre[groups], self.centre[groups]) / 2

    def meet(self, groups: Ints) -> None:
        """Find whom each of ``groups`` may join, and tell the others."""
        for a in range(0, len(groups), _BLOCK):
            g = groups[a : a + _BLOCK]
            least = self.half - (self.cut * FAR + self.slack)
            i, two = np.nonzero(self.rough[g] @ self.rough.T >= self.half[g, None] + least)
            one = g[i]
            differ = (one != two) & ((self.size[one] > 1) | (self.size[two] > 1))
            one, two = one[differ], two[differ]
            d = self.half[one] + self.half[two]
            for b in range(0, len(d), _BLOCK):
                d[b : b + _BLOCK] -= np.einsum("ij,ij->i", self.centre[one[b : b + _BLOCK]], self.centre[two[b : b + _BLOCK]])
            for p, q, distance in zip(one.tolist(), two.tolist(), np.round(d, _DIGITS).tolist(), strict=True):
                if q not in self.near[p]:
                    self._consider(p, q, distance)

    def _consider(self, p: int, q: int, distance: float) -> None:
        if q in self.foes.get(p, ()) or len(self.names.get(p, set()) | self.names.get(q, set())) > 1:
            return
        evidence: tuple[float, float, float | None] = (distance, distance, None)
        if distance > self.cut:
            if self.reach <= 0 or distance > self.cut * FAR or min(self.size[p], self.size[q]) > SMALL:
                return
            witness = self._nearest_faces(p, q)
            evidence = (round((4 * distance + 3 * witness) / 7 / self.reach, _DIGITS), distance, witness)
            if evidence[0] > self.cut:
                return
        self.near[p][q] = self.near[q][p] = evidence

    def _nearest_faces(self, p: int, q: int) -> float:
        """The distance of the two faces of groups p and q that are nearest to one another."""
        if q not in self.heard[p]:
            few, many = sorted((self.members[p], self.members[q]), key=len)
            least = np.inf
            for row in few.tolist():
                best = int(many[np.argmin(self.half_square[many] - self.x[many] @ self.x[row])])
                difference = self.x[best].astype(np.float64) - self.x[row]
                least = min(least, float(difference @ difference) / 2)
            self.heard[p][q] = self.heard[q][p] = round(least, _DIGITS)
        return self.heard[p][q]

    def merge_round(self) -> bool:
        """Join every two groups that are one another's nearest; False where there are none."""
        best = {g: min(near.items(), key=lambda e: (e[1][0], e[0]))[0] for g, near in enumerate(self.near) if near}
        pairs = [(a, b) for a, b in best.items() if a < b and best.get(b) == a]
        for a, b in pairs:
            _, distance, witness = self.near[a][b]
            self.merges.append(
                Merge(
                    int(self.first[a]), int(self.first[b]), int(self.size[a]), int(self.size[b]),
                    round(distance, DECIMALS), None if witness is None else round(witness, DECIMALS),
                )
            )  # fmt: skip
            for gone in (a, b):
                for other in self.near[gone]:
                    self.near[other].pop(gone, None)
                self.near[gone] = {}
            self._take_in(a, b)
        if pairs:
            changed = np.array([a for a, _ in pairs], dtype=np.int64)
            self._recentre(changed)
            self.meet(changed)
        return bool(pairs)

    def _take_in(self, a: int, b: int) -> None:
        for other in [c for c in self.heard[a] if c != b and min(self.size[b], self.size[c]) <= SMALL]:
            self.heard[a][other] = self.heard[other][a] = min(self.heard[a][other], self._nearest_faces(b, other))
        for other in self.heard[b]:
            self.heard[other].pop(b)
        self.heard[b] = {}
        self.sums[a] += self.sums[b]
        self.weight[a] += self.weight[b]
        self.square[a] += self.square[b]
        self.size[a] += self.size[b]
        self.members[a] = np.concatenate([self.members[a], self.members[b]])
        self.parent[b], self.alive[b], self.half[b] = a, False, np.inf
        for foe in self.foes.pop(b, ()):
            self.foes[foe].discard(b)
            self.foes[foe].add(a)
            self.foes.setdefault(a, set()).add(foe)
        if b in self.names:
            self.names.setdefault(a, set()).update(self.names.pop(b))
