"""Identity: by how much a face is nearer to its own people than to anybody else. Pure: arrays in, arrays out.

Relatives are the main error of real libraries. Their faces are near to both, the person and the relative; so what tells them is not how
near a face is to its group, but how much nearer than to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import DECIMALS, Floats, Ints

NEIGHBORS = 3  # groups beside its own that a face is compared with
RIVAL = 3  # faces of a group that counts as somebody else; of two it is not known whether they are anybody
PART = 10  # a group of less than this share of a face's own is rather a part of it that was not joined than somebody else
_BLOCK = 2048


def leads(vectors: NDArray[np.float32], own: Ints, neighbors: Ints, sets: Floats) -> NDArray[np.float64]:
    """The lead of each of ``vectors`` [n, d]: float64 [n], rounded; inf where there is nobody else, or where it is alone.

    ``own`` [n]: the group of each, numbered from 0; -1: alone. ``neighbors`` [n, few]: groups near to it. Against other groups it is
    the mean distance to their faces less that to the other faces of its own; against sets that exist, whose nearest centroid is
    ``sets`` [n] away, the same with centroids.
    """
    count = int(max(own.max(initial=-1), neighbors.max(initial=-1))) + 1
    size = np.bincount(own[own >= 0], minlength=count)
    half = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64) / 2
    halves = np.bincount(own[own >= 0], half[own >= 0], count) / np.maximum(size, 1)
    sums = np.zeros((count, vectors.shape[1]))
    order = np.argsort(own, kind="stable")[np.count_nonzero(own < 0) :]
    if len(order):
        begin = np.flatnonzero(np.diff(own[order], prepend=-1))
        for a in range(0, len(begin), _BLOCK):  # float64 of a part at a time
            last = begin[a + _BLOCK] if a + _BLOCK < len(begin) else len(order)
            rows = order[begin[a] : last]
            part = np.add.reduceat(vectors[rows].astype(np.float64), begin[a : a + _BLOCK] - begin[a], axis=0)
            sums[own[order[begin[a : a + _BLOCK]]]] = part
    out = np.full(len(vectors), np.inf)
    least = np.maximum(size[own] / PART, RIVAL)
    rivals = np.where((neighbors == own[:, None]) | (size[neighbors] < least[:, None]), -1, neighbors)
    for a in range(0, len(vectors), _BLOCK):
        rows = np.arange(a, min(a + _BLOCK, len(vectors)))
        rows = rows[own[rows] >= 0]
        x, mine = vectors[rows].astype(np.float64), own[rows]
        along = np.einsum("ij,ij->i", x, sums[mine])
        others = np.maximum(size[mine] - 1, 1)
        to_own = (half[rows] + halves[mine] - along / size[mine]) * size[mine] / others
        best = np.full(len(rows), np.inf)
        for column in rivals[rows].T:
            at = np.flatnonzero(column >= 0)
            g = column[at]
            d = half[rows[at]] + halves[g] - np.einsum("ij,ij->i", x[at], sums[g]) / size[g]
            best[at] = np.minimum(best[at], d)
        rest = np.sqrt(np.maximum(np.einsum("ij,ij->i", sums[mine], sums[mine]) - 2 * along + 2 * half[rows], 1e-24))
        length = np.sqrt(2 * halves[mine])
        to_centroid = half[rows] + halves[mine] - (along - 2 * half[rows]) / rest * length
        out[rows] = np.minimum(best - to_own, sets[rows] - to_centroid)
    return np.round(out, DECIMALS)
