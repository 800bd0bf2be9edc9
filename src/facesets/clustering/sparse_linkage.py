"""Average linkage of many faces, without the n x n matrix. Pure: arrays in, arrays out.

In rounds: of every face the nearest few are listed (:mod:`knn_join`), and what those lists prove is merged (:mod:`nn_chain`). A cluster
that has absorbed what its list held waits, and so does whatever cluster it is nearest to; but lists outlive the round
(:mod:`neighbor_lists`), so then only those that wait themselves are compared with what is left. Most of what is to be merged is merged
in the first round, so the others cost little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import kernels, nn_chain
from facesets.clustering.arrays import Floats, Ints, roots
from facesets.clustering.knn_join import knn_join
from facesets.clustering.neighbor_lists import NeighborLists
from facesets.progress import Progress, Task

LIST = 32  # neighbours listed: more cost memory and looks, fewer leave more to the rounds that follow
FEW, SHORT_LIST = 20_000, 16  # up to so many faces those are cheap


def link(
    x: NDArray[np.float32], threshold: float, weights: Floats, cannot_link: Ints, progress: Progress,
    *, half: Floats | None = None, names: Ints | None = None, list_length: int = 0, **how: Any,
) -> Ints:  # fmt: skip
    """Lowest row of the cluster of each row of ``x`` [n, d], by average linkage below ``threshold``.

    ``weights`` float64 [n], ``cannot_link`` int [m, 2], ``names`` int [n] (-1: none). A row may stand for several: its mean in
    ``x`` and the mean of their half squared norms in ``half`` (float64 [n]). How long lists are (``list_length``; 0: as suits) and
    ``how`` the join is done (see :func:`facesets.clustering.knn_join.knn_join`) changes the time it takes, not the result.
    """
    own = _half(x)
    half = own if half is None else half
    names = np.full(len(x), -1, np.int64) if names is None else names
    uncopied = np.concatenate([cannot_link.reshape(-1), np.flatnonzero((half != own) | (names >= 0))])
    copy_of = _first_copies(x, uncopied)
    alone = copy_of == np.arange(len(x))
    if not alone.all():
        weights = np.bincount(copy_of, weights, len(x))[alone]
        place = np.cumsum(alone) - 1
        linked = link(
            x[alone], threshold, weights, place[cannot_link], progress,
            half=half[alone], names=names[alone], list_length=list_length, **how,
        )  # fmt: skip
        roots_of_copies: Ints = np.flatnonzero(alone)[linked][place[copy_of]]
        return roots_of_copies
    live = _LiveClusters(x, threshold, weights, half, cannot_link, names, list_length or (SHORT_LIST if len(x) <= FEW else LIST), how)
    if len(live):
        with progress.task("comparing faces", len(x), "faces") as task:
            live.compare(task)
        live.follow()
    if len(live):
        with progress.task("comparing groups", len(live), "groups") as task:
            while before := len(live):
                live.compare()
                live.follow()
                task.advance(before - len(live))
    return roots(live.root)


class _LiveClusters:
    """The clusters that are not final yet, with all that :mod:`.nn_chain` says of them; ``root``: the lowest row of each
    row's cluster so far, ``waits``: which clusters are to be compared again.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        threshold: float,
        weights: Floats,
        half: Floats,
        cannot_link: Ints,
        names: Ints,
        list_length: int,
        how: Any,
    ) -> None:
        n, d = x.shape
        self.x, self.threshold, self.list_length, self.how = x, threshold, list_length, how
        self.root, self.waits = np.arange(n), np.arange(n)
        self.row, self.slot, self.w, self.half = np.arange(n), np.full(n, -1, np.int64), weights.copy(), half.copy()
        self.cannot_head, self.cannot_pairs = _cannot_lists(cannot_link, n)
        self.name = names.copy()
        self.sums = np.empty((n // 2 + 1, d))  # the system gives memory only for the rows that are written
        self.free = np.concatenate([[len(self.sums)], np.arange(len(self.sums))[::-1]])
        self.neighbors: NeighborLists | None = None

    def __len__(self) -> int:
        return len(self.row)

    def compare(self, task: Task | None = None) -> None:
        """List the nearest of all at first, then of those that wait."""
        m = len(self)
        every = self.neighbors is None
        order = np.arange(m) if every else np.concatenate([self.waits, np.setdiff1d(np.arange(m), self.waits, assume_unique=True)])
        part: dict[str, Any] = {} if every else {"queries": len(self.waits), "row_ids": order}
        lists = knn_join(
            self.x if every else self._means(order), self.half[order], self.threshold, self.list_length, task,
            cannot_link=(self.cannot_head, self.cannot_pairs, self.name), **part, **self.how,
        )  # fmt: skip
        if self.neighbors is None:
            self.neighbors = NeighborLists.of(lists)
        else:
            self.neighbors.renew(self.waits, lists)

    def follow(self) -> None:
        """Merge what the lists prove, and keep what is left."""
        neighbors, m = self.neighbors, len(self)
        assert neighbors is not None
        parent, version = np.arange(m), np.zeros(m, np.int32)
        state = np.where((neighbors.count > 0) | (neighbors.bound < self.threshold), nn_chain.OPEN, nn_chain.FINAL).astype(np.int8)
        nn_chain.follow_chains(
            self.x, self.row, self.sums, self.slot, self.free, self.w, self.half, parent, version, self.cannot_head, self.cannot_pairs,
            self.name, *neighbors.arrays, state, self.threshold,
        )  # fmt: skip
        parent = roots(parent)
        self.root[self.row] = self.row[parent]
        waits = state == nn_chain.WAITING
        left = np.flatnonzero((state == nn_chain.OPEN) | waits)
        new = np.full(m, -1)
        new[left] = np.arange(len(left))
        self.waits, self.neighbors = new[np.flatnonzero(waits)], neighbors.kept(left, parent, new, version)
        self.cannot_pairs[:, 1] = np.where(self.cannot_pairs[:, 1] < 0, -1, new[parent[self.cannot_pairs[:, 1]]])
        self.row, self.slot, self.w, self.half, self.cannot_head, self.name = (
            column[left] for column in (self.row, self.slot, self.w, self.half, self.cannot_head, self.name)
        )

    def _means(self, order: Ints) -> Floats:
        row, slot = self.row[order], self.slot[order]
        out, single = np.empty((len(row), self.x.shape[1])), slot < 0
        out[single] = self.x[row[single]]
        out[~single] = self.sums[slot[~single]] / self.w[order[~single], None]
        return out


def _first_copies(x: NDArray[np.float32], uncopied: Ints) -> Ints:
    """For each row the first that equals it, where there are more copies than lists hold; else, and for the rows ``uncopied``, itself.

    Copies are at distance 0 and as far from all others, so to take them as one is average linkage already.
    """
    first = np.arange(len(x))
    key = np.empty(len(x))  # by numpy, threads of its BLAS would spin for as long as a small library takes
    kernels.along(x, np.cos(np.arange(x.shape[1])), key)
    key[uncopied] = np.nan
    _, group, size = np.unique(key, return_inverse=True, return_counts=True, equal_nan=False)
    many = np.flatnonzero(size[group] > SHORT_LIST // 2)
    seen: dict[bytes, int] = {}
    for i in many.tolist():
        first[i] = seen.setdefault(x[i].tobytes(), i)
    return first


def _half(x: NDArray[np.float32]) -> Floats:
    """Half the squared norms, summed as :func:`kernels.dot` does, so that the distance of equal rows is 0."""
    out = np.empty(len(x))
    kernels.halves(x, out)
    return out


def _cannot_lists(pairs: Ints, n: int) -> tuple[Ints, Ints]:
    """Cannot-link pairs as linked lists: where each row's begins (-1: none), and for each entry the next one and the other row."""
    head, entries = np.full(n, -1, np.int64), np.empty((2 * len(pairs), 2), np.int64)
    for e, (a, b) in enumerate([p for pair in pairs.tolist() for p in (pair, pair[::-1])]):
        entries[e] = head[a], b
        head[a] = e
    return head, entries
