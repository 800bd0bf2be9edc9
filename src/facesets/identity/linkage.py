"""Room identity: who is who among new faces, by exact average linkage. Pure: arrays in, arrays out."""

from __future__ import annotations

from numpy.typing import ArrayLike

from facesets.identity import dense
from facesets.identity.arrays import Ints, in_order_of_first, pairs_of, vectors_of, weights_of
from facesets.progress import Progress, Silent


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
    paired in ``cannot_link`` (int [m, 2]) never share a cluster. Where several clusters are equally near, the one that holds the
    lowest row is joined first. Raises ValueError for other shapes, values that are not finite, or rows that are not there.
    """
    x = vectors_of(embeddings)
    w = weights_of(weights, len(x))
    pairs = pairs_of(cannot_link, len(x))
    with (progress or Silent()).task("linking faces", len(x), "faces") as task:
        labels = in_order_of_first(dense.link(dense.pair_distances(x), threshold, w, pairs))
        task.advance(len(x))
    return labels
