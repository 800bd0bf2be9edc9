"""The doctor: what works, and what is to be mended before a run."""

from __future__ import annotations

from facesets.doctor.examine import examine
from facesets.doctor.features import FEATURES
from facesets.doctor.findings import PROBLEM, Finding

__all__ = ["FEATURES", "PROBLEM", "Finding", "examine"]
