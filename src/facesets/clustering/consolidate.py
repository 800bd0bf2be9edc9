"""Joins the fragments that average linkage leaves. Pure: arrays in, arrays out.

One cut for all faces is too tight for grown-ups and too loose for children. Here two groups join where the mean similarity of all
their pairs exceeds what is usual around both (:mod:`.background`) by a margin:

    mean similarity of all pairs  >=  background of one + background of the other + margin - bonus + side by side

``bonus`` grows with the larger of the two: the mean of a few photos is uncertain, that of eighty is not. Groups of a few faces, whose
union is no set yet or hardly one, need a little less. ``side by side`` grows with the photos in which both stand (:mod:`.same_photo`).
The mean of all pairs asks every part of both groups; no chain of look-alikes can bridge it, and a centroid that many groups of children
share does not count.

But a person of many years is far from their younger self on the mean of all pairs. So two groups of ``LARGE`` faces or more, whose
centroids are free of what single photos add, join by these, too, if they exceed both backgrounds by ``CENTRES``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesets.clustering.arrays import Floats, Ints, in_order_of_first, pairs_of, roots, vectors_of, weights_of
from facesets.clustering.background import backgrounds, cohort_of
from facesets.clustering.centroids import DECIMALS
from facesets.clustering.same_photo import shared_photos
from facesets.progress import Progress, Silent

Candidate = tuple[float, int, int, int, int]  # lack of evidence (least is best), two groups, and their versions for which it holds

NEIGHBOURS = 32  # of each group that are looked at
BONUS, FROM_SIZE, TO_SIZE = 0.03, 5, 80  # for every e-fold of faces between the two sizes
# unions and groups of up to so many faces: a wrong join among them spoils no set or hardly one, a missing one may lose a person
TINY, TINY_RELIEF = 4, 0.06
SMALL, SMALL_RELIEF = 6, 0.03
LARGE, CENTRES = 6, 0.22
SIDE_BY_SIDE, MOST = 0.05, 0.15  # for each photo in which both stand, from the second on (one may be a picture on a wall)
# Strangers come near by chance, the more often the more there are. Libraries above this many groups are beyond what was measured, so
# how the margin grows there is judgement: the tail of a normal distribution, for a constant share of false joins.
GROUPS, GROWTH = 2000, 0.015

_MOST_SPARED = max(BONUS * float(np.log(TO_SIZE / FROM_SIZE)), TINY_RELIEF, SMALL_RELIEF)
_FEW = 1500  # groups; below, a matrix of all similarities is quicker than the compiler's start
_BLOCK = 4096
_PART = 256
_DIGITS = 9  # the last bits of a sum depend on the order of its parts; rounded, equal is equal


@dataclass(frozen=True, slots=True)
class Merge:
    """Two groups found to be one person: a row of each (the lowest), their sizes, and the evidence.

    ``distance`` is the mean distance of all their pairs, ``allowed`` the distance up to which these two may join; ``centroids`` the
    distance of their centroids, where that was the evidence.
    """

    kept: int
    joined: int
    kept_size: int
    joined_size: int
    distance: float
    allowed: float
    centroids: float | None = None


def consolidate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    margin: float,
    *,
    alike: float = 0.55,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    known: Floats | None = None,
    of: int = 0,
    progress: Progress | None = None,
) -> tuple[Ints, tuple[Merge, ...]]:
    """Labels (int64 [n], by first occurrence) after joining groups that are one person, and each merge made.

    ``embeddings`` [n, d] of unit length. The pair with the most evidence is joined first (of equal ones that with the lowest rows),
    until none has enough; a ``margin`` of 0 changes nothing. Groups that hold a pair of ``cannot_link`` (int [m, 2]), or rows with two
    different ``names`` (int [n], -1 unnamed), are never joined; groups that stand together in several of the ``photos`` (int [n])
    need more evidence, unless the photo shows somebody twice (faces within ``alike``; ``boxes`` [n, 4] on a grid). ``known`` [m, d]
    are centroids of people known before, who tell what is usual, too. Where the rows are a few ``of`` so many groups, ``known`` tells
    that alone.
    """
    x = vectors_of(embeddings)
    n = len(x)
    w = weights_of(weights, n)
    pairs = pairs_of(cannot_link, n)
    named = np.full(n, -1, np.int64) if names is None else np.asarray(names, dtype=np.int64)
    seen_in = np.arange(n) if photos is None else in_order_of_first(photos)
    start = in_order_of_first(labels)
    if any(len(column) != n for column in (start, named, seen_in)):
        raise ValueError(f"labels, names and photos must have one entry for each of the {n} rows")
    if n == 0 or margin <= 0:
        return start, ()
    together = shared_photos(x, start, seen_in, alike, None if boxes is None else np.asarray(boxes, dtype=np.float64))
    groups = _Groups(x, start, w, margin, known, of)
    groups.forbid(start[pairs].tolist())
    groups.name(start, named)
    groups.stand_together(together)
    work = _Joining(groups)
    changed = work.join(progress or Silent())
    while len(changed):
        changed = work.join(progress or Silent(), changed)
    return in_order_of_first(roots(groups.parent)[start]), tuple(work.merges)


def widened(margin: float, groups: int) -> float:
    """The margin among so many groups."""
    return margin + GROWTH * float(np.log(max(groups / GROUPS, 1)))


def least_evidence(margin: float, groups: int) -> float:
    """By how much the mean similarity of two groups, whatever their sizes, exceeds both their backgrounds if they join."""
    return widened(margin, groups) - _MOST_SPARED


def needed_similarity(background: Floats, one: ArrayLike, two: ArrayLike, margin: float) -> Floats:
    """The mean similarity at which groups of sizes ``one`` and ``two`` are one person: ``background`` is the sum of both."""
    larger = np.maximum(one, two).astype(np.float64)
    few = np.where(np.add(one, two) <= TINY, TINY_RELIEF, np.where(larger <= SMALL, SMALL_RELIEF, 0.0))
    out: Floats = background + margin - few - BONUS * np.log(np.clip(larger, FROM_SIZE, TO_SIZE) / FROM_SIZE)
    return out


class _Groups:
    """Groups of the rows of ``x``, each under the number of its first member; a union keeps the lower number.

    Of each: the weighted mean of its vectors, its weight, how many rows it has, and its background (of a union the weighted mean).
    """

    def __init__(self, x: NDArray[np.float32], labels: Ints, w: Floats, margin: float, known: Floats | None, of: int) -> None:
        k = int(labels.max()) + 1
        order = np.argsort(labels, kind="stable")
        begin = np.searchsorted(labels[order], np.arange(k + 1))
        self.first: Ints = order[begin[:-1]]
        self.size = np.diff(begin)
        self.weight = np.bincount(labels, w, k)
        self.mean: NDArray[np.float32] = x[self.first]
        for g in np.flatnonzero(self.size > 1).tolist():
            rows = order[begin[g] : begin[g + 1]]
            self.mean[g] = (x[rows] * w[rows, None]).sum(axis=0) / self.weight[g]
        self.parent = np.arange(k, dtype=np.int64)
        self.length = np.maximum(np.sqrt(np.einsum("ij,ij->i", self.mean, self.mean, dtype=np.float64)), 1e-12)
        self.background = backgrounds(self.mean / self.length[:, None].astype(np.float32), cohort_of(0 if of else k), known)
        self.margin = widened(margin, of or k)
        self._cannot: dict[int, set[int]] = {}
        self._names: dict[int, set[int]] = {}
        self._together: dict[int, dict[int, int]] = {}

    def alive(self) -> Ints:
        """The groups that no other has taken in."""
        return np.flatnonzero(self.parent == np.arange(len(self.parent)))

    def now(self, groups: Ints) -> Ints:
        """What has become of ``groups``: each once, in order."""
        while True:
            above = self.parent[groups]
            if np.array_equal(above, groups):
                return np.unique(groups)
            groups = above

    def forbid(self, pairs: list[list[int]]) -> None:
        """These groups are not to be joined."""
        for a, b in pairs:
            self._cannot.setdefault(a, set()).add(b)
            self._cannot.setdefault(b, set()).add(a)

    def name(self, labels: Ints, named: Ints) -> None:
        """Rows that have a name (not -1) give it to their groups."""
        for row in np.flatnonzero(named >= 0).tolist():
            self._names.setdefault(int(labels[row]), set()).add(int(named[row]))

    def stand_together(self, photos: dict[tuple[int, int], int]) -> None:
        """In how many photos each of these pairs stands."""
        for (a, b), times in photos.items():
            self._together.setdefault(a, {})[b] = times
            self._together.setdefault(b, {})[a] = times

    def may_join(self, a: int, b: int) -> bool:
        """Whether nothing forbids it."""
        return b not in self._cannot.get(a, ()) and len(self._names.get(a, set()) | self._names.get(b, set())) <= 1

    def similarity(self, g: int, others: Ints) -> Floats:
        """The mean similarity of all pairs of ``g`` and each of ``others``: float64, rounded."""
        own = self.mean[g].astype(np.float64)
        out = np.empty(len(others))
        for a in range(0, len(others), _PART):
            # not by BLAS, which adds in an order that hangs on the threads
            out[a : a + _PART] = np.einsum("ij,j->i", self.mean[others[a : a + _PART]], own)
        return np.round(out, _DIGITS)

    def needed(self, one: Ints, two: Ints) -> Floats:
        """The mean similarity at which each pair of groups joins."""
        both = self.background[one] + self.background[two]
        out = needed_similarity(both, self.size[one], self.size[two], self.margin) + self._side_by_side(one, two)
        return np.round(out, _DIGITS)

    def lack(self, one: Ints, two: Ints, similarity: Floats) -> Floats:
        """What pairs of groups of such mean ``similarity`` lack to be one person: 0 or less is enough."""
        out = self.needed(one, two) - similarity
        large = np.flatnonzero(np.minimum(self.size[one], self.size[two]) >= LARGE)
        if len(large):
            a, b = one[large], two[large]
            centroids = similarity[large] / (self.length[a] * self.length[b])
            needed = self.background[a] + self.background[b] + CENTRES + self._side_by_side(a, b)
            out[large] = np.minimum(out[large], np.round(needed - centroids, _DIGITS))
        return out

    def _side_by_side(self, one: Ints, two: Ints) -> Floats:
        if not self._together:
            return np.zeros(len(one))
        times = [self._together.get(a, {}).get(b, 0) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
        out: Floats = np.clip(SIDE_BY_SIDE * (np.array(times, dtype=np.float64) - 1), 0, MOST)
        return out

    def join(self, a: int, b: int) -> None:
        """Make ``b`` part of ``a``."""
        both = self.weight[a] + self.weight[b]
        share = self.weight[b] / both
        self.mean[a] = (1 - share) * self.mean[a].astype(np.float64) + share * self.mean[b].astype(np.float64)
        self.length[a] = np.sqrt(np.einsum("i,i", self.mean[a], self.mean[a], dtype=np.float64))
        self.background[a] = (1 - share) * self.background[a] + share * self.background[b]
        self.weight[a] = both
        self.size[a] += self.size[b]
        self.parent[b] = a
        for other in self._cannot.pop(b, ()):
            self._cannot[other].discard(b)
            self._cannot[other].add(a)
            self._cannot.setdefault(a, set()).add(other)
        if b in self._names:
            self._names.setdefault(a, set()).update(self._names.pop(b))
        for other, times in self._together.pop(b, {}).items():
            self._together[other].pop(b, None)
            if other != a:
                own = self._together.setdefault(a, {})
                own[other] = self._together[other][a] = own.get(other, 0) + times

    def neighbours(self, groups: Ints, progress: Progress, *, queries: int) -> tuple[Ints, Ints]:
        """Pairs of ``groups`` that may have evidence enough: of each the nearest few by similarity less background; the lower first.

        Pairs of two beyond the first ``queries`` are left out.
        """
        limit = 2 - self.margin + _MOST_SPARED  # of (1 + background of one) + (1 + background of the other) - similarity
        half = 1 + self.background[groups]
        k = min(NEIGHBOURS, max(len(groups) - 1, 1))
        if len(groups) < _FEW:
            mean = self.mean[groups].astype(np.float64)
            d = half[:, None] + half - mean @ mean.T
            np.fill_diagonal(d, np.inf)
            d[queries:, queries:] = np.inf
            ids = np.argsort(np.round(d, _DIGITS), axis=1, kind="stable")[:, :k]
            neighbors = np.where(np.take_along_axis(d, ids, axis=1) < limit, ids, -1)
        else:
            from facesets.clustering.knn_join import knn_join  # noqa: PLC0415 - brings the compiler, which few groups need not wait for

            with progress.task("comparing groups with what is usual", len(groups), "groups") as task:
                lists = knn_join(self.mean[groups], half, limit, k, task, queries=queries)
            neighbors = np.where(np.arange(k) < lists.count[:, None], lists.ids.astype(np.int64), -1)
        i, c = np.nonzero(neighbors >= 0)
        large = np.flatnonzero(self.size[groups] >= LARGE)
        p, q = self._neighbor_centroids(groups[large])
        kept = (large[p] < queries) | (large[q] < queries)
        one, two = (
            np.concatenate([groups[i], groups[large[p[kept]]]]),
            np.concatenate([groups[neighbors[i, c]], groups[large[q[kept]]]]),
        )
        _, at = np.unique(np.minimum(one, two) * len(self.parent) + np.maximum(one, two), return_index=True)
        return np.minimum(one, two)[at], np.maximum(one, two)[at]

    def _neighbor_centroids(self, large: Ints) -> tuple[Ints, Ints]:
        """Pairs of places in ``large`` whose centroids may be evidence enough."""
        unit = self.mean[large] / self.length[large, None].astype(np.float32)
        usual = self.background[large].astype(np.float32)
        found = []
        for a in range(0, len(large), _BLOCK):
            over = unit[a : a + _BLOCK] @ unit.T - usual - usual[a : a + _BLOCK, None]
            p, q = np.nonzero(over >= CENTRES - 1e-4)
            found.append(np.stack([p + a, q])[:, p + a < q])
        pairs = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
        return pairs[0], pairs[1]


@dataclass(slots=True)
class _Batch:
    """Candidates in the order of their evidence; where all are of one ``union``, at which version of it."""

    rest: Iterator[Candidate]
    union: int | None
    version: int


class _Joining:
    """Joins groups, most evidence first, in passes over all of them."""

    def __init__(self, groups: _Groups) -> None:
        self.groups = groups
        self.merges: list[Merge] = []
        self.neighbors: dict[int, Ints] = {}  # of each group, those that it may join
        self.version = np.zeros(len(groups.size), np.int64)
        self.heap: list[tuple[Candidate, int, _Batch]] = []  # the best of each batch, a number that no two share, the batch
        self.batches = count()

    def join(self, progress: Progress, changed: Ints | None = None) -> Ints:
        """Look at all groups (or whom those ``changed`` may join), join what is to be joined; returns the unions."""
        groups = self.groups
        alive = groups.alive()
        if changed is not None:
            alive = np.concatenate([changed, np.setdiff1d(alive, changed, assume_unique=True)])
        one, two = groups.neighbours(alive, progress, queries=len(alive) if changed is None else len(changed))
        self._remember(one, two)
        similarity = np.empty(len(one))
        for a in range(0, len(one), _BLOCK):
            part = slice(a, a + _BLOCK)
            means = groups.mean[one[part]].astype(np.float64)
            similarity[part] = np.round(np.einsum("ij,ij->i", means, groups.mean[two[part]]), _DIGITS)
        self._push(one, two, groups.lack(one, two, similarity))
        unions = set[int]()
        with progress.task("joining fragments", unit="joins") as task:
            while self.heap:
                best, _, batch = heapq.heappop(self.heap)
                _, a, b, *_ = best
                if self._holds(best) and groups.may_join(a, b):
                    self._merge(a, b)
                    unions -= {b}
                    unions.add(a)
                    task.advance()
                self._offer(batch)
        return np.array(sorted(unions), dtype=np.int64)

    def _remember(self, one: Ints, two: Ints) -> None:
        both, other = np.concatenate([one, two]), np.concatenate([two, one])
        order = np.argsort(both, kind="stable")
        found, begin = np.unique(both[order], return_index=True)
        self.neighbors = dict(zip(found.tolist(), np.split(other[order], begin[1:]), strict=True)) if len(found) else {}

    def _push(self, one: Ints, two: Ints, lack: Floats, union: int | None = None) -> None:
        """A batch of candidates: those with evidence enough, best first. Only its best is on the heap: most batches are out of date
        before their second comes to its turn.
        """
        enough = lack <= 0
        a, b, e = np.minimum(one, two)[enough], np.maximum(one, two)[enough], lack[enough]
        order = np.lexsort((b, a, e))
        columns = (e[order], a[order], b[order], self.version[a[order]], self.version[b[order]])
        parts = (zip(*(c[at : at + _PART].tolist() for c in columns), strict=True) for at in range(0, len(order), _PART))
        self._offer(_Batch(chain.from_iterable(parts), union, 0 if union is None else int(self.version[union])))

    def _offer(self, batch: _Batch) -> None:
        """Put the next candidate of a batch on the heap, unless all of it is out of date."""
        if batch.union is None or self.version[batch.union] == batch.version:
            best = next(filter(self._holds, batch.rest), None)
            if best is not None:
                heapq.heappush(self.heap, (best, next(self.batches), batch))

    def _holds(self, candidate: Candidate) -> bool:
        """Whether its two groups are still those that it is of."""
        _, a, b, version_a, version_b = candidate
        return bool(self.version[a] == version_a and self.version[b] == version_b)

    def _merge(self, a: int, b: int) -> None:
        groups = self.groups
        pair = np.array([a]), np.array([b])
        (similarity,), (needed,) = groups.similarity(a, pair[1]).tolist(), groups.needed(*pair).tolist()
        centroids = None if similarity >= needed else round(1 - similarity / float(groups.length[a] * groups.length[b]), DECIMALS)
        self.merges.append(
            Merge(
                int(groups.first[a]), int(groups.first[b]), int(groups.size[a]), int(groups.size[b]),
                round(1 - similarity, DECIMALS), round(1 - needed, DECIMALS), centroids,
            )
        )  # fmt: skip
        groups.join(a, b)
        self.version[[a, b]] += 1
        others = groups.now(np.concatenate([self.neighbors.get(a, _NOBODY), self.neighbors.pop(b, _NOBODY)]))
        self.neighbors[a] = others = others[others != a]
        union = np.full(len(others), a)
        self._push(union, others, groups.lack(union, others, groups.similarity(a, others)), a)


_NOBODY = np.empty(0, np.int64)
