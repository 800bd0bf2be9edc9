"""Room identity: which face of a set comes first. Pure: arrays in, arrays out.

Best first means quality and variety. Quality is the mean of what speaks for a face, each from 0 to 1: its size (short side, full
from 256 px on), the detector's score, its sharpness (the share of the group that is not sharper: sharpness has no unit) and, within
a set, how typical it is (1 at the centroid, 0 at the outlier distance). What is not known counts one half. The first face is the one
of highest quality; each next one has the highest quality x variety, where variety is the distance to the nearest face already chosen
(full from half the cluster distance on), and less by 30 % if a chosen face is of the same day. After the first ``DIVERSE`` the rest
follow by quality. Ties go to the face that comes first in canonical order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesets.identity.arrays import Floats, Ints
from facesets.identity.match import DECIMALS
from facesets.identity.table import FaceTable
from facesets.records import Cuts

FULL_SIZE = 256.0
SAME_DAY = 0.7
DIVERSE = 256  # consumers take 8 to 30; beyond this the order of a big set tells nothing


def quality(table: FaceTable, typical: Floats | None = None) -> NDArray[np.float64]:
    """Quality of each face among these, 0 to 1: float64 [n], rounded to 6 decimals."""
    sharp = table.sharpness
    known = np.sort(sharp[np.isfinite(sharp)])
    share = np.searchsorted(known, sharp, side="right") / max(len(known), 1)
    terms = [np.minimum(table.face_short / FULL_SIZE, 1), np.clip(table.det_score, 0, 1), np.where(np.isfinite(sharp), share, np.nan)]
    if typical is not None:
        terms.append(np.clip(typical, 0, 1))
    stack = np.stack(terms)
    out: NDArray[np.float64] = np.round(np.where(np.isfinite(stack), stack, 0.5).mean(axis=0), DECIMALS)
    return out


def rank(table: FaceTable, distance: Floats, cuts: Cuts) -> Ints:
    """The rows of a set (``table`` in canonical order, ``distance`` [n] to its centroid), best first: int64 [n]."""
    n = len(table)
    q = quality(table, 1 - distance / max(cuts.outlier, 1e-9))
    rest = np.ones(n, dtype=bool)
    variety = np.ones(n)
    day = np.ones(n)
    x = table.vectors.astype(np.float64)
    half = np.add.reduce(x * x, axis=1) / 2  # once, not for every face that is chosen
    days = np.array([(t or "")[:10] for t in table.taken_at], dtype="U10")
    order: list[int] = []
    while len(order) < min(n, DIVERSE):
        best = int(np.argmax(np.where(rest, np.round(q * variety * day, DECIMALS), -1)))
        order.append(best)
        rest[best] = False
        away = np.round(np.maximum(half + half[best] - x @ x[best], 0.0), DECIMALS)
        variety = np.minimum(variety, np.minimum(away / max(cuts.cluster / 2, 1e-9), 1))
        if days[best]:
            day[days == days[best]] = SAME_DAY
    left = np.flatnonzero(rest)
    return np.array([*order, *left[np.lexsort((left, -q[left]))].tolist()], dtype=np.int64)
