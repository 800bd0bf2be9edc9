"""The array types it speaks, and the checks at its doors. Pure."""

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


def pairs_of(pairs: ArrayLike | None, n: int, what: str = "cannot_link") -> Ints:
    """``pairs`` as int64 [m, 2] of rows; ValueError for rows that are not there or a row with itself."""
    if pairs is None:
        return np.empty((0, 2), np.int64)
    raw = np.asarray(pairs)
    if raw.size == 0:
        return np.empty((0, 2), np.int64)
    if raw.ndim != 2 or raw.shape[1] != 2 or not np.issubdtype(raw.dtype, np.integer):
        raise ValueError(f"{what} must be pairs of row numbers, [m, 2]")
    rows = raw.astype(np.int64)
    if rows.min() < 0 or rows.max() >= n or (rows[:, 0] == rows[:, 1]).any():
        raise ValueError(f"{what} must hold pairs of two different rows of 0..{n - 1}")
    return rows


def in_order_of_first(labels: ArrayLike) -> Ints:
    """``labels`` renumbered 0, 1, 2, ... in the order in which they first occur: int64 [n]."""
    _, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    out: Ints = rank[inverse.reshape(-1)]
    return out


def names_of(names: ArrayLike | None, n: int) -> Ints:
    """``names`` as int64 [n], -1 (no name) where None."""
    out = np.full(n, -1, np.int64) if names is None else np.asarray(names, dtype=np.int64)
    if out.shape != (n,):
        raise ValueError(f"names must have one entry for each of the {n} rows")
    return out


def components(pairs: Ints, n: int) -> Ints:
    """The lowest row of each row's component, where each of ``pairs`` [m, 2] joins two rows: int64 [n]."""
    parent = np.arange(n)
    for a, b in pairs.tolist():
        one, two = _root(parent, a), _root(parent, b)
        parent[max(one, two)] = min(one, two)
    return roots(parent)


def _root(parent: Ints, i: int) -> int:
    while parent[i] != i:
        i = int(parent[i])
    return i


def roots(parent: Ints) -> Ints:
    """The root of every row of a parent forest."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return parent
        parent = above
