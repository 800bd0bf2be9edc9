"""Room identity: average linkage of many faces, without the n x n matrix. Pure: arrays in, arrays out.

In rounds: of every face the nearest few are listed (:mod:`join`), and what those lists prove is merged (:mod:`chain`). Who has absorbed
what its list held waits, and so does whoever's nearest that one is; but lists outlive the round (:mod:`near`), so then only those that
wait are compared with what is left. Where the biggest person has 14 % of the faces, a fifth of the clusters are left after the first
round, and one in ten of these waits: all rounds that follow cost a tenth of the first.
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
from facesets.progress import Progress

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
    n, d = x.shape
    row, slot, w = np.arange(n), np.full(n, -1, np.int64), weights.copy()
    half = _half(x)
    enemies, foe = _enemies(cannot_link, n)
    sums = np.empty((n // 2 + 1, d))  # the system gives memory only for the rows that are written
    free = np.concatenate([[len(sums)], np.arange(len(sums))[::-1]])
    first = first or (FEWER if n <= FEW else FIRST)
    near: Near | None = None
    waits, rounds = np.arange(0), 0
    while len(row):
        m = len(row)
        likely = approximate and (rounds == 0 or (rounds == 1 and m > MANY_GROUPS))
        every = likely or rounds == 0
        order = np.arange(m) if every else np.concatenate([waits, np.setdiff1d(np.arange(m), waits, assume_unique=True)])
        means = _means(x, sums, row[order], slot[order], w[order]) if rounds else x
        with progress.task("comparing groups" if rounds else "comparing faces", m, "groups" if rounds else "faces") as task:
            part: dict[str, Any] = {} if every else {"of": len(waits), "names": order}
            lists = (likely_nearest if likely else nearest)(
                means, half[order], threshold, min(first, max(m - 1, 1)), task, apart=(enemies, foe), **part, **how
            )
        if near is None or every:
            near = Near.of(lists, likely=likely)
        else:
            near.renew(waits, lists)
        del means, lists
        rounds += 1
        parent, version = np.arange(m), np.zeros(m, np.int32)
        state = np.where((near.count > 0) | (near.bound < threshold), chain.OPEN, chain.FINAL).astype(np.int8)
        chain.chains(x, row, sums, slot, free, w, half, parent, version, enemies, foe, *near.arrays, state, threshold)
        parent = roots(parent)
        top[row] = row[parent]
        near.likely[parent[near.likely]] = True
        again = near.likely & (state == chain.FINAL) & (slot >= 0)
        left = np.flatnonzero((state == chain.OPEN) | (state == chain.WAITING) | again)
        new = np.full(m, -1)
        new[left] = np.arange(len(left))
        waits = new[np.flatnonzero((state == chain.WAITING) | again)]
        near = near.kept(left, parent, new, version)
        foe[:, 1] = np.where(foe[:, 1] < 0, -1, new[parent[foe[:, 1]]])
        row, slot, w, half, enemies = row[left], slot[left], w[left], half[left], enemies[left]
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
