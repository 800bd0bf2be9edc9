"""What embedding costs beside InsightFace's own loop, in CPU seconds on one thread, and how much memory it takes.

    python -m benchmarks.embed [--photos 6] [--rounds 3] [--workers 1] [--only VARIANT] [--json]

Photos of 12 megapixels with three faces each, and a pack with the shapes and cost of buffalo_l and random weights. Random networks
find nobody, so both sides run theirs and are then given the same boxes and landmarks. Each variant runs in a process of its own:

    reference        cv2.imread, then InsightFace's FaceAnalysis.get: whole photo at 640 x 640, all five networks
    whole            facesets without known boxes: whole photo at 128 and 640, two networks
    cpu, ...         facesets with the faces' boxes known, on that engine (those that this machine has)
    open             facesets with the open pack (other networks, real weights) and known boxes
    floor ENGINE     the networks alone: three recognitions, and what is looked at around three known boxes

CPU time of the processes that decode photos is counted, too. Ratios are the reference's time divided by the variant's, of CPU time
and of wall time. With an accelerator wall time is what counts, more ``--workers`` fill its batches, and the reference runs there, too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.heavy_twins import heavy_twin_pack
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import EmbedResult, embed_photos
from facesets.models.detection import Detection
from facesets.models.engine_choice import available
from facesets.models.load import load_pack
from facesets.models.pack import Detector, ModelPack
from facesets.photos.align import ARCFACE_112, Pixels
from facesets.photos.decoder_pool import DecoderPool
from facesets.records import Box

WIDTH, HEIGHT = 4000, 3000
BOXES: tuple[Box, ...] = ((700, 900, 980, 1260), (1900, 700, 2240, 1120), (3000, 1100, 3260, 1430))


def landmarks(box: Box) -> tuple[tuple[float, float], ...]:
    """Five points in ``box`` where a face would have them."""
    span = (ARCFACE_112 - ARCFACE_112.min(axis=0)) / np.ptp(ARCFACE_112, axis=0)
    low, size = np.array(box[:2]), np.array([box[2] - box[0], box[3] - box[1]])
    return tuple((float(x), float(y)) for x, y in low + size * (0.28 + 0.44 * span))


@dataclass(frozen=True)
class Given:
    """A detector that does its work and is then given what is there."""

    detector: Detector

    def detect(self, rgb: Pixels, near: Sequence[Box] | None = None) -> list[Detection]:
        """The three faces, whatever the network says."""
        self.detector.detect(rgb, near)
        scale = rgb.shape[1] / WIDTH
        scaled: list[Box] = [(x1 * scale, y1 * scale, x2 * scale, y2 * scale) for x1, y1, x2, y2 in BOXES]
        return [Detection(box, 0.9, landmarks(box)) for box in scaled]


def draw(folder: Path, count: int) -> None:
    """Photos with detail at every scale, about as large on disk as a phone's."""
    for number in range(count):
        random = np.random.default_rng(number)
        photo = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        for octave in range(9):
            rows, columns = 3 << octave, 4 << octave
            noise = random.standard_normal((rows, columns, 3)).astype(np.float32) * 40 / 1.6**octave
            photo += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(photo + 120 + random.standard_normal(photo.shape).astype(np.float32) * 5, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def reference(folder: Path, photos: list[Path], provider: str) -> Iterator[Callable[[], object]]:
    """InsightFace's loop, one call a photo."""
    import onnxruntime  # noqa: PLC0415

    warnings.simplefilter("ignore")  # the library's own deprecations
    from insightface.app import FaceAnalysis  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sys.stdout = sys.stderr  # the library prints
    app = FaceAnalysis(name="heavy", root=str(folder), providers=[provider], sess_options=options)
    app.prepare(ctx_id=0, det_size=(640, 640))
    sys.stdout = sys.__stdout__
    assert app.det_model.session.get_providers()[0] == provider, app.det_model.session.get_providers()
    assert len(app.models) == 5, sorted(app.models)
    run = app.det_model.detect
    boxes = np.array([(*box, 0.9) for box in BOXES], np.float32)
    points = np.array([landmarks(box) for box in BOXES], np.float32)

    def given(*args: Any, **options: Any) -> tuple[object, object]:
        run(*args, **options)
        return boxes, points

    app.det_model.detect = given
    while True:
        for path in photos:
            yield lambda path=path: app.get(cv2.imread(str(path)))  # type: ignore[misc]


def facesets(pack: ModelPack, photos: list[Path], *, known: bool, workers: int) -> Iterator[Callable[[], object]]:
    """Our workers on photos without end; a call gives what came of the next."""
    given = replace(pack, detector=Given(pack.detector))
    entries = (QueueEntry(path.name, str(path), boxes=BOXES if known else ()) for path in itertools.cycle(photos))
    with DecoderPool() as decoders:
        results = embed_photos(entries, given, workers=workers, decoder=decoders)
        while True:
            yield lambda: _with_three_faces(next(results))


def _with_three_faces(result: EmbedResult) -> None:
    assert len(result.faces) == 3, result


def floor(pack: ModelPack) -> Iterator[Callable[[], object]]:
    """The networks alone: pixels are at hand, chips are cut."""
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    near: list[Box] = [(x1 / 2, y1 / 2, x2 / 2, y2 / 2) for x1, y1, x2, y2 in BOXES]
    faces = np.random.default_rng(1).integers(0, 256, (3, pack.recognizer.size, pack.recognizer.size, 3), np.uint8)
    while True:
        yield lambda: (pack.detector.detect(rgb, near), pack.recognizer.embed_chips(faces))


def calls(variant: str, folder: Path, workers: int) -> Iterator[Callable[[], object]]:
    """What a variant does for each photo."""
    photos, twin = sorted((folder / "photos").glob("*.jpg")), folder / "models" / "heavy"
    if variant.startswith("reference"):
        return reference(folder, photos, "CUDAExecutionProvider" if "cuda" in variant else "CPUExecutionProvider")
    kind, _, engine = variant.partition(" ")
    if variant == "open":
        kind, engine = "facesets", "cpu"
    pack = load_pack("open" if variant == "open" else twin, engine=engine or ("cpu" if kind == "whole" else kind))
    assert isinstance(pack, ModelPack)
    return floor(pack) if kind == "floor" else facesets(pack, photos, known=kind != "whole", workers=workers)


def measure(variant: str, folder: Path, photos: int, workers: int) -> dict[str, float]:
    """CPU and wall milliseconds a photo, and the peak of memory in MB, of this process and the ones it started."""
    cv2.setNumThreads(1)
    source = calls(variant, folder, workers)
    for _ in range(6 * workers):  # warming up, and as far ahead as the worker looks
        next(source)()
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(photos):
        next(source)()
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    peak = sum(memory_of(pid) for pid in [os.getpid(), *children()])
    return {"cpu_ms": 1000 * cpu / photos, "wall_ms": 1000 * wall / photos, "peak_mb": peak}


def children() -> list[int]:
    """Processes that this one started and that still run."""
    stats = (path.read_text(errors="replace").rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat"))
    pids = (int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat"))
    return [pid for pid, fields in zip(pids, stats, strict=False) if int(fields[1]) == os.getpid()]


def cpu_seconds() -> float:
    """Of this process and of the ones it started."""
    total = time.process_time()
    for pid in children():
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def memory_of(pid: int) -> float:
    """The peak of a process' memory in MB."""
    if pid == os.getpid():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def processor() -> str:
    """Its name, and whether it has bfloat16."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = next(line.partition(":")[2].strip() for line in about.splitlines() if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores, {'with' if 'avx512_bf16' in about or 'amx_bf16' in about else 'without'} bfloat16"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", action="append", help="a variant; may be repeated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run, options.folder, options.photos, options.workers)))
        return
    engines = [name for name in available() if name != "tensorrt"]
    floors = [f"floor {name}" for name in engines if name in ("cpu", "openvino-bf16")]
    references = ["reference", *(["reference cuda"] if "cuda" in engines else [])]
    variants = options.only or [*references, "whole", *engines, "open", *floors]
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        draw(folder / "photos", 2)
        heavy_twin_pack(folder / "models" / "heavy")
        for _ in range(options.rounds):
            for variant in variants:
                command = [sys.executable, "-m", "benchmarks.embed", "--run", variant, "--folder", name]
                command += ["--photos", str(options.photos), "--workers", str(options.workers)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[variant].append(json.loads(done.stdout.splitlines()[-1]))
    table = {variant: {key: median(run[key] for run in runs) for key in runs[0]} for variant, runs in found.items()}
    if options.json:
        print(json.dumps({"processor": processor(), "variants": table}, indent=1))
        return
    print(processor())
    base = table.get("reference", next(iter(table.values())))
    for variant, row in table.items():
        times = "   ".join(f"{row[key]:7.0f} ms {key[:-3]} x {base[key] / row[key]:5.2f}" for key in ("cpu_ms", "wall_ms"))
        print(f"{variant:22} {times}   peak {row['peak_mb']:5.0f} MB")


if __name__ == "__main__":
    main()
