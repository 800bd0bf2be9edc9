"""Average linkage on the whole distance matrix, for few faces. Pure: arrays in, arrays out.

Serves groups small enough that n x n float64 is nothing; starts at once, where the fast chain must be compiled first.
"""

from __future__ import annotations

import numpy as np

from facesets.clustering.arrays import Floats, Ints, roots


def pair_distances(x: Floats, half: Floats | None = None) -> Floats:
    """Half squared Euclidean distances between all rows of ``x`` [n, d]: float64 [n, n], symmetric, zero diagonal.

    Rows may be means of several, with the mean of their half squared norms in ``half`` [n]: then mean distances of all pairs.
    """
    x = x.astype(np.float64)
    half = np.einsum("ij,ij->i", x, x) / 2 if half is None else half
    out: Floats = half[:, None] + half[None, :] - x @ x.T
    out += out.T.copy()  # a product need not be symmetric to the last bit
    out /= 2
    np.maximum(out, 0, out=out)
    np.fill_diagonal(out, 0)
    return out


def link(distances: Floats, threshold: float, weights: Floats, cannot_link: Ints, names: Ints | None = None) -> Ints:
    """Root of each row after average linkage below ``threshold``; overwrites ``distances`` (float64 [n, n]).

    Nearest-neighbour chain (Müllner 2011, arXiv:1109.2378): average linkage is reducible, so reciprocal nearest neighbours may
    be merged in any order, and a cluster whose nearest is not below the threshold is final. Equal distances: the lowest row.
    A forbidden pair (``cannot_link`` [m, 2], or two different ``names`` [n], -1: none) is infinitely far, and so is every union that
    holds one: that is reducible too.
    """
    d, n = distances, len(distances)
    parent = np.arange(n, dtype=np.int64)
    w = weights.astype(np.float64).copy()
    np.fill_diagonal(d, np.inf)
    d[cannot_link[:, 0], cannot_link[:, 1]] = np.inf
    d[cannot_link[:, 1], cannot_link[:, 0]] = np.inf
    if names is not None:
        d[(names[:, None] >= 0) & (names >= 0) & (names[:, None] != names)] = np.inf
    open_ = np.ones(n, dtype=bool)
    for start in range(n):
        chain = [start] if open_[start] else []
        while chain:
            a = chain[-1]
            b = int(np.argmin(d[a]))
            if not d[a, b] < threshold:
                open_[a] = False  # final: no later merge brings anything nearer
                chain.pop()
                continue
            if len(chain) > 1 and d[a, chain[-2]] <= d[a, b]:
                b = chain[-2]
            else:
                chain.append(b)
                continue
            chain = chain[:-2]
            a, b = min(a, b), max(a, b)
            row = (w[a] * d[a] + w[b] * d[b]) / (w[a] + w[b])
            w[a] += w[b]
            row[a] = row[b] = np.inf
            d[a] = d[:, a] = row
            d[b] = d[:, b] = np.inf
            parent[b], open_[b] = a, False
            if not chain:
                chain = [a]
    return roots(parent)
