"""Room identity: groups of faces, their centroids, who is near to whom, and who must stay apart. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facesets.identity import dense
from facesets.identity.arrays import Floats, Ints
from facesets.identity.match import SLACK
from facesets.progress import Progress

NEIGHBOURS = 32  # of each group that are looked at
TOGETHER = 2  # groups that stand together in so many photos are two people; in one they may be a person and a mirror
DIGITS = 9  # the last bits of a sum depend on the order of its parts; rounded, equal is equal

_FEW = 1500  # groups; below, a matrix of all distances is quicker than the compiler's start
_BLOCK = 4096
_PART = 256  # centroids that stay in a core's cache


def together(labels: Ints, photos: Ints) -> list[tuple[int, int]]:
    """Pairs of groups that have faces in ``TOGETHER`` photos or more."""
    order = np.argsort(photos, kind="stable")
    count: Counter[tuple[int, int]] = Counter()
    for rows in np.split(order, np.flatnonzero(np.diff(photos[order])) + 1):
        if len(rows) > 1:
            here = sorted(set(labels[rows].tolist()))
            count.update((a, b) for i, a in enumerate(here) for b in here[i + 1 :])
    return [pair for pair, times in count.items() if times >= TOGETHER]


class Groups:
    """Groups of the rows of ``x``, each under the number of its first member; a union keeps the lower number.

    A centroid is the mean of its members' vectors, ``w`` their weights, brought back to their root mean square length; float32, as
    faces are. Only groups of several have one kept: a single face is its own.
    """

    def __init__(self, x: NDArray[np.float32], labels: Ints, w: Floats) -> None:
        k = int(labels.max()) + 1
        self.x = x
        self.half = np.einsum("ij,ij->i", x, x, dtype=np.float64) / 2
        self._order = np.argsort(labels, kind="stable")
        self._begin = np.searchsorted(labels[self._order], np.arange(k + 1))
        self._unions: dict[int, Ints] = {}
        self.size = np.diff(self._begin)
        self.first: Ints = self._order[self._begin[:-1]]
        self.parent = np.arange(k, dtype=np.int64)
        several = np.flatnonzero(self.size > 1)
        self._slot = np.full(k, -1, np.int64)
        self._slot[several] = np.arange(len(several))
        room = len(several) + (k - len(several)) // 2  # the system gives memory only for the rows that are written
        self._sums, self._centre = np.empty((room, x.shape[1])), np.empty((room, x.shape[1]), np.float32)
        self._halves = self.half[self.first]  # of each group's centroid, as it is kept
        self._used = len(several)
        self._weight = np.bincount(labels, w, k)
        self._square = np.bincount(labels, 2 * self.half * w, k)
        for g in several.tolist():
            rows = self.rows(g)
            self._sums[self._slot[g]] = (x[rows] * w[rows, None]).sum(axis=0)
            self._recentre(g)
        self._w = w
        self._foes: dict[int, set[int]] = {}
        self._names: dict[int, set[int]] = {}

    def rows(self, g: int) -> Ints:
        """The rows in group ``g``."""
        own: Ints = self._order[self._begin[g] : self._begin[g + 1]]
        return self._unions.get(g, own)

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

    # -- who must stay apart

    def forbid(self, pairs: Iterable[Sequence[int]]) -> None:
        """These groups are not to be joined."""
        for a, b in pairs:
            self._foes.setdefault(a, set()).add(b)
            self._foes.setdefault(b, set()).add(a)

    def name(self, labels: Ints, named: Ints) -> None:
        """Rows that have a name (not -1) give it to their groups."""
        for row in np.flatnonzero(named >= 0).tolist():
            self._names.setdefault(int(labels[row]), set()).add(int(named[row]))

    def may_join(self, a: int, b: int) -> bool:
        """Whether nothing forbids it."""
        return b not in self._foes.get(a, ()) and len(self._names.get(a, set()) | self._names.get(b, set())) <= 1

    # -- joining

    def join(self, a: int, b: int) -> None:
        """Make ``b`` part of ``a``."""
        both = np.concatenate([self.rows(a), self.rows(b)])
        total = self._sum(a) + self._sum(b)
        slot = max(int(self._slot[a]), int(self._slot[b]))
        if slot < 0:
            slot, self._used = self._used, self._used + 1
        self._slot[a], self._sums[slot] = slot, total
        self._weight[a] += self._weight[b]
        self._square[a] += self._square[b]
        self.size[a] += self.size[b]
        self._unions[a], self.parent[b] = both, a
        self._unions.pop(b, None)
        self._recentre(a)
        for foe in self._foes.pop(b, ()):
            self._foes[foe].discard(b)
            self._foes[foe].add(a)
            self._foes.setdefault(a, set()).add(foe)
        if b in self._names:
            self._names.setdefault(a, set()).update(self._names.pop(b))

    def _sum(self, g: int) -> Floats:
        row = self.first[g]
        out: Floats = self._sums[self._slot[g]] if self._slot[g] >= 0 else self.x[row] * self._w[row]
        return out

    def _recentre(self, g: int) -> None:
        total = self._sums[self._slot[g]]
        length = float(np.sqrt(total @ total))
        rms = float(np.sqrt(self._square[g] / self._weight[g]))
        centre = self._centre[self._slot[g]]
        centre[:] = total * (rms / length if length > 0 else 0.0)
        self._halves[g] = np.einsum("i,i", centre, centre, dtype=np.float64) / 2

    # -- who is near to whom

    def centres(self, groups: Ints) -> NDArray[np.float32]:
        """The centroids of ``groups``: float32 [m, d]."""
        out: NDArray[np.float32] = self.x[self.first[groups]]
        several = np.flatnonzero(self._slot[groups] >= 0)
        out[several] = self._centre[self._slot[groups[several]]]
        return out

    def distances(self, g: int, others: Ints) -> Floats:
        """From the centroid of ``g`` to those of ``others``: float64, rounded."""
        centre = self.centres(np.array([g]))[0].astype(np.float64)
        out: Floats = self._halves[others] + self._halves[g]
        for a in range(0, len(others), _PART):
            # not by BLAS, which adds in an order that hangs on the threads
            out[a : a + _PART] -= np.einsum("ij,j->i", self.centres(others[a : a + _PART]), centre)
        return np.round(np.maximum(out, 0.0), DIGITS)

    def neighbours(self, groups: Ints, limit: float, progress: Progress, *, of: int) -> tuple[Ints, Floats]:
        """Of each of ``groups`` the nearest others, nearest first, and their distances: int64 and float64 [m, NEIGHBOURS].

        Whatever is not nearer than ``limit``, and pairs of two beyond the first ``of``, are -1 and inf.
        """
        c = self.centres(groups)
        k = min(NEIGHBOURS, max(len(groups) - 1, 1))
        if len(groups) < _FEW:
            d = dense.pair_distances(c)
            np.fill_diagonal(d, np.inf)
            d[of:, of:] = np.inf
            ids = np.argsort(d, axis=1, kind="stable")[:, :k]
            dist = np.take_along_axis(d, ids, axis=1)
        else:
            from facesets.identity.join import nearest  # noqa: PLC0415 - brings the compiler, which few groups need not wait for

            half = np.einsum("ij,ij->i", c, c, dtype=np.float64) / 2
            with progress.task("comparing centroids", len(groups), "groups") as task:
                lists = nearest(c, half, limit, k, task, of=of)
            ids = lists.ids.astype(np.int64)
            dist = np.where(np.arange(k) < lists.count[:, None], lists.dist, np.inf)
        far = dist >= limit
        return np.where(far, -1, groups[ids]), np.where(far, np.inf, np.round(dist, DIGITS))

    def nearest_faces(self, few: Ints, many: Ints) -> Floats:
        """Of each row in ``few`` the distance to the nearest of the rows ``many``: float64, rounded."""
        best = np.full(len(few), np.inf)
        for a in range(0, len(few), _BLOCK):
            one = few[a : a + _BLOCK]
            for b in range(0, len(many), _BLOCK):
                other = many[b : b + _BLOCK]
                rough = self.half[one, None] + self.half[other] - self.x[one] @ self.x[other].T
                least = np.minimum(rough.min(axis=1), best[a : a + _BLOCK])
                i, j = np.nonzero(rough <= least[:, None] + SLACK * (1 + 2 * self.half[one, None]))
                for c in range(0, len(i), _BLOCK):  # one each, but where many are copies
                    apart = self.x[one[i[c : c + _BLOCK]]].astype(np.float64) - self.x[other[j[c : c + _BLOCK]]]
                    np.minimum.at(best, a + i[c : c + _BLOCK], np.einsum("ij,ij->i", apart, apart) / 2)
        out: Floats = np.round(best, DIGITS)
        return out
