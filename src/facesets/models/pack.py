"""What a model pack is: a detector, an alignment, an embedder and its own calibrated distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy.typing as npt

from facesets.models.age import Ages
from facesets.models.detection import Detection, detect_in_parts
from facesets.models.recognizer import Embedded, Recognizer
from facesets.photos import Pixels
from facesets.records import Box, Thresholds


class Detector(Protocol):
    """Finds faces."""

    def detect(self, rgb: Pixels, regions: Sequence[Box] | None = None) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first; with ``regions`` (boxes, in its pixels) near those only, as that saves work."""


@runtime_checkable
class RegionDetector(Protocol):
    """A pack that can search a part of a photo."""

    def detect_in(self, rgb: Pixels, regions: Sequence[Box]) -> list[Detection]:
        """Faces around the boxes ``regions`` in ``rgb`` uint8 [h, w, 3], best first."""


@runtime_checkable
class NearDetector(Protocol):
    """A pack that measures only faces which it found itself, and has to be told where else to look."""

    def detect_near(self, rgb: Pixels, part: tuple[int, int, int, int], is_wanted: Callable[[Box], bool]) -> Detection | None:
        """The best wanted face in ``part`` (x1, y1, x2, y2) of ``rgb``, in its pixels, for ``embed`` to know; None where none is."""


class Pack(Protocol):
    """What the rest of the house knows of a model pack."""

    @property
    def name(self) -> str:
        """What ``--pack`` calls it."""

    @property
    def version(self) -> str:
        """Changes whenever its vectors would."""

    @property
    def id(self) -> str:
        """``name@version``: vectors of different ids never meet."""

    @property
    def dim(self) -> int:
        """The length of its vectors."""

    @property
    def thresholds(self) -> Thresholds:
        """Its calibrated distances."""

    @property
    def licence(self) -> str:
        """What its authors say about its use."""

    @property
    def engine(self) -> str:
        """What runs its networks, e.g. ``onnxruntime/CPU``; ``unknown`` where vectors came without a word about it."""

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first."""

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Unit vectors float32 [k, d] of the faces at ``landmarks`` [k, 5, 2], and their norms."""


@runtime_checkable
class AgeEstimator(Protocol):
    """A pack that may estimate ages."""

    def ages(self, rgb: Pixels, boxes: Sequence[Box]) -> list[float] | None:
        """Years that the faces at ``boxes`` may be old; None where it brings no network for it."""


@dataclass(frozen=True, slots=True)
class ModelPack:
    """A pack of two networks that run here, or three."""

    name: str
    version: str
    thresholds: Thresholds
    licence: str
    detector: Detector
    recognizer: Recognizer
    age: Ages | None = None
    engine: str = "unknown"

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def dim(self) -> int:
        """The length of its vectors."""
        return self.recognizer.dim

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first; a picture far from square is gone through in overlapping parts, too."""
        return detect_in_parts(rgb, self.detector.detect)

    def detect_in(self, rgb: Pixels, regions: Sequence[Box]) -> list[Detection]:
        """Faces around the boxes ``regions`` in ``rgb`` uint8 [h, w, 3], best first."""
        return self.detector.detect(rgb, regions)

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Unit vectors float32 [k, d] of the faces at ``landmarks`` [k, 5, 2], and their norms."""
        return self.recognizer.embed(rgb, landmarks)

    def ages(self, rgb: Pixels, boxes: Sequence[Box]) -> list[float] | None:
        """Years that the faces at ``boxes`` may be old; None where the pack brings no network for it."""
        return None if self.age is None else self.age.ages(rgb, boxes)
