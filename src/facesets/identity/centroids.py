"""Identity: by which averages a person is known. Pure: arrays in, arrays out.

The mean of all faces, weighted by their quality; and, as looks move, one for every few years of photos, where these are dense enough to
tell a look from a photo. A face is as near to a person as to the nearest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import Floats, centroid
from facesets.identity.dates import year_of

YEARS = 3  # benchmarks/recognition.py chooses them by cross-validation over people
EVER = 9999
DENSE = 5  # faces that a span needs


@dataclass(frozen=True, slots=True)
class SpanCentroid:
    """The centroid (float64 [d]) of ``n`` faces of photos from ``first`` to ``last``, years both included; of all: 0 to ``EVER``."""

    first: int
    last: int
    n: int
    vector: NDArray[np.float64]


def spans_of(
    vectors: Floats, weights: Floats, taken_at: Sequence[str | None], *, years: int = YEARS, dense: int = DENSE
) -> list[SpanCentroid]:
    """The centroid of all faces, and those of spans of ``years`` with at least ``dense`` faces, oldest first.

    ``vectors`` [n, d] in canonical order, ``weights`` [n], ``taken_at`` ISO 8601, or None where no date is known. A span that has all
    faces is no other than all.
    """
    known = np.array([year_of(when) or 0 for when in taken_at], dtype=np.int64)
    out = [SpanCentroid(0, EVER, len(known), centroid(vectors, weights if np.any(weights) else None))]
    for block in np.unique(known[known > 0] // years).tolist():
        rows = np.flatnonzero((known > 0) & (known // years == block))
        if dense <= len(rows) < len(known) and weights[rows].any():
            out.append(SpanCentroid(block * years, block * years + years - 1, len(rows), centroid(vectors[rows], weights[rows])))
    return out
