"""Centroids, and which existing set a face belongs to. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesets.clustering.arrays import Floats, Ints
from facesets.progress import Task
from facesets.records import Centroid

DECIMALS = 6  # what is written is rounded to this, and what is decided is decided on what is written
SLACK = 1e-4  # in squared lengths: more than float32 products err
_BLOCK = 4096
_PRODUCTS = 1 << 24  # at a time: 64 MB of float32


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each face the nearest and the second nearest *set*: positions in ``names`` (-1: none) and distances (inf: none)."""

    names: tuple[str, ...]
    first: Ints
    first_distance: NDArray[np.float64]
    second: Ints
    second_distance: NDArray[np.float64]


def centroid(vectors: Floats, weights: Floats | None = None) -> NDArray[np.float64]:
    """The mean of ``vectors`` [m, d] brought back to the length faces have: float64 [d], rounded to 6 decimals.

    The mean of unit vectors is shorter than 1 by as much as they differ; scaled to their root mean square length it is a face
    among faces again, so the same distance serves face to face, face to set and set to set. Add in the order given: callers keep
    rows in canonical order, so that the sum is the same to the last bit.
    """
    x = np.asarray(vectors, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    total: Floats = np.add.reduce(x * w[:, None], axis=0)
    length = float(np.sqrt(np.add.reduce(total * total)))
    if length == 0.0:
        return np.zeros(x.shape[1])
    rms = float(np.sqrt(np.add.reduce(np.add.reduce(x * x, axis=1) * w) / np.add.reduce(w)))
    rounded: NDArray[np.float64] = np.round(total * (rms / length), DECIMALS) + 0.0  # no minus zero
    return rounded


def distances(vectors: Floats, centroids: Floats) -> NDArray[np.float64]:
    """Half squared Euclidean distances of ``vectors`` [m, d] to ``centroids`` [k, d]: float64 [m, k], rounded to 6 decimals."""
    x = np.asarray(vectors, dtype=np.float64)
    c = np.asarray(centroids, dtype=np.float64)
    half = np.add.reduce(x * x, axis=1)[:, None] / 2 + np.add.reduce(c * c, axis=1)[None, :] / 2
    out: NDArray[np.float64] = np.round(np.maximum(half - x @ c.T, 0.0), DECIMALS) + 0.0
    return out


def nearest_few(
    vectors: NDArray[np.float32], centroids: Floats, few: int, task: Task | None = None
) -> tuple[Ints, NDArray[np.float64]]:
    """Of each of ``vectors`` [m, d] the ``few`` nearest of ``centroids`` [k, d] (few <= k), nearest first, of equally near ones the
    first: int64 and float64 [m, few]. The same as by :func:`distances`, in a fraction of the time where there are many.
    """
    stack = np.asarray(centroids, dtype=np.float64)
    columns = np.ascontiguousarray(stack.T, dtype=np.float32)
    half = np.einsum("ij,ij->i", stack, stack) / 2
    rough_half, slack = half.astype(np.float32), 2 * SLACK * (1 + 2 * half.max(initial=0))
    ids, dist = np.empty((len(vectors), few), np.int64), np.empty((len(vectors), few))
    for rows in in_parts(len(vectors), len(stack)):
        x = vectors[rows]
        rough = x @ columns
        np.subtract(rough_half, rough, out=rough)
        likely = rough <= np.partition(rough, few - 1, axis=1)[:, few - 1 : few] + np.float32(slack)
        i, j = np.divmod(np.flatnonzero(likely), len(stack))
        wide = x.astype(np.float64)
        own = np.einsum("ij,ij->i", wide, wide) / 2
        d = np.empty(len(i))
        for b in range(0, len(i), _BLOCK):  # a few each, but where many are copies
            part = slice(b, b + _BLOCK)
            d[part] = own[i[part]] + half[j[part]] - np.einsum("ij,ij->i", wide[i[part]], stack[j[part]])
        d[:] = np.round(np.maximum(d, 0.0), DECIMALS) + 0.0
        order = np.lexsort((j, d, i))
        at = order[np.searchsorted(i, np.arange(len(x)))[:, None] + np.arange(few)]
        ids[rows], dist[rows] = j[at], d[at]
        if task:
            task.advance(len(x))
    return ids, dist


def distance_to_any(vectors: NDArray[np.float32], others: Floats) -> NDArray[np.float64]:
    """How far each of ``vectors`` [n, d] is from the nearest of ``others`` [k, d], and not a hair further: float64 [n]."""
    columns = np.ascontiguousarray(others.T, dtype=np.float32)
    half = np.einsum("ij,ij->j", columns, columns, dtype=np.float64) / 2
    own = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64) / 2
    hair = SLACK * (1 + 2 * max(half.max(initial=0), own.max(initial=0)))
    out = np.full(len(vectors), np.inf)
    for rows in in_parts(len(vectors), len(half)) if len(half) else ():
        products = vectors[rows] @ columns
        products -= half.astype(np.float32)
        out[rows] = own[rows] - hair - products.max(axis=1)
    return out


def in_parts(rows: int, columns: int) -> Iterator[slice]:
    """``rows`` in parts whose products with ``columns`` others are no burden to memory."""
    step = max(1, min(1024, _PRODUCTS // max(columns, 1)))
    return (slice(a, min(a + step, rows)) for a in range(0, rows, step))


def nearest_sets(vectors: Floats, centroids: Sequence[Centroid]) -> Nearest:
    """The two nearest sets of every row of ``vectors`` [n, d]; of equally near ones the first by name wins.

    One set may have several centroids (one an era); a face's distance to the set is the distance to the nearest.
    """
    names = tuple(sorted({c.name for c in centroids}))
    n = len(vectors)
    first, second = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    d1, d2 = np.full(n, np.inf), np.full(n, np.inf)
    if not names or not n:
        return Nearest(names, first, d1, second, d2)
    ordered = sorted(centroids, key=lambda c: (c.name, c.vector.tolist()))
    stack = np.stack([c.vector for c in ordered])
    starts = np.flatnonzero([i == 0 or c.name != ordered[i - 1].name for i, c in enumerate(ordered)])
    for a in range(0, n, _BLOCK):
        rows = np.arange(a, min(a + _BLOCK, n))
        d = np.minimum.reduceat(distances(vectors[rows], stack), starts, axis=1)
        at = np.arange(len(rows))
        first[rows] = best = np.argmin(d, axis=1)
        d1[rows] = d[at, best]
        if len(names) > 1:
            d[at, best] = np.inf
            second[rows] = best = np.argmin(d, axis=1)
            d2[rows] = d[at, best]
    return Nearest(names, first, d1, second, d2)
