"""Every pair of faces nearer than a limit, of each face the nearest few kept. Pure: arrays in, arrays out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import kernels
from facesets.clustering.arrays import Floats, Ints
from facesets.clustering.blocked_matmul import blocks_of
from facesets.progress import Task

ROWS = COLUMNS = 512  # a block of products is 1 MiB: it stays in a core's cache while it is read


@dataclass(frozen=True, slots=True)
class KnnLists:
    """Of each row the ``count`` nearest others below the limit: ``ids`` int32 [n, k] and ``dist`` float64 [n, k], nearest first.

    ``bound`` float64 [n]: the least distance of those below the limit that had no room, inf where all had.
    """

    ids: NDArray[np.int32]
    dist: Floats
    count: NDArray[np.int32]
    bound: Floats


def threads() -> int:
    """How many threads work: as many as this process may use, 8 at most (the lists are filled by one at a time)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def knn_join(
    x: NDArray[Any], half: Floats, limit: float, k: int, task: Task | None = None,
    *, queries: int | None = None, row_ids: Ints | None = None, cannot_link: tuple[Ints, Ints, Ints] | None = None, rows: int = ROWS,
    columns: int = COLUMNS, workers: int = 0, integers: bool | None = None,
) -> KnnLists:  # fmt: skip
    """The nearest ``k`` of every row of ``x`` [n, d] below ``limit``; ``half`` [n] holds half the squared norms.

    Products of all pairs say which may be near enough, each with a proven bound on its error; those are looked at again in float64.
    So the lists are exact and the same whatever ``rows``, ``columns`` (of a block), ``workers`` and ``integers``. Pairs of
    ``cannot_link`` (head, pairs, names; see :func:`kernels.cannot_link`) are left out, as if they were infinitely far, and so are
    pairs of two rows beyond the first ``queries``. With ``row_ids``, only the first ``queries`` have lists, and lists and
    cannot-link pairs hold these ids in place of row numbers.
    """
    n = len(x)
    queries = n if queries is None else queries
    own, listed = np.arange(n) if row_ids is None else row_ids, n if row_ids is None else queries
    cannot_head, cannot_pairs, name = cannot_link or (np.full(n, -1), np.empty((0, 2), np.int64), np.full(n, -1))
    blocks = blocks_of(x, half, columns, integers=integers)
    lists = KnnLists(np.zeros((listed, k), np.int32), np.zeros((listed, k)), np.zeros(listed, np.int32), np.full(n, np.inf))
    lists.bound[listed:] = -np.inf
    parent = np.arange(max(n, len(cannot_head)))
    parts = [
        (a, min(a + rows, b, queries))
        for b in range(columns, queries + columns, columns)
        for a in range(b - columns, min(b, queries), rows)
    ]
    strips, pairs = iter(parts), sum((b - a) * (n - a) for a, b in parts)
    reach = np.full(n, limit, np.float32)  # beyond it nothing changes a row's list or bound
    lock = threading.Lock()
    done = [0, 0]  # pairs compared, rows reported

    def work() -> None:
        out = (np.empty(rows * columns, np.int32), np.empty(rows * columns, np.int32), np.empty(rows * columns, np.float32))
        for a, b in _shared(strips, lock):
            left = blocks.rows(a, b)
            for block in range(a // columns, len(blocks.columns)):
                products, diagonal = blocks.product(left, block), block == a // columns
                for first, last in ((a, b), (block * columns, (block + 1) * columns)):
                    np.minimum(lists.bound[first:last], limit, out=reach[first:last], casting="same_kind")
                m = kernels.candidates(products, a, block * columns, blocks.scale, blocks.low, reach, diagonal, *out)
                if m:
                    with lock:
                        kernels.fill_lists(
                            x, half, own, lists.ids, lists.dist, lists.count, lists.bound,
                            parent, cannot_head, cannot_pairs, name, *out, m, limit,
                        )  # fmt: skip
            with lock:
                done[0] += (b - a) * (n - a)
                rows_done = n * done[0] // pairs
                if task:
                    task.advance(rows_done - done[1])
                done[1] = rows_done

    _in_threads(work, workers or threads())
    kernels.order(lists.ids, lists.dist, lists.count)
    return lists


def _shared(items: Iterator[Any], lock: threading.Lock) -> Iterator[Any]:
    """The items that no other thread has taken."""
    while True:
        with lock:
            item = next(items, None)
        if item is None:
            return
        yield item


def _in_threads(work: Any, workers: int) -> None:
    """Call ``work`` in ``workers`` threads and wait for all."""
    if workers == 1:
        work()
        return
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
