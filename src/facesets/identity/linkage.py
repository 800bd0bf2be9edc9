"""Room identity: who is who among new faces, by exact average linkage. Pure: arrays in, arrays out."""

from __future__ import annotations

from numpy.typing import ArrayLike

from facesets.identity import dense
from facesets.identity.arrays import Ints, in_order_of_first, pairs_of, vectors_of, weights_of
from facesets.progress import Progress, Silent

DENSE = 1500  # below, a matrix of 18 MB is quicker than the compiler's start


def average_linkage(
    embeddings: ArrayLike,
    threshold: float,
    *,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], numbered by first occurrence) of exact average linkage that joins below ``threshold``.

    ``embeddings`` is [n, d]; the distance of two faces is half their squared Euclidean distance (for unit vectors the cosine
    distance), of two clusters its mean over all pairs, each pair weighted by the product of its ``weights`` (positive, [n]). Rows
    paired in ``cannot_link`` (int [m, 2]) never share a cluster: they and whatever holds them are infinitely far. Chains of nearest
    neighbours start at the lowest rows, and of equally near clusters the one that holds the lowest row is taken: of several valid
    answers the input alone decides. Memory: the vectors and about as much again. Raises ValueError for other shapes, values that are
    not finite, or rows that are not there.
    """
    x = vectors_of(embeddings)
    w = weights_of(weights, len(x))
    pairs = pairs_of(cannot_link, len(x))
    if len(x) < DENSE:
        return in_order_of_first(dense.link(dense.pair_distances(x), threshold, w, pairs))
    from facesets.identity import fast  # noqa: PLC0415 - brings the compiler, which few faces need not wait for

    return in_order_of_first(fast.link(x, threshold, w, pairs, progress or Silent()))
