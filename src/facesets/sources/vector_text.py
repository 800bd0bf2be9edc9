"""Sources room: vectors in pgvector's text form, ``[1,-0.5,2e-05]``, to the last bit. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facesets.errors import BadAnswer

Vector = npt.NDArray[np.float32]


def parse_vector(text: bytes) -> Vector:
    """The vector, float32 [d]. Raises BadAnswer where it is no list of numbers."""
    if text[:1] != b"[" or text[-1:] != b"]":
        raise BadAnswer("table face_search: a vector is no list of numbers")
    try:
        with np.errstate(over="ignore"):  # beyond float32: infinite, as whoever judges vectors sees
            return np.array(text[1:-1].split(b","), np.float32)
    except ValueError as err:
        raise BadAnswer("table face_search: a vector is no list of numbers") from err
