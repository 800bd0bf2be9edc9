"""How quick the review page is on a large library, in a real browser: 1,000 sets and 200,000 faces, one set of 3,000.

    python -m benchmarks.review [--sets 1000] [--faces 200000] [--biggest 3000] [--workspace DIR]

Makes a workspace without photos (random vectors; thumbnails are there already, as after a first look), serves it as ``facesets review``
does and drives it in Chromium. Prints one line of JSON: time to the first paint of the grid, for how long scrolling showed tiles that
were not there yet, nodes in the page, and the time from a key to the act's message and to the list without the face.
``--workspace`` keeps the workspace.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.chromium import program
from facesets.registry import Registry
from facesets.review.images import SIZES
from facesets.workspace import Workspace

PACK, DIMENSIONS = "buffalo_l@1", 512
_Row = tuple[int, int | None, str, int | None]  # face, person, standing, rank
_TRIES, _ACTS, _STEPS = 7, 60, 80
# what can be seen of the list and is a tile that waits for the server
_BLANK = (
    "[...document.querySelectorAll('.waiting')].filter(t => { const r = t.getBoundingClientRect(); "
    "return r.bottom > 0 && r.top < innerHeight; }).length"
)

_PAINT = """
async () => {
  for (;;) {
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    if (paint) return paint.startTime;
    await new Promise(requestAnimationFrame);
  }
}
"""


def make(root: Path, count: int, faces: int, biggest: int) -> Workspace:
    """A workspace with that many sets and faces: most in sets, some recognised, likely, or nobody's."""
    workspace = Workspace.init(root)
    rng = np.random.default_rng(11)
    sizes = np.maximum(3, rng.pareto(1.1, count) * 20).astype(int)
    sizes = np.maximum(3, (sizes * (0.75 * faces - biggest) / sizes.sum()).astype(int))
    sizes[0] = biggest
    noise = rng.bytes(DIMENSIONS * 4 * 64)
    with workspace.registry() as registry, registry.transaction():
        db, face = registry.db, 0
        db.execute("INSERT INTO facts VALUES ('highest_number', ?)", (str(count),))
        for number, size in enumerate(sizes.tolist(), 1):
            name = f"faceset_{number:03d}"
            called = f"Person {number}" if number % 3 == 0 else None
            db.execute("INSERT INTO people (id, number, name) VALUES (?, ?, ?)", (number, number, called))
            db.execute(
                "INSERT INTO sets (id, person_id, name, origin, pack, written, run_id) VALUES (?, ?, ?, 'made', ?, 1, 1)",
                (number, number, name, PACK),
            )
            rows: list[_Row] = [(face + n, number, "member", n + 1) for n in range(size)]
            rows += [(face + size + n, number, "recognised" if n % 3 else "likely", None) for n in range(size // 6)]
            _add(registry, rows, noise)
            face += len(rows)
        _add(registry, [(n, None, "few_faces", None) for n in range(face, faces)], noise)
    return workspace


def _add(registry: Registry, rows: list[_Row], noise: bytes) -> None:
    db, wide = registry.db, DIMENSIONS * 4
    ids = [row[0] + 1 for row in rows]
    years = [1985 + (n * 7919) % 40 for n in ids]
    db.executemany(
        "INSERT INTO photos (id, sha256, width, height, path) VALUES (?, ?, 4000, 3000, NULL)", [(n, f"{n:064x}") for n in ids]
    )
    db.executemany(
        "INSERT INTO assets (id, owner_id, asset_id, label, source, type, original_path, file_name, mime_type, visibility, is_trashed, "
        "is_offline, is_edited, reason, seen_run, photo_id, taken_at) VALUES (?1, 'o', ?2, 'anna', 'folder', 'IMAGE', ?2, ?2, "
        "'image/jpeg', 'timeline', 0, 0, 0, 'embedded', 1, ?1, ?3)",
        [(n, f"p{n:07d}.jpg", f"{year}-05-04T10:00:00") for n, year in zip(ids, years, strict=True)],
    )
    db.executemany("INSERT INTO faces (id, photo_id, x1, y1, x2, y2) VALUES (?1, ?1, 100, 100, 300, 300)", [(n,) for n in ids])
    db.executemany(
        "INSERT INTO measurements (id, face_id, photo_id, pack, idx, key, by_source, x1, y1, x2, y2, landmarks, det_score, face_short, "
        "sharpness, signals, vector) VALUES (?1, ?1, ?1, ?2, 0, ?3, 0, 100, 100, 300, 300, '[]', .9, 200, .5, '{}', ?4)",
        [(n, PACK, f"{n * 2654435761 % 2**32:08x}{n:024x}", noise[(n % 63) * wide : (n % 63 + 1) * wide]) for n in ids],
    )
    db.executemany(
        "INSERT INTO memberships (face_id, person_id, standing, pack, distance, runner_up_id, runner_up_distance, ambiguous) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (n, person, standing, PACK, (n % 97) / 250, 1 if person else None, 0.4 + (n % 89) / 250, n % 61 == 0)
            for n, (_, person, standing, _) in zip(ids, rows, strict=True)
        ],
    )
    db.executemany(
        "INSERT INTO set_faces (set_id, rank, measurement_id, distance, file) VALUES (?, ?, ?, .2, ?)",
        [(row[1], row[3], n, f"faces/{row[3]:04d}.png") for n, row in zip(ids, rows, strict=True) if row[3] is not None],
    )
    db.executemany(
        "INSERT INTO set_files (set_id, path, size, sha256) VALUES (?, ?, 100000, ?)",
        [(row[1], f"faces/{row[3]:04d}.png", f"{n:064x}") for n, row in zip(ids, rows, strict=True) if row[3] is not None],
    )


def thumbnails(workspace: Workspace) -> None:
    """A picture for every face of a set, of real size in bytes: hard links to a few."""
    rng = np.random.default_rng(3)
    store = workspace.root / "thumbnails" / "faces"
    store.mkdir(parents=True)
    sizes = ("small", "medium")
    for n in range(32):
        noise = Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8))
        for size in sizes:
            out = io.BytesIO()
            noise.resize((SIZES[size],) * 2, Image.Resampling.BICUBIC).save(out, "WEBP", quality=76, method=2)
            (store / f"{n}-{size}.webp").write_bytes(out.getvalue())
    with workspace.registry() as registry:
        keys = [row[0] for row in registry.db.execute("SELECT key FROM measurements ORDER BY id LIMIT 40000")]
        keys += [
            row[0]
            for row in registry.db.execute(
                "SELECT m.key FROM set_faces AS k JOIN measurements AS m ON m.id = measurement_id WHERE rank = 1"
            )
        ]
    for n, key in enumerate(dict.fromkeys(keys)):
        (store / key[:2]).mkdir(exist_ok=True)
        for size in sizes:
            (store / key[:2] / f"{key}-{size}.webp").hardlink_to(store / f"{n % 32}-{size}.webp")


@contextmanager
def served(workspace: Workspace) -> Iterator[str]:
    """The link of a review of this workspace in a process of its own."""
    command = [sys.executable, "-m", "facesets", "-C", str(workspace.root), "review", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found is not None
        try:
            yield found.group()
        finally:
            process.kill()


def first_paint(page: Page, address: str) -> dict[str, float]:
    """Milliseconds until the grid is painted, and nodes; the median of several."""
    paints, bytes_ = [], 0
    for _ in range(_TRIES):
        page.goto("about:blank")
        page.goto(address, wait_until="load")
        paints.append(page.evaluate(_PAINT))
        bytes_ = page.evaluate("performance.getEntriesByType('navigation')[0].encodedBodySize")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    return {
        "first_paint_ms": round(statistics.median(paints)),
        "slowest_ms": round(max(paints)),
        "kb": round(bytes_ / 1000),
        "nodes": nodes,
    }


def scrolled(page: Page) -> dict[str, float]:
    """Scroll a screen at a time, a quarter of a second each, and to far ends: for how long a tile was blank, and the most nodes."""
    longest, nodes = 0.0, 0
    height = page.evaluate("document.documentElement.scrollHeight")
    places = [n * 700 for n in range(_STEPS)] + [height // 2, height, height // 3, 0]
    for place in places:
        page.evaluate(f"scrollTo(0, {place})")
        blank = page.evaluate(
            "async () => { const begun = performance.now(); "
            "do { await new Promise(requestAnimationFrame); } while (" + _BLANK + " && performance.now() - begun < 5000); "
            "return performance.now() - begun; }"
        )
        longest = max(longest, blank)
        nodes = max(nodes, page.evaluate("document.querySelectorAll('*').length"))
        page.wait_for_timeout(100)
    return {"longest_blank_ms": round(longest), "most_nodes": nodes}


_WATCH = """
async (what) => {
  const list = document.querySelector("ul[data-list=member]");
  const face = list.querySelector("[data-id]");
  const id = face.dataset.id;
  face.focus();
  const begun = performance.now();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: what, bubbles: true }));
  let said = 0;
  for (;;) {
    await new Promise((done) => setTimeout(done, 1));
    if (!said && document.querySelector(".toast")) said = performance.now() - begun;
    const gone = !list.querySelector(`[data-id="${id}"]`) && !list.querySelector(".waiting");
    if (said && gone) break;
    if (performance.now() - begun > 10000) throw new Error("nothing came of it");
  }
  const seen = performance.now() - begun;
  document.querySelectorAll(".toast").forEach((each) => each.remove());
  return [said, seen];
}
"""


def acts(page: Page) -> dict[str, float]:
    """Reject the first face of the set by its key, again and again: until it is said, and until the list is without it."""
    said, seen = [], []
    for _ in range(_ACTS):
        one, other = page.evaluate(_WATCH, "r")
        said.append(one)
        seen.append(other)
        page.wait_for_timeout(50)
    said.sort()
    seen.sort()
    p95 = int(_ACTS * 0.95) - 1
    return {
        "said_ms": round(statistics.median(said)), "said_p95_ms": round(said[p95]), "seen_ms": round(statistics.median(seen)),
        "seen_p95_ms": round(seen[p95]),
    }  # fmt: skip


def main() -> None:
    """Make the workspace, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--biggest", type=int, default=3000)
    parser.add_argument("--workspace", type=Path)
    asked = parser.parse_args()
    path = program()
    if path is None:
        raise SystemExit("Chromium is not on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(dir=os.environ.get("FACESETS_SCRATCH")) as scratch:
        root = asked.workspace or Path(scratch) / "w"
        if (root / "facesets.toml").is_file():
            workspace = Workspace.open(root)
        else:
            workspace = make(root, asked.sets, asked.faces, asked.biggest)
            thumbnails(workspace)
        found: dict[str, Any] = {"sets": asked.sets, "faces": asked.faces, "biggest": asked.biggest}
        with served(workspace) as link, sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            started = time.perf_counter()
            page.goto(link)
            found["first_visit_ms"] = round((time.perf_counter() - started) * 1000)
            base = link.partition("?")[0]
            found["people"] = first_paint(page, f"{base}people") | scrolled(page)
            found["person"] = first_paint(page, f"{base}person/faceset_001") | scrolled(page)
            page.goto(f"{base}person/faceset_001")
            found["act"] = acts(page)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
