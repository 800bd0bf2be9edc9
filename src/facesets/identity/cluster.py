"""Room identity: the default clustering, average linkage and then consolidation. Pure: arrays in, arrays out."""

from __future__ import annotations

from numpy.typing import ArrayLike

from facesets.identity.arrays import Ints
from facesets.identity.consolidate import consolidate
from facesets.identity.linkage import average_linkage
from facesets.progress import Progress
from facesets.records import Cuts

ARCFACE = Cuts(match=0.45, cluster=0.55, consolidate=0.55, outlier=0.45, near_duplicate=0.08)
"""The reference's distances for InsightFace's ArcFace packs, and ours beside them."""


def cluster(
    embeddings: ArrayLike,
    *,
    cuts: Cuts = ARCFACE,
    classic: bool = False,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], by first occurrence): average linkage below ``cuts.cluster``, fragments joined within ``cuts.consolidate``.

    ``classic`` is average linkage alone. ``names`` (int [n], -1 unnamed) keeps consolidation from joining differently named people,
    ``photos`` (int [n]) from joining people who stand side by side; for the other arguments see :func:`average_linkage` and
    :func:`consolidate`.
    """
    labels = average_linkage(embeddings, cuts.cluster, weights=weights, cannot_link=cannot_link, progress=progress)
    if classic:
        return labels
    return consolidate(embeddings, labels, cuts.consolidate, weights=weights, cannot_link=cannot_link, names=names, photos=photos)[0]
