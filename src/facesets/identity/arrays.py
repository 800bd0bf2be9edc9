"""Room identity: the array types it speaks, and the checks at its doors. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]
Ints = NDArray[np.int64]


def vectors_of(embeddings: ArrayLike) -> NDArray[np.float32]:
    """``embeddings`` as C-ordered float32 [n, d]; ValueError for another shape or for values that are not finite."""
    x = np.ascontiguousarray(embeddings, dtype=np.float32)
    if x.ndim == 1 and x.size == 0:
        x = x.reshape(0, 0)
    if x.ndim != 2:
        raise ValueError(f"embeddings must be [n, d], not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"row {int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])} of the embeddings is not finite")
    return x


def weights_of(weights: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """``weights`` as float64 [n], ones where None; ValueError unless each is positive and finite."""
    if weights is None:
        return np.ones(n)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,) or not (np.isfinite(w) & (w > 0)).all():
        raise ValueError(f"weights must be {n} positive numbers")
    return w


def pairs_of(cannot_link: ArrayLike | None, n: int) -> Ints:
    """``cannot_link`` as int64 [m, 2] of rows; ValueError for rows that are not there or a row against itself."""
    if cannot_link is None:
        return np.empty((0, 2), np.int64)
    raw = np.asarray(cannot_link)
    if raw.size == 0:
        return np.empty((0, 2), np.int64)
    if raw.ndim != 2 or raw.shape[1] != 2 or not np.issubdtype(raw.dtype, np.integer):
        raise ValueError("cannot_link must be pairs of row numbers, [m, 2]")
    pairs = raw.astype(np.int64)
    if pairs.min() < 0 or pairs.max() >= n or (pairs[:, 0] == pairs[:, 1]).any():
        raise ValueError(f"cannot_link must join two different rows of 0..{n - 1}")
    return pairs


def in_order_of_first(labels: ArrayLike) -> Ints:
    """``labels`` renumbered 0, 1, 2, ... in the order in which they first occur: int64 [n]."""
    _, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    out: Ints = rank[inverse.reshape(-1)]
    return out


def roots(parent: Ints) -> Ints:
    """The root of every row of a parent forest."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return parent
        parent = above
