"""Room identity: the default clustering, average linkage and then consolidation. Pure: arrays in, arrays out."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from facesets.identity.arrays import Ints
from facesets.identity.consolidate import consolidate
from facesets.identity.linkage import average_linkage
from facesets.progress import Progress
from facesets.records import Cuts

ARCFACE = Cuts(match=0.45, cluster=0.55, consolidate=0.55, outlier=0.45, near_duplicate=0.08)
"""The reference's distances for InsightFace's ArcFace packs, and ours beside them."""


class HasCuts(Protocol):
    """A model pack, as far as its distances go."""

    @property
    def cuts(self) -> Cuts:
        """Its calibrated distances."""


def cluster(
    embeddings: ArrayLike,
    *,
    pack: HasCuts | None = None,
    cuts: Cuts | None = None,
    classic: bool = False,
    weights: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None,
    names: ArrayLike | None = None,
    photos: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Ints:
    """Labels (int64 [n], by first occurrence): average linkage below ``cuts.cluster``, fragments joined within ``cuts.consolidate``.

    The cuts are ``cuts``, else those of ``pack``, else :data:`ARCFACE`. ``classic`` is average linkage alone. ``names`` (int [n], -1
    unnamed) keeps consolidation from joining differently named people, ``photos`` (int [n]) from joining people who stand side by
    side; for the other arguments see :func:`average_linkage` and :func:`consolidate`.
    """
    cut = cuts or (pack.cuts if pack else ARCFACE)
    labels = average_linkage(embeddings, cut.cluster, weights=weights, cannot_link=cannot_link, progress=progress)
    if classic:
        return labels
    return consolidate(
        embeddings, labels, cut.consolidate,
        weights=weights, cannot_link=cannot_link, names=names, photos=photos, progress=progress,
    )[0]  # fmt: skip
