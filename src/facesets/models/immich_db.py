"""The pack whose vectors Immich has made already. They come from its database; nothing is computed here.

Immich measures faces on its preview pictures, so these vectors are a pack of their own, named after the model that Immich runs. Where
the same model can be had here too, it reads what no database knows: the images of sets that were there before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy.typing as npt

from facesets.errors import PackUnavailable
from facesets.models.detection import Detection
from facesets.models.licences import INSIGHTFACE
from facesets.models.pack import Pack
from facesets.models.recognizer import Embedded
from facesets.photos import Pixels
from facesets.records import Thresholds
from facesets.thresholds import ARCFACE

NAME: Final = "immich-db"


def from_database(pack: str) -> bool:
    """Whether the pack that is called or identified so is this one."""
    return pack.partition("@")[0].partition(":")[0] == NAME


class ImmichDb:
    """Immich's own vectors of ``model``; ``load`` gives the same model as a pack here, or raises PackUnavailable."""

    name = NAME
    dim = 512  # of every model that Immich offers for faces, as its database has it
    thresholds: Thresholds = ARCFACE
    licence = INSIGHTFACE
    engine = "unknown"  # which provider Immich used is not in its database

    def __init__(self, model: str, load: Callable[[], Pack]) -> None:
        self.version = model
        self._load = load
        self._reader: Pack | None = None

    @property
    def id(self) -> str:
        """``name@version``, the version being the model's name: Immich does not tell which weights those are."""
        return f"{self.name}@{self.version}"

    def detect(self, rgb: Pixels) -> list[Detection]:
        """With the same model on this machine. Raises errors.PackUnavailable where it is not."""
        return self._same_model().detect(rgb)

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """With the same model on this machine. Raises errors.PackUnavailable where it is not."""
        return self._same_model().embed(rgb, landmarks)

    def _same_model(self) -> Pack:
        if self._reader is None:
            self._reader = self._load()
            if self._reader.dim != self.dim:
                raise PackUnavailable(f"{self._reader.id} makes vectors of {self._reader.dim} numbers, Immich's have {self.dim}")
        return self._reader
