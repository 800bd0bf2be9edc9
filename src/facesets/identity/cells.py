"""Room identity: likely neighbours only, for libraries where comparing all pairs takes too long. Pure: arrays in, arrays out.

Every face belongs to the cell of the pivot nearest to it and is compared with the faces of its ``PROBES`` nearest cells. What lies in
other cells is missed, so what is made of these lists is approximate, and is to be called so.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.identity import kernels
from facesets.identity.arrays import Floats, Ints
from facesets.identity.join import Lists, in_threads, shared, threads
from facesets.identity.products import blocks_of, left, product, right
from facesets.progress import Task

CELL = 1000  # faces in a cell, on average
PROBES = 12
_ROUNDS = 3  # of moving each pivot to the middle of its faces
_SAMPLE = 48  # faces a cell that have a say in it
_BLOCK = 1024


def likely_nearest(
    x: NDArray[np.float32], half: Floats, limit: float, k: int, task: Task | None = None,
    *, apart: tuple[Ints, Ints], workers: int = 0, **_: Any,
) -> Lists:  # fmt: skip
    """As :func:`facesets.identity.join.nearest`, but only among likely neighbours; a list holds those that its own face has found."""
    n = len(x)
    probes = _probes(x, _pivots(x, max(1, n // CELL)))
    cells = int(probes.max()) + 1
    home = np.argsort(probes[:, 0], kind="stable")
    home_at = np.searchsorted(probes[home, 0], np.arange(cells + 1))
    others = probes[:, 1:].reshape(-1)
    asks = np.argsort(others, kind="stable")
    asks_at = np.searchsorted(others[asks], np.arange(cells + 1))
    asks //= max(probes.shape[1] - 1, 1)
    lists = Lists(np.zeros((n, k), np.int32), np.zeros((n, k)), np.zeros(n, np.int32), np.full(n, np.inf))
    blocks = blocks_of(x, half, _BLOCK)
    scale, low = blocks.scale, blocks.low
    ready = np.empty(x.shape, left(blocks.columns[0]).dtype)  # row by row, as they are picked
    for a in range(0, n, _BLOCK):
        ready[a : a + _BLOCK] = left(blocks.columns[a // _BLOCK].T)
    del blocks
    own = np.arange(n)
    lock = threading.Lock()
    # each face asks its own cell first: most of its nearest are there, and what is beyond them need not be looked at elsewhere
    work_left = iter([(c, every, at) for every, at in ((home, home_at), (asks, asks_at)) for c in range(cells)])
    told = [0, 0]

    most = _BLOCK * int(np.diff(home_at).max())

    def work() -> None:
        out = (np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.float32))
        for c, every, at in shared(work_left, lock):
            members, askers = home[home_at[c] : home_at[c + 1]], every[at[c] : at[c + 1]]
            columns = right(ready[members])
            for a in range(0, len(askers) if len(members) else 0, _BLOCK):
                rows = askers[a : a + _BLOCK]
                both = np.concatenate([rows, members]).astype(np.int32)
                products = product(ready[rows], columns)
                reach = np.concatenate([np.minimum(lists.bound[rows], limit), np.full(len(members), -np.inf)]).astype(np.float32)
                m = kernels.near(products, 0, len(rows), scale[both], low[both], reach, False, *out)
                with lock:
                    kernels.take_one(x, half, lists.ids, lists.dist, lists.count, lists.bound, own, *apart, both, *out, m, limit)
            with lock:
                told[0] += len(askers)
                rows_done = told[0] // probes.shape[1]
                if task:
                    task.advance(rows_done - told[1])
                told[1] = rows_done

    in_threads(work, workers or threads())
    kernels.order(lists.ids, lists.dist, lists.count)
    return lists


def _pivots(x: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """``cells`` directions in the middle of as many heaps of faces."""
    rng = np.random.default_rng(0)
    sample = x[np.sort(rng.choice(len(x), min(len(x), cells * _SAMPLE), replace=False))]
    pivots = sample[rng.choice(len(sample), cells, replace=False)].copy()
    for _ in range(_ROUNDS):
        at = _probes(sample, pivots, 1)[:, 0]
        order = np.argsort(at, kind="stable")
        found, begin = np.unique(at[order], return_index=True)
        pivots[found] = np.add.reduceat(sample[order], begin, axis=0)
        pivots /= np.maximum(np.linalg.norm(pivots, axis=1, keepdims=True), np.float32(1e-30))
    return pivots


def _probes(x: NDArray[np.float32], pivots: NDArray[np.float32], probes: int = PROBES) -> NDArray[np.int32]:
    """The nearest ``probes`` pivots of every row, nearest first: int32 [n, probes]."""
    some = min(probes, len(pivots))
    out = np.empty((len(x), some), np.int32)
    for a in range(0, len(x), _BLOCK):
        product = -(x[a : a + _BLOCK] @ pivots.T)
        near = np.argpartition(product, some - 1, axis=1)[:, :some]
        out[a : a + _BLOCK] = np.take_along_axis(near, np.argsort(np.take_along_axis(product, near, 1), axis=1, kind="stable"), 1)
    return out
