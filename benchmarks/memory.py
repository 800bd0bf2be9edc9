"""How much memory embedding takes: this process and its decoders, with many workers and with photos of many sizes.

    python -m benchmarks.memory [--photos 200] [--workers 2 --workers 6] [--pack FOLDER]

Photos of 12 megapixels with known boxes and without, and one of 100 in every twenty, upright and turned; a pack of buffalo_l's
shapes where none is named. Printed are the peak and the most in each fifth of the run: memory that grew with the library would show
there. What processes share is counted once (PSS).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.embed import BOXES, children, draw
from benchmarks.heavy_twins import heavy_twin_pack
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos
from facesets.models.load import load_pack


def megabytes() -> float:
    """Of this process and of those it has started."""
    total = 0
    for pid in ("self", *children()):
        try:
            total += int(re.findall(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), re.M)[0])
        except (OSError, IndexError):
            continue  # it has just ended
    return total / 1024


def photos(folder: Path, count: int) -> list[QueueEntry]:
    """Entries for ``count`` photos; the same few files again and again."""
    with Image.open(folder / "0.jpg") as image:
        large, exif = image.resize((11552, 8664)), Image.Exif()
    for turn in (1, 6):
        exif[274] = turn
        large.save(folder / f"large{turn}.jpg", quality=85, exif=exif)
    names = [f"large{1 if i % 40 == 10 else 6}.jpg" if i % 20 == 10 else f"{i % 2}.jpg" for i in range(count)]
    return [QueueEntry(str(i), str(folder / name), boxes=BOXES if i % 2 else ()) for i, name in enumerate(names)]


def measure(folder: Path, count: int, workers: int, pack: str) -> None:
    """Embed, and print what it took."""
    entries = photos(folder / "photos", count)
    seen: list[tuple[int, float]] = []
    done, over = 0, threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.append((done, megabytes()))

    loaded = load_pack(pack)
    watcher, started = threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    for result in embed_photos(entries, loaded, workers=workers):
        assert result.size is not None, result
        done += 1
    over.set()
    watcher.join()
    fifths = [max((mb for at, mb in seen if part * count <= 5 * at <= (part + 1) * count), default=np.nan) for part in range(5)]
    told, seconds = " ".join(f"{mb:.0f}" for mb in fifths), time.perf_counter() - started
    print(f"{workers:3} workers: peak {max(mb for _, mb in seen):.0f} MB; by fifths {told}; {seconds:.0f} s", flush=True)


def main() -> None:
    """Each number of workers in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--pack")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(options.folder, options.photos, options.workers[0], options.pack)
        return
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "photos").mkdir()
        draw(Path(name) / "photos", 2)
        pack = options.pack or str(heavy_twin_pack(Path(name) / "models" / "heavy"))
        for workers in options.workers or (2, 6):
            command = [sys.executable, "-m", "benchmarks.memory", "--folder", name, "--workers", str(workers), "--pack", pack]
            subprocess.run([*command, "--photos", str(options.photos)], check=True)


if __name__ == "__main__":
    main()
