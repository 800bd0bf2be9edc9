"""Identity: which face of a set comes first. Pure: arrays in, arrays out.

Best first means quality and variety. Quality is the mean of what speaks for a face, each from 0 to 1: its size (short side, full
from 256 px on), the detector's score, its sharpness (the share of the group that is not sharper: sharpness has no unit) and, within
a set, how typical it is (1 at the centroid, 0 at the likely distance). What is not known counts one half. A dark or blown-out face
counts less by as much as it lacks: nothing from black to ``DARK`` and above ``BRIGHT``, wholly from ``LIT`` to ``FAIR``. The first face
is the one of highest quality; each next one has the highest quality x variety, where variety is the distance to the nearest face
already chosen (full from half the cluster distance on), and less by 30 % if a chosen face is of the same day. After the first
``DIVERSE`` the rest follow by quality, and after all of these the faces whose crop would show somebody else, too. Ties go to the face
that comes first in canonical order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import DECIMALS, Floats, Ints
from facesets.identity.table import FaceTable
from facesets.records import Thresholds

FULL_SIZE = 256.0
SAME_DAY = 0.7
DARK, LIT, FAIR, BRIGHT = 0.08, 0.22, 0.85, 0.97  # mean brightness: trapezium
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
    out: NDArray[np.float64] = np.round(np.where(np.isfinite(stack), stack, 0.5).mean(axis=0) * _lit(table), DECIMALS)
    return out


def _lit(table: FaceTable) -> NDArray[np.float64]:
    """1 for a well exposed face, falling to 0 where it is black or white; 1 where it is not known."""
    if table.exposure is None:
        return np.ones(len(table))
    lit = np.interp(table.exposure, (DARK, LIT, FAIR, BRIGHT), (0.0, 1.0, 1.0, 0.0))
    out: NDArray[np.float64] = np.where(np.isfinite(table.exposure), lit, 1.0)
    return out


def rank(table: FaceTable, distance: Floats, thresholds: Thresholds) -> Ints:
    """The rows of a set (``table`` in canonical order, ``distance`` [n] to its centroid), best first: int64 [n]."""
    n = len(table)
    q = quality(table, 1 - distance / max(thresholds.likely, 1e-9))
    crowded = np.zeros(n, dtype=bool) if table.others_in_crop is None else table.others_in_crop > 0
    rest = ~crowded
    variety = np.ones(n)
    day = np.ones(n)
    x = table.vectors.astype(np.float64)
    half = np.add.reduce(x * x, axis=1) / 2  # once, not for every face that is chosen
    days = np.array([(t or "")[:10] for t in table.taken_at], dtype="U10")
    order: list[int] = []
    while len(order) < min(int((~crowded).sum()), DIVERSE):
        best = int(np.argmax(np.where(rest, np.round(q * variety * day, DECIMALS), -1)))
        order.append(best)
        rest[best] = False
        away = np.round(np.maximum(half + half[best] - x @ x[best], 0.0), DECIMALS)
        variety = np.minimum(variety, np.minimum(away / max(thresholds.cluster / 2, 1e-9), 1))
        if days[best]:
            day[days == days[best]] = SAME_DAY
    left = np.flatnonzero(rest | crowded)
    return np.array([*order, *left[np.lexsort((left, -q[left], crowded[left]))].tolist()], dtype=np.int64)
