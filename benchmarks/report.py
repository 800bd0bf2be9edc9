"""How large the report of a large library is, how long it takes to make, and how soon a browser shows it.

    python -m benchmarks.report --sets 200 --faces 300

Prints one line of JSON. Pages are rendered of made-up records and real WebP files; the rate of thumbnails is that of crops as facesets
writes them. Times in the browser are measured where Chromium is on the PATH, each the median of five.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.chromium import Page, browser, program
from facesets.photos import DecoderPool
from facesets.reason_texts import FACE_STATES, FILE_STATES
from facesets.records import Reason
from facesets.report.gather import accounting
from facesets.report.model import Distances, Report, SetPage, Tile
from facesets.report.pages import render
from facesets.report.thumbnails import Thumbnails

_CROPS = 64  # different pictures; each face has a file of its own all the same
_TRIES = 5


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--faces", type=int, default=300)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "latest"
        folder.mkdir()
        crops, per_second = _crops(folder)
        report = _report(chosen.sets, chosen.faces, folder, crops)
        started = time.perf_counter()
        sizes = []
        for name, text in render(report, folder.name, "0" * 64):
            page = folder / name if name else folder.with_suffix(".html")
            page.write_text(text, encoding="utf-8")
            sizes.append(len(text.encode()))
        found = {
            "sets": chosen.sets,
            "faces_a_set": chosen.faces,
            "first_page_kb": round(sizes[0] / 1000, 1),
            "set_page_kb": round(statistics.median(sizes[1:]) / 1000, 1),
            "all_pages_mb": round(sum(sizes) / 1e6, 2),
            "render_s": round(time.perf_counter() - started, 2),
            "thumbnails_per_cpu_s": round(per_second, 1),
        }
        if path := program():
            with browser(path) as page_in_browser:
                found["first_page"] = _load(page_in_browser, folder.with_suffix(".html"))
                found["set_page"] = _load(page_in_browser, folder / report.sets[0].page)
    print(json.dumps(found))


def _load(page: Page, path: Path) -> dict[str, float]:
    """Milliseconds until something is painted, and until all that is asked for at first is there; nodes in the page."""
    page.size(1280, 900)
    paints, loads = [], []
    for _ in range(_TRIES):
        page.open("about:blank")
        page.open(path.as_uri())
        paints.append(page.ask("new Promise(r => requestAnimationFrame(() => setTimeout(() => r("
                               "performance.getEntriesByName('first-contentful-paint')[0].startTime), 50)))"))  # fmt: skip
        loads.append(page.ask("performance.timing.loadEventEnd - performance.timing.navigationStart"))
    nodes = page.ask("document.querySelectorAll('*').length")
    return {"first_paint_ms": round(statistics.median(paints)), "loaded_ms": round(statistics.median(loads)), "nodes": nodes}


def _crops(folder: Path) -> tuple[list[bytes], float]:
    """Thumbnails of crops with a photo's amount of detail, and how many are made in a second of one core."""
    rng = np.random.default_rng(0)
    source = folder.with_name("crops")
    source.mkdir()
    paths = []
    for n in range(_CROPS):
        noise = Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).resize((512, 512), Image.Resampling.BICUBIC)
        paths.append(source / f"{n}.png")
        noise.filter(ImageFilter.GaussianBlur(3)).save(paths[-1])
    started = sum(os.times()[:4])  # of one core, whatever else the machine does; the decoders' own is known when they have ended
    with DecoderPool() as decoders:
        made = Thumbnails(folder, decoders)
        names = [made.picture(path, path.name, blur=False)[0] for path in paths]
    rate = len(paths) / (sum(os.times()[:4]) - started)
    return [(folder / str(name)).read_bytes() for name in names], rate


def _report(sets: int, faces: int, folder: Path, crops: list[bytes]) -> Report:
    rng = np.random.default_rng(1)
    away = rng.uniform(0.05, 0.45, (sets, faces))
    pages = []
    for number in range(1, sets + 1):
        name, tiles = f"faceset_{number:03d}", []
        for rank in range(1, faces + 1):
            file = f"{number:012d}{rank:012d}.webp"
            (folder / file).write_bytes(crops[(number * faces + rank) % len(crops)])
            lines = (
                f"It is in {name}, {away[number - 1, rank - 1]:.2f} from the set's average.",
                "The nearest other set, faceset_001, is 0.71 away: too far to be that person.",
                "The nearest groups, its own among them: one of 312 faces at 0.21 and one of 120 faces at 0.71.",
                "163 pixels on its short side.",
            )
            day, photo = f"{2000 + rank % 24}-05-04", f"IMG_{number:03d}{rank:05d}.jpg"
            tiles.append(Tile(f"{rank:04d}", file, f"../../facesets/{name}/faces/{rank:04d}.png", day, 0.2, photo, lines))
        story = (f"{name} was made by facesets of {faces} faces in {faces} photos, from 2000 to 2023.",)
        pages.append(SetPage(name, number, f"Person {number}", True, False, tiles, 0, (), (0.05, 0.45), ("2000", "2023"), None, story))
    total = sets * faces
    return Report(
        files=accounting("file", {Reason.EMBEDDED: total, Reason.NO_FACES: total}, FILE_STATES),
        faces=accounting("face", {Reason.MEMBER: total, Reason.FEW_FACES: total // 10}, FACE_STATES),
        looked_through=total,
        placed=total,
        sets=pages,
        distances=Distances("open@1", away.ravel().tolist(), (away + 0.4).ravel().tolist(), {"match": 0.45, "likely": 0.45}),
        gates=(),
        planned=(),
        gone=0,
        blurred=False,
    )


if __name__ == "__main__":
    main()
