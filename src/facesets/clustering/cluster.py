"""The default clustering, average linkage and then consolidation. Pure: arrays in, arrays out."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from facesets.clustering.arrays import Ints
from facesets.clustering.consolidate import consolidate
from facesets.clustering.linkage import average_linkage
from facesets.progress import Progress
from facesets.records import Thresholds
from facesets.thresholds import ARCFACE


class HasThresholds(Protocol):
    """A model pack, as far as its distances go."""

    @property
    def thresholds(self) -> Thresholds:
        """Its calibrated distances."""


def cluster(
    embeddings: ArrayLike,
    *,
    pack: HasThresholds | None = None,
    thresholds: Thresholds | None = None,
    classic: bool = False,
    weights: ArrayLike | None = None,
    must_link: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], by first occurrence): average linkage, then fragments joined (``thresholds.cluster``, ``.consolidate``).

    ``thresholds`` are the pack's where not given, else :data:`ARCFACE`. ``classic`` is average linkage alone. ``photos`` (int [n])
    tells which faces are of one photo, ``boxes`` (float [n, 4]) where they stand in it: people who stand side by side need more
    evidence to be one. For the other arguments see :func:`average_linkage` and :func:`consolidate`.
    """
    cut = thresholds or (pack.thresholds if pack else ARCFACE)
    labels = average_linkage(
        embeddings, cut.cluster, weights=weights, must_link=must_link, cannot_link=cannot_link, names=names, progress=progress
    )
    if classic:
        return labels
    return consolidate(
        embeddings, labels, cut.consolidate, alike=cut.cluster,
        weights=weights, cannot_link=cannot_link, names=names, photos=photos, boxes=boxes, progress=progress,
    )[0]  # fmt: skip
