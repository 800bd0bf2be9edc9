"""Embedding room: a pack without networks, for vectors that were made elsewhere: by another machine, or by the photos' own source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy.typing as npt

from facesets.embedding.align import Pixels
from facesets.embedding.packs import insight
from facesets.embedding.packs import open as open_
from facesets.embedding.packs.detection import Detection
from facesets.embedding.packs.recognizer import Embedded
from facesets.errors import PackUnavailable
from facesets.records import Cuts


@dataclass(frozen=True, slots=True)
class VectorsOnly:
    """What is known of a model whose vectors are here and whose networks are not."""

    id: str
    dim: int

    @property
    def name(self) -> str:
        """What ``--pack`` calls it."""
        return self.id.split("@", maxsplit=1)[0]

    @property
    def version(self) -> str:
        """Changes whenever its vectors would."""
        return self.id.partition("@")[2]

    @property
    def cuts(self) -> Cuts:
        """The open pack's own distances, else ArcFace's."""
        return open_.CUTS if self.name == "open" else insight.CUTS

    @property
    def licence(self) -> str:
        """What its authors say about its use."""
        return open_.LICENCE if self.name == "open" else insight.LICENCE

    def detect(self, rgb: Pixels) -> list[Detection]:  # noqa: ARG002 - the protocol's names
        """Raises errors.PackUnavailable."""
        self._missing()

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:  # noqa: ARG002 - the protocol's names
        """Raises errors.PackUnavailable."""
        self._missing()

    def _missing(self) -> NoReturn:
        raise PackUnavailable(
            f"the vectors of {self.id} came from elsewhere, and the model itself is not on this machine: photos and existing sets of "
            "plain images cannot be read with it here. Install it, or embed them where it is."
        )
