"""What all modules of this room speak of: a face on its way to a consumer, its pixels, and what the consumer is for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facesets.identity import year_of
from facesets.records import Box, Face
from facesets.registry import AssetRow

Pixels = npt.NDArray[np.uint8]


class Purpose(StrEnum):
    """What the consumer does with faces. ``GENERATE`` needs a record that the person agreed."""

    RECOGNISE = "recognise"
    GENERATE = "generate"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A face of a set. ``crop`` is its file in the set's folder; ``vector`` float32 [d], unit length."""

    face: Face
    vector: npt.NDArray[np.float32]
    distance: float
    crop: Path | None
    asset: AssetRow | None  # None: an image of the owner's own, which is its own photo
    taken_at: str | None
    others: tuple[Box, ...]  # of other faces in the photo

    @property
    def key(self) -> str:
        """A short name that follows from the face."""
        return self.face.face_id[:12]

    @property
    def year(self) -> int | None:
        """When the photo was taken; None where its date says nothing."""
        return year_of(self.taken_at)

    @property
    def quality(self) -> float:
        """How good a picture of the face is, 0 to 1: size, sharpness, frontal, evenly lit, sure to be a face."""
        face, signals = self.face, self.face.signals
        size = min(face.face_short / 256, 1.0)
        sharp = min((face.sharpness if face.sharpness is not None else 30.0) / 60, 1.0)
        frontal = float(np.cos(np.radians(min(abs(signals.get("yaw", 0.0)), 90.0))))
        light = 1 - abs(signals.get("exposure", 0.5) - 0.5) - signals.get("clipped", 0.0)
        score = face.det_score if face.det_score is not None else 0.7
        product = size * sharp * frontal * max(light, 0.1) * score
        return round(float(np.sqrt(max(product, 0.0))), 6)
