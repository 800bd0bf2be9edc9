"""The distances that go with each model pack: the one table of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facesets.records import Thresholds

#: The reference's match and cluster for ArcFace vectors, whose false-match rate benchmarks/calibrate_packs.py states; consolidate and
#: margin as benchmarks/quality.py chooses them by cross-validation over people and families.
ARCFACE: Final = Thresholds(match=0.45, likely=0.6, margin=0.12, cluster=0.55, consolidate=0.08, near_duplicate=0.08)

#: By a pack's name; every other pack is one of ArcFace vectors. Measured by benchmarks/calibrate_packs.py; the figures stand in
#: docs/explanation/packs.md.
THRESHOLDS: Final[Mapping[str, Thresholds]] = {
    "open": Thresholds(match=0.16, likely=0.184, margin=0.043, cluster=0.21, consolidate=0.0, near_duplicate=0.03),
    "mobileface": Thresholds(match=0.36, likely=0.414, margin=0.097, cluster=0.47, consolidate=0.08, near_duplicate=0.06),
}


def thresholds_of(pack: str) -> Thresholds:
    """The calibrated distances of the pack with this name or id (``name@version``)."""
    return THRESHOLDS.get(pack.partition("@")[0], ARCFACE)
