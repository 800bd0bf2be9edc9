"""Who is who among new faces, by exact average linkage. Pure: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from facesets.clustering import dense_linkage
from facesets.clustering.arrays import Floats, Ints, components, in_order_of_first, names_of, pairs_of, vectors_of, weights_of
from facesets.progress import Progress, Silent

DENSE = 1500  # below, a matrix of 18 MB is quicker than the compiler's start


def average_linkage(
    embeddings: ArrayLike,
    threshold: float,
    *,
    weights: ArrayLike | None = None,
    must_link: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], numbered by first occurrence) of exact average linkage that joins below ``threshold``.

    ``embeddings`` is [n, d]; the distance of two faces is half their squared Euclidean distance (for unit vectors the cosine
    distance), of two clusters its mean over all pairs, each pair weighted by the product of its ``weights`` (positive, [n]). Rows
    paired in ``must_link`` (int [m, 2]) are one cluster from the start. Rows paired in ``cannot_link`` (int [m, 2]), and rows with two
    different ``names`` (int [n], -1: none), never share one: they and whatever holds them are infinitely far. Chains of nearest
    neighbours start at the lowest rows, and of equally near clusters the one that holds the lowest row is taken: of several valid
    answers the input alone decides. Memory: the vectors and about as much again. Raises ValueError for other shapes, values that are
    not finite, rows that are not there, or pairs that contradict each other.
    """
    x = vectors_of(embeddings)
    n = len(x)
    w = weights_of(weights, n)
    cannot, must = pairs_of(cannot_link, n), pairs_of(must_link, n, "must_link")
    named = names_of(names, n)
    half: Floats | None = None
    back: Ints = np.arange(n)
    if len(must):
        first, back = np.unique(components(must, n), return_inverse=True)
        cannot = back[cannot]
        if (cannot[:, 0] == cannot[:, 1]).any():
            raise ValueError("two rows are paired in cannot_link that must_link makes one person")
        wide, total = x.astype(np.float64), np.bincount(back, w)
        means = np.zeros((len(first), x.shape[1]))
        np.add.at(means, back, wide * w[:, None])
        half = np.asarray(np.bincount(back, np.einsum("ij,ij->i", wide, wide) / 2 * w) / total)
        own = np.full(len(first), -1, np.int64)
        np.maximum.at(own, back, named)
        if ((named >= 0) & (named != own[back])).any():
            raise ValueError("must_link makes one person of rows with two different names")
        x, w, named = (means / total[:, None]).astype(np.float32), np.asarray(total, dtype=np.float64), own
    if len(x) < DENSE:
        return in_order_of_first(dense_linkage.link(dense_linkage.pair_distances(x, half), threshold, w, cannot, named)[back])
    from facesets.clustering import sparse_linkage  # noqa: PLC0415 - brings the compiler, which few faces need not wait for

    return in_order_of_first(sparse_linkage.link(x, threshold, w, cannot, progress or Silent(), half=half, names=named)[back])
