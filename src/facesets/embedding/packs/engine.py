"""Embedding room: which engine runs a pack. Every engine other than the plain CPU has to show that it finds the same people.

The picture of the self-check is the head of the astronaut that scikit-image's wheel carries (NASA, public domain); where that
package is not installed, a drawn one without a face stands in, which still holds the recogniser to the CPU's vectors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from facesets.embedding.align import ARCFACE_112, Pixels
from facesets.embedding.decode import decode
from facesets.embedding.engines import Engine, Floats
from facesets.embedding.engines.openvino import OpenVino
from facesets.embedding.engines.ort import OnnxRuntime
from facesets.embedding.packs.detection import Detection, same_face
from facesets.embedding.packs.model import ModelPack, Pack
from facesets.embedding.packs.store import kept
from facesets.errors import PackUnavailable

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
# These build an engine for minutes for each shape; whoever wants that asks for it.
_NOT_UNASKED: Final = ("tensorrt", "migraphx")

ALIKE: Final = 0.999  # cosine to the CPU's vectors
_SIDE: Final = 288  # of the self-check's picture
_PACKAGES: Final = ("facesets", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "openvino")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a pack makes of the self-check's picture; ``milliseconds`` for finding and embedding its faces, the best of three."""

    faces: list[Detection]
    vectors: Floats  # of the faces found, then of one chip that is cut without a detector
    milliseconds: float

    def alike(self, reference: Seen) -> float:
        """The least cosine between the two's vectors; -1 where they do not show the same faces."""
        if len(self.faces) != len(reference.faces):
            return -1.0
        if not all(same_face(mine.box, its.box) for mine, its in zip(self.faces, reference.faces, strict=True)):
            return -1.0
        return float((self.vectors.astype(np.float64) * reference.vectors).sum(axis=1).min())


def look_at_picture(pack: Pack) -> Seen:
    """Run ``pack`` on the self-check's picture."""
    rgb = _picture()
    times = []
    for _ in range(4):  # the first call is for warming up
        started = time.perf_counter()
        faces = pack.detect(rgb)
        landmarks = np.array([*(face.landmarks for face in faces), np.add(ARCFACE_112, (88, 44))])
        vectors = pack.embed(rgb, landmarks).vectors
        times.append(time.perf_counter() - started)
    return Seen(faces, vectors, 1000 * min(times[1:]))


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

    ``auto`` is the fastest that is here and passes the self-check; what was found is kept, so that one machine does not change
    its mind. An engine that was asked for and does not pass raises errors.PackUnavailable.
    """
    if name != "auto" and name not in ENGINES:
        raise PackUnavailable(f"there is no engine {name!r}: choose auto, {', '.join(ENGINES)}")
    if name == "cpu":
        return load(ENGINES["cpu"](threads))
    here = available()
    if name == "auto":
        others = [other for other in here if other not in ("cpu", *_NOT_UNASKED)]
        if not others:
            return load(ENGINES["cpu"](threads))
        plain = load(ENGINES[_plain(here)](threads))
        name = _fastest(plain, others, load, threads, note)
        if name == _plain(here):
            return plain
        reference = look_at_picture(plain)
        try:
            return _checked(name, reference, load, threads, note)
        except PackUnavailable as error:
            note(f"engine: the plain CPU, because {error}")
            return plain
    return _checked(name, look_at_picture(load(ENGINES[_plain(here)](threads))), load, threads, note)


def available() -> list[str]:
    """The engines that this installation and processor have; the first is the plainest. Raises errors.PackUnavailable for none."""
    here = []
    for name, make in ENGINES.items():
        try:
            make(1)
        except PackUnavailable as error:
            missing = error
        else:
            here.append(name)
    if not here:
        raise missing
    return here


def _plain(here: list[str]) -> str:
    """The engine that the others are held to."""
    return "cpu" if "cpu" in here else here[0]


def _checked(name: str, reference: Seen, load: Callable[[Engine], ModelPack], threads: int, note: Note) -> ModelPack:
    engine = ENGINES[name](threads)
    pack = load(engine)
    seen = look_at_picture(pack)
    cosine = seen.alike(reference)
    if cosine < ALIKE:
        what = f"other vectors (cosine {cosine:.4f})" if cosine > -1 else "other faces"
        raise PackUnavailable(f"{engine.name} gives {what} on the self-check's picture than the CPU; {ALIKE} is asked for")
    note(f"engine: {engine.name}, {reference.milliseconds / seen.milliseconds:.1f} times the CPU's speed, cosine {cosine:.5f} to it")
    return pack


def _fastest(plain: ModelPack, others: list[str], load: Callable[[Engine], ModelPack], threads: int, note: Note) -> str:
    """The name of the fastest engine that passes, measured once for this machine, pack and versions."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    about = [platform.node(), platform.machine(), os.cpu_count(), plain.id, others, threads, versions]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    answer: dict[str, str] = json.loads(kept(f"engine-{key}.json", lambda: _measured(plain, others, load, threads, note)))
    return answer["engine"]


def _measured(plain: ModelPack, others: list[str], load: Callable[[Engine], ModelPack], threads: int, note: Note) -> bytes:
    reference = look_at_picture(plain)
    best, speed = _plain(available()), reference.milliseconds
    for name in others:
        try:
            seen = look_at_picture(load(ENGINES[name](threads)))
        except PackUnavailable as error:
            note(f"engine {name} is not used: {error}")
            continue
        cosine = seen.alike(reference)
        if cosine < ALIKE:
            note(f"engine {name} is not used: {'other faces' if cosine == -1 else f'cosine {cosine:.4f}'} against the CPU")
        elif seen.milliseconds < speed:
            best, speed = name, seen.milliseconds
    return json.dumps({"engine": best}).encode()
