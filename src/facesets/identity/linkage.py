"""Room identity: who is who among new faces, by exact average linkage. Pure: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesets.identity import dense
from facesets.identity.arrays import Floats, Ints, in_order_of_first, pairs_of, vectors_of, weights_of
from facesets.identity.scoring import b_cubed
from facesets.progress import Progress, Silent

MANY = 100_000  # fewer faces are always linked exactly: that takes half a minute
PART = 20_000
DENSE = 1500  # below, a matrix of 18 MB is quicker than the compiler's start


def average_linkage(
    embeddings: ArrayLike,
    threshold: float,
    *,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    approximate: bool = False,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], numbered by first occurrence) of exact average linkage that joins below ``threshold``.

    ``embeddings`` is [n, d]; the distance of two faces is half their squared Euclidean distance (for unit vectors the cosine
    distance), of two clusters its mean over all pairs, each pair weighted by the product of its ``weights`` (positive, [n]). Rows
    paired in ``cannot_link`` (int [m, 2]) never share a cluster: they and whatever holds them are infinitely far. Chains of nearest
    neighbours start at the lowest rows, and of equally near clusters the one that holds the lowest row is taken: of several valid
    answers the input alone decides. Memory: the vectors and about as much again.

    ``approximate`` compares single faces with likely neighbours only, where there are at least ``MANY``: several times as fast, and
    no longer exact; ``progress`` is told its B-cubed score against the exact result, measured on a part of these faces. Raises
    ValueError for other shapes, values that are not finite, or rows that are not there.
    """
    x = vectors_of(embeddings)
    w = weights_of(weights, len(x))
    pairs = pairs_of(cannot_link, len(x))
    if len(x) < DENSE:
        return in_order_of_first(dense.link(dense.pair_distances(x), threshold, w, pairs))
    from facesets.identity import fast  # noqa: PLC0415 - brings the compiler, which few faces need not wait for

    told = progress or Silent()
    if approximate and len(x) >= MANY:
        told.note(_how_approximate(x, threshold, w))
        return in_order_of_first(fast.link(x, threshold, w, pairs, told, approximate=True))
    return in_order_of_first(fast.link(x, threshold, w, pairs, told))


def _how_approximate(x: NDArray[np.float32], threshold: float, weights: Floats) -> str:
    from facesets.identity import fast  # noqa: PLC0415 - brings the compiler

    part = np.arange(0, len(x), -(-len(x) // PART))
    none = np.empty((0, 2), np.int64)
    exact, likely = (fast.link(x[part], threshold, weights[part], none, Silent(), approximate=way) for way in (False, True))
    score = b_cubed(likely, exact)
    return f"the clustering is approximate: B-cubed {score.f:.4f} against the exact one on {len(part):,} of the {len(x):,} faces"
