"""A pack without networks, for vectors that other programs made: by another machine, or by the photos' own source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy.typing as npt

from facesets.errors import PackUnavailable
from facesets.models.detection import Detection
from facesets.models.licences import licence_of
from facesets.models.recognizer import Embedded
from facesets.photos import Pixels
from facesets.records import Thresholds
from facesets.thresholds import thresholds_of


@dataclass(frozen=True, slots=True)
class VectorsOnly:
    """What is known of a model whose vectors are here and whose networks are not."""

    id: str
    dim: int
    engine: str = "unknown"

    @property
    def name(self) -> str:
        """What ``--pack`` calls it."""
        return self.id.split("@", maxsplit=1)[0]

    @property
    def version(self) -> str:
        """Changes whenever its vectors would."""
        return self.id.partition("@")[2]

    @property
    def thresholds(self) -> Thresholds:
        """Its calibrated distances."""
        return thresholds_of(self.id)

    @property
    def licence(self) -> str:
        """What its authors say about its use."""
        return licence_of(self.id)

    def detect(self, rgb: Pixels) -> list[Detection]:  # noqa: ARG002 - the protocol's names
        """Raises errors.PackUnavailable."""
        self._missing()

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:  # noqa: ARG002 - the protocol's names
        """Raises errors.PackUnavailable."""
        self._missing()

    def _missing(self) -> NoReturn:
        raise PackUnavailable(
            f"of {self.id} the vectors are here, and the model itself is not: photos and existing sets of plain images cannot be read "
            'with it. Is it in a folder of yours? Say --pack FOLDER, or put the line  pack = "FOLDER"  under [embed] in '
            "facesets.toml. Else install it, or embed them where it is."
        )
