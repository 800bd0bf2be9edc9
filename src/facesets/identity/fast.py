"""Room identity: average linkage of many faces, without the n x n matrix. Pure: arrays in, arrays out.

In rounds: of every face the nearest few are listed (:mod:`join`), and what those lists prove is merged (:mod:`chain`). Who has absorbed
what its list held waits, and so does whoever's nearest that one is; but lists outlive the round (:mod:`near`), so then only those that
wait themselves are compared with what is left. Most of what is to be merged is merged in the first round, so the others cost little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.identity import chain, kernels
from facesets.identity.arrays import Floats, Ints, roots
from facesets.identity.cells import likely_nearest
from facesets.identity.join import nearest
from facesets.identity.near import Near
from facesets.progress import Progress, Task

FIRST = 32  # neighbours listed: more cost memory and looks, fewer leave more to the rounds that follow
FEW, FEWER = 20_000, 16  # up to so many faces those are cheap
MANY_GROUPS = 50_000  # more are compared with likely neighbours once, too, before they are compared exactly, if that is wanted


def link(
    x: NDArray[np.float32], threshold: float, weights: Floats, cannot_link: Ints, progress: Progress,
    *, first: int = 0, approximate: bool = False, **how: Any,
) -> Ints:  # fmt: skip
    """Lowest row of the cluster of each row of ``x`` [n, d], by average linkage below ``threshold``.

    ``weights`` float64 [n], ``cannot_link`` int [m, 2]. How long lists are (``first``; 0: as suits) and ``how`` the join
    is done (see :func:`facesets.identity.join.nearest`) changes the time it takes, not the result.
    ``approximate`` does: at first only likely neighbours are compared; groups are compared exactly in the end, so what is missed is
    single faces.
    """
    top = _first_copies(x, cannot_link)
    alone = top == np.arange(len(x))
    if not alone.all():
        weights = np.bincount(top, weights, len(x))[alone]
        place = np.cumsum(alone) - 1
        same: dict[str, Any] = {"first": first, "approximate": approximate, **how}
        linked = link(x[alone], threshold, weights, place[cannot_link], progress, **same)
        roots_of_copies: Ints = np.flatnonzero(alone)[linked][place[top]]
        return roots_of_copies
    left = _Left(x, threshold, weights, cannot_link, first or (FEWER if len(x) <= FEW else FIRST), approximate=approximate, how=how)
    if len(left):
        with progress.task("comparing faces", len(x), "faces") as task:
            left.compare(task)
        left.follow()
    if len(left):
        with progress.task("comparing groups", len(left), "groups") as task:
            while before := len(left):
                left.compare()
                left.follow()
                task.advance(before - len(left))
    return roots(left.top)


class _Left:
    """The clusters that are not final yet, with all that :mod:`facesets.identity.chain` says of them; ``top``: the lowest row of each
    row's cluster so far, ``waits``: which clusters are to be compared again.
    """

    def __init__(
        self, x: NDArray[np.float32], threshold: float, weights: Floats, cannot_link: Ints, first: int, *, approximate: bool, how: Any
    ) -> None:
        n, d = x.shape
        self.x, self.threshold, self.first, self.approximate, self.how = x, threshold, first, approximate, how
        self.top, self.rounds, self.waits = np.arange(n), 0, np.arange(n)
        self.row, self.slot, self.w, self.half = np.arange(n), np.full(n, -1, np.int64), weights.copy(), _half(x)
        self.enemies, self.foe = _enemies(cannot_link, n)
        self.sums = np.empty((n // 2 + 1, d))  # the system gives memory only for the rows that are written
        self.free = np.concatenate([[len(self.sums)], np.arange(len(self.sums))[::-1]])
        self.near: Near | None = None

    def __len__(self) -> int:
        return len(self.row)

    def compare(self, task: Task | None = None) -> None:
        """List the nearest of all at first, then of those that wait."""
        m = len(self)
        likely = self.approximate and (self.rounds == 0 or (self.rounds == 1 and m > MANY_GROUPS))
        every = self.near is None or likely
        order = np.arange(m) if every else np.concatenate([self.waits, np.setdiff1d(np.arange(m), self.waits, assume_unique=True)])
        part: dict[str, Any] = {} if every else {"of": len(self.waits), "names": order}
        lists = (likely_nearest if likely else nearest)(
            self._means(order), self.half[order], self.threshold, self.first, task, apart=(self.enemies, self.foe), **part, **self.how
        )
        if self.near is None or likely:
            self.near = Near.of(lists, likely=likely)
        else:
            self.near.renew(self.waits, lists)
        self.rounds += 1

    def follow(self) -> None:
        """Merge what the lists prove, and keep what is left."""
        near, m = self.near, len(self)
        assert near is not None
        parent, version = np.arange(m), np.zeros(m, np.int32)
        state = np.where((near.count > 0) | (near.bound < self.threshold), chain.OPEN, chain.FINAL).astype(np.int8)
        chain.chains(
            self.x, self.row, self.sums, self.slot, self.free, self.w, self.half, parent, version, self.enemies, self.foe,
            *near.arrays, state, self.threshold,
        )  # fmt: skip
        parent = roots(parent)
        self.top[self.row] = self.row[parent]
        near.likely[parent[near.likely]] = True
        waits = (state == chain.WAITING) | (near.likely & (state == chain.FINAL) & (self.slot >= 0))
        left = np.flatnonzero((state == chain.OPEN) | waits)
        new = np.full(m, -1)
        new[left] = np.arange(len(left))
        self.waits, self.near = new[np.flatnonzero(waits)], near.kept(left, parent, new, version)
        self.foe[:, 1] = np.where(self.foe[:, 1] < 0, -1, new[parent[self.foe[:, 1]]])
        self.row, self.slot, self.w, self.half, self.enemies = (
            column[left] for column in (self.row, self.slot, self.w, self.half, self.enemies)
        )

    def _means(self, order: Ints) -> Floats:
        if self.rounds == 0:
            return self.x
        row, slot = self.row[order], self.slot[order]
        out, single = np.empty((len(row), self.x.shape[1])), slot < 0
        out[single] = self.x[row[single]]
        out[~single] = self.sums[slot[~single]] / self.w[order[~single], None]
        return out


def _first_copies(x: NDArray[np.float32], apart: Ints) -> Ints:
    """For each row the first that equals it, where there are more copies than lists hold; else, and for rows ``apart``, itself.

    Copies are at distance 0 and as far from all others, so to take them as one is average linkage already.
    """
    first = np.arange(len(x))
    key = np.empty(len(x))  # by numpy, threads of its BLAS would spin for as long as a small library takes
    kernels.along(x, np.cos(np.arange(x.shape[1])), key)
    key[apart.reshape(-1)] = np.nan
    _, group, size = np.unique(key, return_inverse=True, return_counts=True, equal_nan=False)
    many = np.flatnonzero(size[group] > FEWER // 2)
    seen: dict[bytes, int] = {}
    for i in many.tolist():
        first[i] = seen.setdefault(x[i].tobytes(), i)
    return first


def _half(x: NDArray[np.float32]) -> Floats:
    """Half the squared norms, summed as :func:`kernels.dot` does, so that the distance of equal rows is 0."""
    out = np.empty(len(x))
    kernels.halves(x, out)
    return out


def _enemies(pairs: Ints, n: int) -> tuple[Ints, Ints]:
    """Forbidden pairs as chains: where each row's begins (-1: none), and for each link the next one and with whom."""
    begin, link_ = np.full(n, -1, np.int64), np.empty((2 * len(pairs), 2), np.int64)
    for e, (a, b) in enumerate([p for pair in pairs.tolist() for p in (pair, pair[::-1])]):
        link_[e] = begin[a], b
        begin[a] = e
    return begin, link_
