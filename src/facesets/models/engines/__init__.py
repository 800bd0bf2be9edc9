"""What runs a network. The one home of execution-provider quirks; packs know only this interface."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Network(Protocol):
    """A loaded network with one input."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The input's shape; None where any size goes."""

    @property
    def outputs(self) -> int:
        """How many outputs it has."""

    def run(self, x: Floats) -> list[Floats]:
        """All outputs for the input ``x``; may be called from several threads at once."""


class Engine(Protocol):
    """Something that loads networks."""

    @property
    def name(self) -> str:
        """What really runs, e.g. ``onnxruntime/CPU``."""

    @property
    def batches(self) -> bool:
        """Whether batches pay here. On a CPU they do not, and a result must not depend on what shares its batch."""

    def load(self, model: bytes | Path) -> Network:
        """A network from an ONNX file or its bytes; raises errors.PackUnavailable where it cannot be loaded."""
