"""Embedding room: what a model pack is: a detector, an alignment, an embedder and its own calibrated distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy.typing as npt

from facesets.embedding.align import Pixels
from facesets.embedding.packs.age import Ages
from facesets.embedding.packs.detection import Detection
from facesets.embedding.packs.recognizer import Embedded, Recognizer
from facesets.records import Box, Cuts


class Detector(Protocol):
    """Finds faces."""

    def detect(self, rgb: Pixels, near: Sequence[Box] | None = None) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first; with ``near`` (boxes in its pixels) around these, as far as that saves work."""

    def part_near(self, width: int, height: int, near: Sequence[Box]) -> Box | None:
        """The part of a photo of this size that :meth:`detect` looks at with ``near``, in its pixels; None for all of it."""


@runtime_checkable
class LooksNear(Protocol):
    """A pack that can look at a part of a photo."""

    def detect_near(self, rgb: Pixels, near: Sequence[Box]) -> list[Detection]:
        """Faces around the boxes ``near`` in ``rgb`` uint8 [h, w, 3], best first."""

    def part_near(self, width: int, height: int, near: Sequence[Box]) -> Box | None:
        """The part of a photo of this size that :meth:`detect_near` looks at, in its pixels; None for all of it."""


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
    def cuts(self) -> Cuts:
        """Its calibrated distances."""

    @property
    def licence(self) -> str:
        """What its authors say about its use."""

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first."""

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Unit vectors float32 [k, d] of the faces at ``landmarks`` [k, 5, 2], and their norms."""


@runtime_checkable
class TellsAges(Protocol):
    """A pack that may estimate ages."""

    def ages(self, rgb: Pixels, boxes: Sequence[Box]) -> list[float] | None:
        """Years that the faces at ``boxes`` may be old; None where it brings no network for it."""


@dataclass(frozen=True, slots=True)
class ModelPack:
    """A pack of two networks that run here, or three."""

    name: str
    version: str
    cuts: Cuts
    licence: str
    detector: Detector
    recognizer: Recognizer
    age: Ages | None = None

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def dim(self) -> int:
        """The length of its vectors."""
        return self.recognizer.dim

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3], best first."""
        return self.detector.detect(rgb)

    def detect_near(self, rgb: Pixels, near: Sequence[Box]) -> list[Detection]:
        """Faces around the boxes ``near`` in ``rgb`` uint8 [h, w, 3], best first."""
        return self.detector.detect(rgb, near)

    def part_near(self, width: int, height: int, near: Sequence[Box]) -> Box | None:
        """The part of a photo of this size that :meth:`detect_near` looks at, in its pixels; None for all of it."""
        return self.detector.part_near(width, height, near)

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Unit vectors float32 [k, d] of the faces at ``landmarks`` [k, 5, 2], and their norms."""
        return self.recognizer.embed(rgb, landmarks)

    def ages(self, rgb: Pixels, boxes: Sequence[Box]) -> list[float] | None:
        """Years that the faces at ``boxes`` may be old; None where the pack brings no network for it."""
        return None if self.age is None else self.age.ages(rgb, boxes)
