"""Which engine runs a pack. Every engine other than the plain CPU has to show that it finds the same people.

``auto`` is decided by what this machine has, never by a clock, and once: the same photos get the same bytes on one machine until its
user names another engine.

The picture of the self-check is the head of the astronaut that scikit-image's wheel carries (NASA, public domain); where that
package is not installed, a drawn one without a face stands in, which still holds the recogniser to the CPU's vectors.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from facesets import extras
from facesets.errors import PackUnavailable, UsageError
from facesets.models.detection import Detection, same_face
from facesets.models.engines import Engine, Floats
from facesets.models.engines.openvino import OpenVino
from facesets.models.engines.ort import OnnxRuntime
from facesets.models.pack import ModelPack, Pack
from facesets.models.store import recall, remember
from facesets.photos import ARCFACE_112, Pixels, decode

Note = Callable[[str], None]

ENGINES: Final[Mapping[str, Callable[[int], Engine]]] = {
    "cpu": lambda threads: OnnxRuntime("CPU", threads=threads),
    "cuda": lambda threads: OnnxRuntime("CUDA", threads=threads),
    "tensorrt": lambda threads: OnnxRuntime("Tensorrt", threads=threads),
    "migraphx": lambda threads: OnnxRuntime("MIGraphX", threads=threads),
    "directml": lambda threads: OnnxRuntime("Dml", threads=threads),
    "coreml": lambda threads: OnnxRuntime("CoreML", threads=threads),
    "onnxruntime-openvino": lambda threads: OnnxRuntime("OpenVINO", threads=threads),
    "openvino": lambda threads: OpenVino("f32", threads=threads),
    "openvino-bf16": lambda threads: OpenVino("bf16", threads=threads),
}
# What ``auto`` takes where it is here, the first first; else the plain CPU. TensorRT and MIGraphX build an engine for minutes for each
# shape, and OpenVINO gives the CPU's vectors in other bytes: whoever wants one of those asks for it.
_ACCELERATORS: Final = ("cuda", "directml", "coreml")

ALIKE: Final = 0.999  # cosine to the CPU's vectors
_CHOICES: Final = "engines.json"
_SIDE: Final = 288  # of the self-check's picture


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a pack makes of the self-check's picture."""

    faces: list[Detection]
    vectors: Floats  # of the faces found, then of one chip that is cut without a detector

    def min_cosine(self, reference: CheckResult) -> float:
        """The least cosine between the two's vectors; -1 where they do not show the same faces."""
        if len(self.faces) != len(reference.faces):
            return -1.0
        if not all(same_face(mine.box, its.box) for mine, its in zip(self.faces, reference.faces, strict=True)):
            return -1.0
        return float((self.vectors.astype(np.float64) * reference.vectors).sum(axis=1).min())


def self_check(pack: Pack) -> CheckResult:
    """Run ``pack`` on the self-check's picture."""
    rgb = _picture()
    faces = pack.detect(rgb)
    landmarks = np.array([*(face.landmarks for face in faces), np.add(ARCFACE_112, (88, 44))])
    return CheckResult(faces, pack.embed(rgb, landmarks).vectors)


def _picture() -> Pixels:
    found = importlib.util.find_spec("skimage")  # finds the folder without importing the package
    path = Path(found.origin).parent / "data" / "astronaut.png" if found and found.origin else None
    if path is not None and path.is_file():
        return np.ascontiguousarray(decode(path).rgb[:_SIDE, 64 : 64 + _SIDE])
    drawn = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    picture: Pixels = cv2.resize(drawn, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return picture


def on_engine(name: str, load: Callable[[Engine], ModelPack], *, threads: int = 1, note: Note = lambda _: None) -> ModelPack:
    """The pack that ``load`` makes, on the engine called ``name``: a key of :data:`ENGINES`, or ``auto``.

    ``auto`` is an accelerator that is here and passes the self-check, else the CPU; what was chosen for a pack is kept on this machine.
    Raises errors.PackUnavailable for an engine that is not here or does not pass, errors.UsageError where that is the kept choice.
    """
    if name != "auto" and name not in ENGINES:
        raise PackUnavailable(f"there is no engine {name!r}: choose auto, {', '.join(ENGINES)}")
    if name == "cpu":
        return load(ENGINES["cpu"](threads))
    here = available()
    plain = load(ENGINES[_plain(here)](threads))
    if name != "auto":
        return _checked(name, self_check(plain), load, threads, note)
    choice = f"{platform.node()} {plain.id}"
    kept = recall(_CHOICES, choice)
    if kept == _plain(here):
        return plain
    if kept is not None:
        try:
            return _checked(kept, self_check(plain), load, threads, note)
        except (PackUnavailable, KeyError) as error:
            raise UsageError(
                f"this machine runs {plain.id} with the engine {kept}, which cannot be used now: {error}. Mend that, or choose another "
                'engine, whose vectors have other bytes: engine = "cpu" under [embed] in facesets.toml, or FACESETS_ENGINE=cpu'
            ) from error
    pack = _first_that_passes([other for other in _ACCELERATORS if other in here], plain, load, threads, note)
    remember(_CHOICES, choice, pack[0])
    return pack[1]


def _first_that_passes(
    names: list[str], plain: ModelPack, load: Callable[[Engine], ModelPack], threads: int, note: Note
) -> tuple[str, ModelPack]:
    for name in names:
        try:
            return name, _checked(name, self_check(plain), load, threads, note)
        except PackUnavailable as error:
            note(f"engine {name} is not used: {error}")
    return _plain(available()), plain


def available() -> list[str]:
    """The engines that this installation and processor have; the first is the plainest. Raises errors.PackUnavailable for none."""
    here = []
    for name, make in ENGINES.items():
        try:
            make(1)
        except PackUnavailable:
            continue
        here.append(name)
    if not here:
        raise PackUnavailable(f"nothing is installed that runs networks: {extras.get('open')}")
    return here


def _plain(here: list[str]) -> str:
    """The engine that the others are held to."""
    return "cpu" if "cpu" in here else here[0]


def _checked(name: str, reference: CheckResult, load: Callable[[Engine], ModelPack], threads: int, note: Note) -> ModelPack:
    engine = ENGINES[name](threads)
    pack = load(engine)
    cosine = self_check(pack).min_cosine(reference)
    if cosine < ALIKE:
        what = f"other vectors (cosine {cosine:.4f})" if cosine > -1 else "other faces"
        raise PackUnavailable(f"{engine.name} gives {what} on the self-check's picture than the CPU; {ALIKE} is asked for")
    note(f"engine: {engine.name}; cosine {cosine:.5f} to the CPU's vectors")
    return pack
