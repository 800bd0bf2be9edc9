"""What each engine of this machine makes of a pack: speed, and likeness to the CPU. Pure but for the networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from facesets.errors import PackUnavailable
from facesets.models.engine_choice import ALIKE, ENGINES, CheckResult, self_check
from facesets.models.engines import Engine
from facesets.models.pack import ModelPack

_FACES = 8  # in a call, where batches pay


@dataclass(frozen=True, slots=True)
class Measured:
    """An engine's line: milliseconds for finding faces in a photo and for embedding one face, cosine to the CPU's vectors."""

    engine: str  # as settings name it
    runs: str = ""  # what really ran
    detection_ms: float = 0.0
    recognition_ms: float = 0.0
    cosine: float = 0.0
    problem: str = ""  # why it is not here, or must not be used

    def times_as_fast(self, plain: Measured) -> tuple[float, float]:
        """How many times the speed of ``plain``: finding, embedding. 0 where it did not run."""
        if not (self.detection_ms and self.recognition_ms):
            return 0.0, 0.0
        return plain.detection_ms / self.detection_ms, plain.recognition_ms / self.recognition_ms


def measure_engines(load: Callable[[Engine], ModelPack], *, threads: int = 1, repeats: int = 5) -> list[Measured]:
    """A line for each of :data:`ENGINES`, the plain CPU first; with ``threads`` inside a call."""
    lines: list[Measured] = []
    reference: CheckResult | None = None
    for name, make in ENGINES.items():
        try:
            engine = make(threads)
            pack = load(engine)
            seen = self_check(pack)
            detection, recognition = _times(pack, repeats)
        except PackUnavailable as error:
            lines.append(Measured(name, problem=str(error)))
            continue
        reference = reference or seen
        cosine = seen.min_cosine(reference)
        problem = "" if cosine >= ALIKE else "other faces than the CPU's" if cosine == -1 else f"vectors less alike than {ALIKE}"
        lines.append(Measured(name, engine.name, round(detection, 2), round(recognition, 2), round(cosine, 6), problem))
    return lines


def _times(pack: ModelPack, repeats: int) -> tuple[float, float]:
    """Milliseconds for a photo of 4:3 and for a face, medians."""
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (480, 640, 3), np.uint8)
    side = pack.recognizer.size
    faces = random.integers(0, 256, (_FACES if pack.recognizer.batch > 1 else 1, side, side, 3), np.uint8)
    finding = _median(lambda: pack.detect(photo), repeats)
    return finding, _median(lambda: pack.recognizer.embed_chips(faces), repeats) / len(faces)


def _median(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return median(times[1:])
