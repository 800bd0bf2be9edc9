"""How good a clustering is against labels, and which detected face a label means. Pure.

Judge by B-cubed (Bagga & Baldwin 1998): it asks of every face how pure and how whole its cluster is, so that a few giant identities do
not decide, as they do in pair scores and the adjusted Rand index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from facesets.clustering.arrays import Floats, in_order_of_first
from facesets.clustering.centroids import centroid, distances
from facesets.records import Box

LARGE = 0.5  # a face counts as large if its short side is at least this share of the largest one's
MARGIN = 0.1  # the labelled person's face must be nearer to their centroid than any other face of the photo by this distance


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """The harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True, slots=True)
class Identity:
    """One labelled person: faces, clusters they are in (and how many of those hold ``sizeable`` or more of them), B-cubed score."""

    name: str
    faces: int
    clusters: int
    sizeable: int
    score: Score


def _table(labels: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """For each face: faces of its cluster and truth, of its cluster, of its truth."""
    a, b = in_order_of_first(labels), in_order_of_first(truth)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} labels for {len(b)} truths")
    cell = np.unique(a * (b.max(initial=0) + 1) + b, return_inverse=True)[1].reshape(-1)
    return tuple(np.bincount(v)[v].astype(np.float64) for v in (cell, a, b))  # type: ignore[return-value]


def per_face(labels: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """What B-cubed asks of each face: how pure its cluster is, and how much of its person is in it; float64 [n] each."""
    both, mine, theirs = _table(labels, truth)
    return both / mine, both / theirs


def b_cubed(labels: ArrayLike, truth: ArrayLike) -> Score:
    """B-cubed of cluster ``labels`` [n] against ``truth`` [n]; 1.0 where there is nothing to score."""
    pure, whole = per_face(labels, truth)
    return Score(float(pure.mean()), float(whole.mean())) if len(pure) else Score(1.0, 1.0)


def pairwise(labels: ArrayLike, truth: ArrayLike) -> Score:
    """Precision and recall over pairs of faces; 1.0 where no pair is to be found."""
    both, mine, theirs = _table(labels, truth)
    hit, found, there = (float((v - 1).sum()) for v in (both, mine, theirs))
    return Score(hit / found if found else 1.0, hit / there if there else 1.0)


def per_identity(labels: ArrayLike, truth: Sequence[str], *, sizeable: int = 5) -> tuple[Identity, ...]:
    """The score of every person in ``truth``, most faces first, then by name."""
    cluster, person = in_order_of_first(labels), np.array(truth, dtype=object).astype(str)
    pure, whole = per_face(labels, person)
    out = []
    for name in np.unique(person):
        at = person == name
        _, counts = np.unique(cluster[at], return_counts=True)
        score = Score(float(pure[at].mean()), float(whole[at].mean()))
        out.append(Identity(str(name), int(at.sum()), len(counts), int((counts >= sizeable).sum()), score))
    return tuple(sorted(out, key=lambda i: (-i.faces, i.name)))


def main_face(boxes: Sequence[Box], width: float, height: float) -> int | None:
    """The face a photo's label means: the one nearest to the middle among the large ones; None where there is no face."""
    if not boxes:
        return None
    short = [min(x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes]
    away = [((x1 + x2 - width) ** 2 + (y1 + y2 - height) ** 2, i) for i, (x1, y1, x2, y2) in enumerate(boxes)]
    return min((d, i) for d, i in away if short[i] >= LARGE * max(short))[1]


def persons_in_photos(photos: Sequence[Floats], names: Sequence[str], *, margin: float = MARGIN) -> tuple[list[int | None], int]:
    """Which face of each photo is the person the photo is labelled with, and how many photos were left out as ambiguous.

    ``photos`` holds the vectors [m, d] of each photo's faces, ``names`` whom each shows. Photos with one face give the person's
    centroid; in the others it is the face nearest to it, if it is nearer than the next by ``margin``. Photos without a face are None
    and not counted as ambiguous; photos of a person never seen alone are.
    """
    chosen: list[int | None] = [0 if len(v) == 1 else None for v in photos]
    alone: dict[str, list[Floats]] = {}
    for vectors, name in zip(photos, names, strict=True):
        if len(vectors) == 1:
            alone.setdefault(name, []).append(vectors[0])
    centres = {name: centroid(np.stack(v)) for name, v in alone.items()}
    ambiguous = 0
    for i, (vectors, name) in enumerate(zip(photos, names, strict=True)):
        if len(vectors) < 2:
            continue
        d = distances(vectors, centres[name][None])[:, 0] if name in centres else np.zeros(len(vectors))
        best, second = np.sort(d)[:2]
        if second - best >= margin:
            chosen[i] = int(np.argmin(d))
        else:
            ambiguous += 1
    return chosen, ambiguous
