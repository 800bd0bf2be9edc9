"""Room identity: average linkage of many faces, without the n x n matrix. Pure: arrays in, arrays out.

In rounds: of every cluster the nearest few are listed (:mod:`join`), and what those lists prove is merged (:mod:`chain`). Who is near
to more than a list holds waits for the next round, where those left over are compared once more, with lists as long as there is room.
Where the biggest person has 14 % of the faces, a fifth of the clusters are left to the second round, so it costs a twenty-fifth of
the first; and with a list of hundreds a big cluster can take in hundreds before anything must be compared again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.identity import chain, kernels
from facesets.identity.arrays import Floats, Ints, roots
from facesets.identity.cells import likely_nearest
from facesets.identity.join import nearest
from facesets.progress import Progress

FIRST = 32  # neighbours listed in the first round: more cost memory and looks, fewer leave more to the second
FEW, FEWER = 20_000, 16  # up to so many faces the second round is cheap
MANY_GROUPS = 50_000  # more are compared with likely neighbours once, too, before they are compared exactly, if that is wanted
ROOM = 256 << 20  # bytes for the lists of a later round; a quarter of the vectors' own where that is more


def link(
    x: NDArray[np.float32], threshold: float, weights: Floats, cannot_link: Ints, progress: Progress,
    *, first: int = 0, room: int = 0, approximate: bool = False, **how: Any,
) -> Ints:  # fmt: skip
    """Lowest row of the cluster of each row of ``x`` [n, d], by average linkage below ``threshold``.

    ``weights`` float64 [n], ``cannot_link`` int [m, 2]. How long lists are (``first``, then as many as fit into ``room`` bytes; 0:
    as suits) and ``how`` the join is done (see :func:`facesets.identity.join.nearest`) changes the time it takes, not the result.
    ``approximate`` does: in the first round only likely neighbours are compared; groups are compared exactly in the end, so what is
    missed is single faces.
    """
    top = _first_copies(x, cannot_link)
    alone = top == np.arange(len(x))
    if not alone.all():
        weights = np.bincount(top, weights, len(x))[alone]
        place = np.cumsum(alone) - 1
        same: dict[str, Any] = {"first": first, "room": room, "approximate": approximate, **how}
        linked = link(x[alone], threshold, weights, place[cannot_link], progress, **same)
        roots_of_copies: Ints = np.flatnonzero(alone)[linked][place[top]]
        return roots_of_copies
    n, d = x.shape
    row, slot, w = np.arange(n), np.full(n, -1, np.int64), weights.copy()
    half = _half(x)
    enemies, foe = _enemies(cannot_link, n)
    sums = np.empty((n // 2 + 1, d))  # the system gives memory only for the rows that are written
    free = np.concatenate([[len(sums)], np.arange(len(sums))[::-1]])
    first = first or (FEWER if n <= FEW else FIRST)
    means, k, rounds = x, first, 0
    what = ("comparing faces", "faces")
    while len(row):
        m = len(row)
        with progress.task(what[0], m, what[1]) as task:
            likely = approximate and (rounds == 0 or (rounds == 1 and m > MANY_GROUPS))
            rounds += 1
            lists = (likely_nearest if likely else nearest)(
                means, half, threshold, min(first if likely else k, max(m - 1, 1)), task, apart=(enemies, foe), **how
            )
        parent = np.arange(m)
        state = np.where(lists.count > 0, chain.OPEN, chain.FINAL).astype(np.int8)
        seen = np.zeros(lists.ids.shape, np.int32)
        chain.chains(
            x, row, sums, slot, free, w, half, parent, np.zeros(m, np.int32), enemies, foe,
            lists.ids, lists.dist, seen, lists.count, lists.bound, state, threshold,
        )  # fmt: skip
        parent = roots(parent)
        top[row] = row[parent]
        again = likely & (state == chain.FINAL) & (slot >= 0)
        left = np.flatnonzero((state == chain.OPEN) | (state == chain.WAITING) | again)
        new = np.full(m, -1)
        new[left] = np.arange(len(left))
        foe[:, 1] = np.where(foe[:, 1] < 0, -1, new[parent[foe[:, 1]]])
        row, slot, w, half, enemies = row[left], slot[left], w[left], half[left], enemies[left]
        means = _means(x, sums, row, slot, w)
        k = max(first, (room or max(ROOM, x.nbytes // 4)) // (16 * max(len(left), 1)))
        what = ("comparing groups", "groups")
    return roots(top)


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


def _means(x: NDArray[np.float32], sums: Floats, row: Ints, slot: Ints, w: Floats) -> Floats:
    out = np.empty((len(row), x.shape[1]))
    single = slot < 0
    out[single] = x[row[single]]
    out[~single] = sums[slot[~single]] / w[~single, None]
    return out


def _enemies(pairs: Ints, n: int) -> tuple[Ints, Ints]:
    """Forbidden pairs as chains: where each row's begins (-1: none), and for each link the next one and with whom."""
    begin, link_ = np.full(n, -1, np.int64), np.empty((2 * len(pairs), 2), np.int64)
    for e, (a, b) in enumerate([p for pair in pairs.tolist() for p in (pair, pair[::-1])]):
        link_[e] = begin[a], b
        begin[a] = e
    return begin, link_
