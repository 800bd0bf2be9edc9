"""Room identity: heals what average linkage splits. Pure: arrays in, arrays out.

Average linkage asks for the mean of all pairs, the wrong question between two big groups of one varied face. Their normalised
centroids answer better: each is a mean of many photos, free of most of what a single photo adds. Three pieces of evidence:

    centroids       within the cut: one person
    and a witness   one or two faces on the edge of a group (turned, in poor light) lie beyond the cut of its centroid, but near to one
                    face in it, which was taken like them; so a group of at most ``SMALL`` faces joins if (4 centroid + 3 nearest
                    face) / 7 is within ``reach`` cuts. Two big groups never join so: siblings have faces that are near by chance
    or nobody else  two single faces within ``reach`` cuts, each the other's nearest by ``MARGIN``, and of two photos

Strangers come near by chance, the more often the more there are to compare; so ``reach`` falls in large libraries. In small ones it
does not grow: many people are seen once, and a set with a stranger in it is worse than one that lacks a face.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesets.identity.arrays import Floats, Ints, in_order_of_first, pairs_of, roots, vectors_of, weights_of
from facesets.identity.groups import DIGITS, Groups, together
from facesets.identity.match import DECIMALS
from facesets.progress import Progress, Silent

Candidate = tuple[float, int, int, int, int]  # evidence, two groups, and their versions for which it holds

SMALL = 2
FAR = 1.25  # beyond so many cuts no witness is heard
MARGIN = 0.05
# 1.1 is the farthest of benchmarks/quality.py's range without a false join on the labelled photos (2,627 faces, 281 groups of two or
# more) and in small libraries made of them. How it falls beyond is judgement: strangers' distances have about a normal tail.
REACH, COMPARISONS, FALL, LEAST = 1.1, 700_000, 0.012, 1.0


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


def reach_for(rows: int, groups: int) -> float:
    """How many cuts weaker evidence may reach where ``rows`` faces can be compared with ``groups`` groups of two or more."""
    return float(np.clip(REACH - FALL * np.log(max(rows * groups, 1) / COMPARISONS), LEAST, REACH))


def consolidate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    cut: float,
    *,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    reach: float | None = None,
    progress: Progress | None = None,
) -> tuple[Ints, tuple[Merge, ...]]:
    """Labels (int64 [n], by first occurrence) after joining groups that are one person by ``cut``, and each merge made.

    The nearest two are joined first (of equally near ones those with the lowest rows), until no two allowed groups are within the
    cut, single faces included, but those not with one another unless nobody else is near. Groups that hold a pair of ``cannot_link``
    (int [m, 2]), or rows with two different ``names`` (int [n], -1 unnamed), or that stand together in two of the ``photos``
    (int [n], the photo of each row) are never joined. A cut of 0 changes nothing; ``reach`` is :func:`reach_for` the faces at hand
    unless given, and 0 leaves the centroids alone to decide. Of each group the ``groups.NEIGHBOURS`` nearest are looked at.
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
    if n == 0 or cut <= 0:
        return start, ()
    groups = Groups(x, start, w)
    groups.forbid(start[pairs].tolist())
    groups.forbid(together(start, seen_in))
    groups.name(start, named)
    if reach is None:
        reach = reach_for(n, int((groups.size > 1).sum()))
    work = _Joining(groups, cut, reach, seen_in)
    changed = work.join(progress or Silent())
    while len(changed):
        changed = work.join(progress or Silent(), changed)
    return in_order_of_first(roots(groups.parent)[start]), tuple(work.merges)


@dataclass(slots=True)
class _Batch:
    """Candidates in the order of their evidence; where all are of one ``union``, at which version of it."""

    rest: Iterator[Candidate]
    union: int | None
    version: int


class _Joining:
    """Joins groups nearest first, in passes over all of them. ``photos``: of each row."""

    def __init__(self, groups: Groups, cut: float, reach: float, photos: Ints) -> None:
        self.groups, self.cut, self.reach, self.photos = groups, cut, reach, photos
        self.limit = cut * FAR if reach > 0 else np.nextafter(cut, np.inf)
        self.merges: list[Merge] = []
        self.near: dict[int, Ints] = {}  # of each group, those that it may join
        self.heard: dict[int, float] = {}  # witnesses so far, by :meth:`_keys`
        self.version = np.zeros(len(groups.size), np.int64)
        self.heap: list[tuple[Candidate, int, _Batch]] = []  # the best of each batch, a number that no two share, the batch
        self.batches = count()

    def join(self, progress: Progress, changed: Ints | None = None) -> Ints:
        """Look at all groups (or whom those ``changed`` may join), join what is to be joined; returns the unions."""
        groups = self.groups
        alive = groups.alive()
        if changed is not None:
            alive = np.concatenate([changed, np.setdiff1d(alive, changed, assume_unique=True)])
        of = len(alive) if changed is None else len(changed)
        self.heard.clear()
        near, dist = groups.neighbours(alive, self.limit, progress, of=of)
        one, two, d = _pairs(alive, near, dist)
        self._remember(one, two)
        self._consider(one, two, d)
        if changed is None:
            self._consider_alone(alive, near, dist)
        unions = set[int]()
        with progress.task("healing fragments", unit="joins") as task:
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
        self.near = dict(zip(found.tolist(), np.split(other[order], begin[1:]), strict=True)) if len(found) else {}

    def _consider(self, one: Ints, two: Ints, d: Floats, union: int | None = None) -> None:
        """Put pairs of groups at distance ``d`` on the heap where there is evidence enough; ``union``: one of each pair, if it is."""
        several = np.maximum(self.groups.size[one], self.groups.size[two]) > 1
        evidence = np.where((d <= self.cut) & several, d, np.inf)
        unsure = self._unsure(one, two, d)
        if unsure.any():
            heard = 4 * d[unsure] + 3 * self._witnesses(one[unsure], two[unsure])
            evidence[unsure] = np.round(heard / 7 / self.reach, DIGITS)
        self._push(one, two, evidence, union)

    def _unsure(self, one: Ints, two: Ints, d: Floats) -> NDArray[np.bool_]:
        """Of which pairs a witness is to be heard."""
        size = self.groups.size
        small, large = np.minimum(size[one], size[two]), np.maximum(size[one], size[two])
        heard: NDArray[np.bool_] = (d > self.cut) & (d < self.limit) & (small <= SMALL) & (large > 1)
        return heard & (self.reach > 0)

    def _consider_alone(self, groups: Ints, near: Ints, dist: Floats) -> None:
        """Two single faces that are each other's nearest, and nobody else's."""
        if self.reach <= 0 or not near.size:
            return
        second = dist[:, 1] if dist.shape[1] > 1 else np.full(len(dist), np.inf)
        lone = (self.groups.size[groups] == 1) & (dist[:, 0] <= self.cut * self.reach) & (second >= dist[:, 0] + MARGIN)
        partner = np.full(len(self.groups.size), -1)
        partner[groups[lone]] = near[lone, 0]
        one, d = groups[lone], dist[lone, 0]
        two, photo = partner[one], self.photos[self.groups.first]
        pairs = (one < two) & (partner[two] == one) & (photo[one] != photo[two])
        self._push(one[pairs], two[pairs], np.round(d[pairs] / self.reach, DIGITS))

    def _push(self, one: Ints, two: Ints, evidence: Floats, union: int | None = None) -> None:
        """A batch of candidates: those with evidence enough, best first. Only its best is on the heap: most batches are out of date
        before their second comes to its turn.
        """
        enough = evidence <= self.cut
        a, b, e = np.minimum(one, two)[enough], np.maximum(one, two)[enough], evidence[enough]
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

    def _witnesses(self, one: Ints, two: Ints) -> Floats:
        """The distance of the two faces, one of each group of a pair, that are nearest to one another."""
        keys = self._keys(one, two)
        missing = np.array([key not in self.heard for key in keys])
        swap = self.groups.size[one] > self.groups.size[two]
        few, many = np.where(swap, two, one)[missing], np.where(swap, one, two)[missing]
        order = np.argsort(many, kind="stable")
        for smalls in np.split(order, np.flatnonzero(np.diff(many[order])) + 1) if len(order) else ():
            big = int(many[smalls[0]])
            self._hear(few[smalls], big, self.groups.rows(big))
        return np.array([self.heard[key] for key in keys])

    def _hear(self, smalls: Ints, big: int, rows: Ints) -> None:
        """Remember how near each of some small groups comes to ``rows``, which are (or are now) of group ``big``."""
        members = [self.groups.rows(a) for a in smalls.tolist()]
        found = self.groups.nearest_faces(np.concatenate(members), rows)
        least = np.minimum.reduceat(found, np.cumsum([0, *map(len, members[:-1])]))
        keys = self._keys(smalls, big)
        self.heard.update(zip(keys, np.fmin(least, [self.heard.get(key, np.nan) for key in keys]).tolist(), strict=True))

    def _keys(self, one: Ints, two: Ints | int) -> list[int]:
        """A number for each pair of groups, whichever comes first."""
        keys: list[int] = (np.minimum(one, two) * len(self.groups.size) + np.maximum(one, two)).tolist()
        return keys

    def _merge(self, a: int, b: int) -> None:
        groups = self.groups
        (d,) = groups.distances(a, np.array([b])).tolist()
        (key,) = self._keys(np.array([a]), b)
        witness = self.heard.get(key) if d > self.cut else None
        if d > self.cut and witness is None:  # two single faces, each the other's witness
            witness = d
        self.merges.append(
            Merge(
                int(groups.first[a]), int(groups.first[b]), int(groups.size[a]), int(groups.size[b]),
                round(d, DECIMALS), None if witness is None else round(witness, DECIMALS),
            )
        )  # fmt: skip
        rows = {g: groups.rows(g) for g in (a, b)}
        groups.join(a, b)
        self.version[[a, b]] += 1
        others = groups.now(np.concatenate([self.near.get(a, _NOBODY), self.near.pop(b, _NOBODY)]))
        others = others[others != a]
        self.near[a] = others
        d, union = groups.distances(a, others), np.full(len(others), a)
        unsure = self._unsure(union, others, d)
        self._pass_on(a, b, others[unsure], rows)
        for key in self._keys(others[~unsure], a):
            self.heard.pop(key, None)
        self._consider(union, others, d, a)

    def _pass_on(self, a: int, b: int, others: Ints, rows: dict[int, Ints]) -> None:
        """What ``others`` heard of both parts of a union holds for it; what they have not heard yet they hear now."""
        told = {g: np.array([self.heard.pop(key, np.nan) for key in self._keys(others, g)]) for g in (a, b)}
        self.heard.update(zip(self._keys(others, a), np.fmin(told[a], told[b]).tolist(), strict=True))
        for g, known in told.items():
            missing = others[np.isnan(known)]
            if len(missing):
                self._hear(missing, a, rows[g])


_NOBODY = np.empty(0, np.int64)
_PART = 256


def _pairs(groups: Ints, near: Ints, dist: Floats) -> tuple[Ints, Ints, Floats]:
    """Each pair of neighbours once: the lower group, the higher one, their distance."""
    i, c = np.nonzero(near >= 0)
    one, two = np.minimum(groups[i], near[i, c]), np.maximum(groups[i], near[i, c])
    _, at = np.unique(one * (int(groups.max(initial=0)) + 1) + two, return_index=True)
    return one[at], two[at], dist[i, c][at]
