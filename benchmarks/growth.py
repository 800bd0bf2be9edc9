"""What a few new faces cost in a library that is known: planned on top of what stands, against planning everything again.

    python -m benchmarks.growth [--faces 100000] [--new 1000] [--order late] [--profile]
    python -m benchmarks.growth --faces 20000 --new 200 --small
    python -m benchmarks.growth --vectors FOLDER --new 60 --small      faces of research photos (benchmarks.libraries), all there are

Faces of the family library of :mod:`benchmarks.families` (children drift) go into a registry, all but the new ones; these are
planned, untimed here. Then the new ones come and the product's own ``plan`` is timed: reading, deciding and storing. A second
registry gets all of them at once. Printed are the seconds of both, how many vectors each read, and B-cubed against the truth: the
faces of a set, those recognised and those likely of it are one group, and so are the faces of each group that is no set. ``in two``
are the people of whose faces a second group holds a tenth or more, beside their share of all faces: one large person in two groups
weighs more than all else. ``late``: the new faces are those of the newest photos; ``random``: any. Fewer than 100,000 faces are
refused unless ``--small`` is given: what is large is what costs. (That a small library is decided on anew whatever came is switched
off.)
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.libraries import load_all, together
from benchmarks.recognition import Dated, dates, made_library
from facesets.changes import plan
from facesets.clustering import Score, b_cubed
from facesets.clustering.scoring import per_face
from facesets.identity import decide, growth
from facesets.models import Pack, load_pack
from facesets.progress import Silent
from facesets.records import Asset, Face, Reason
from facesets.registry import Found, Registry, assets, measurements
from facesets.registry import faces as faces_
from facesets.testing.twins import twin_pack
from facesets.thresholds import ARCFACE
from facesets.workspace import Workspace

LEAST = 100_000
LABEL = "anna"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan took (seconds by the clock and of the CPU), and how many vectors it read."""

    wall: float
    cpu: float
    vectors: int


def add(registry: Registry, made: Dated, rows: NDArray[np.int64], pack: str) -> None:
    """Photos of one face each, embedded."""
    library = made.library
    with registry.transaction():
        listed = [Asset("owner", f"a{row:07d}", taken_at=f"{made.taken_at[row]}T12:00:00") for row in rows.tolist()]
        assets.add_listed(registry, LABEL, "immich", listed, 1)
        for row in assets.select(registry, reasons=[Reason.LISTED]):
            n = int(row.asset.asset_id[1:])
            short, sha256 = float(library.face_short[n]), f"{n * 0x9E3779B97F4A7C15 % 2**64:064x}"  # in no order
            box, score = (10.0, 10.0, 10 + short, 10 + short), float(library.det_score[n])
            face = Face(f"{n:032x}", sha256, 0, box, (), score, short, None, pack)
            assets.settle(registry, row.id, Reason.EMBEDDED, sha256=sha256)
            measurements.add(registry, [Found(face, library.vectors[n])])


def planned(workspace: Workspace, registry: Registry, pack: Pack, *, profile: bool) -> Planned:
    """Plan, and say what that took."""
    read, row_of = [0], faces_._row

    def counted(row: Any) -> faces_.FaceRow:
        read[0] += 1
        return row_of(row)

    faces_._row = counted
    wall, cpu = time.perf_counter(), time.process_time()
    with cProfile.Profile(time.process_time) if profile else nullcontext() as profiled:
        plan(workspace, registry, [LABEL], pack, 1, Silent(), classic=False)
    took = Planned(time.perf_counter() - wall, time.process_time() - cpu, read[0])
    faces_._row = row_of
    if profiled:
        pstats.Stats(profiled).sort_stats("cumulative").print_stats("facesets", 40)
    return took


def groups(registry: Registry, count: int) -> NDArray[np.int64]:
    """The group of each face: its person's, or the one it was left in."""
    out = np.full(count, "", dtype="<U40")
    for key, person, group in registry.db.execute(
        "SELECT m.key, s.person_id, s.group_number FROM measurements AS m JOIN memberships AS s ON s.face_id = m.face_id"
    ):
        out[int(key, 16)] = f"person {person}" if person is not None else f"group {group}"
    labels: NDArray[np.int64] = np.unique(out, return_inverse=True)[1].reshape(-1)
    return labels


def show(made: Dated, late: NDArray[np.int64], pack: Pack, scratch: Path, *, profile: bool) -> None:
    """Plan both ways, and print what they took and came to, each as soon as it is there."""
    count, who = len(made.library), made.library.who
    labelled = np.flatnonzero(who != "")
    early = np.setdiff1d(np.arange(count), late)
    print("| | CPU s | s | vectors read | P | R | F | F of the new | groups | in two | their share |")
    print("| --- |" + " ---: |" * 10, flush=True)
    found = []
    for name, parts in (("grown", (early, late)), ("whole", (np.arange(count),))):
        workspace = Workspace.init(scratch / name)
        with workspace.registry() as registry:
            for n, rows in enumerate(parts):
                add(registry, made, rows, pack.id)
                took = planned(workspace, registry, pack, profile=profile and n == len(parts) - 1)
            labels = groups(registry, count)
        score, new = some(labels, who, labelled), some(labels, who, np.intersect1d(late, labelled))
        scored = f"{score.precision:.4f} | {score.recall:.4f} | {score.f:.4f} | {new.f:.4f} | {len(np.unique(labels)):,}"
        print(f"| {name} | {took.cpu:.2f} | {took.wall:.2f} | {took.vectors:,} | {scored} | {halved(labels, who)} |", flush=True)
        found.append((took, labels, score.f))
    (grown, labels, f), (whole, every, of) = found
    print(
        f"\n{len(late):,} new faces in {count:,}: {grown.cpu / whole.cpu:.3f} of the CPU seconds, {grown.wall / whole.wall:.3f} of the "
        f"time by the clock; F {f - of:+.4f}; {grown.vectors / count:.2f} vectors read a face; the one grouping beside the other "
        f"F {b_cubed(labels, every).f:.4f}"
    )


def halved(labels: NDArray[np.int64], who: NDArray[np.str_]) -> str:
    """Cells: people of whose faces a second group holds a tenth or more, and their share of all faces."""
    people, faces = 0, 0
    for one in np.unique(who[who != ""]):
        parts = np.sort(np.unique(labels[who == one], return_counts=True)[1])[::-1]
        if len(parts) > 1 and parts[1] >= max(10, 0.1 * parts.sum()):
            people, faces = people + 1, faces + int(parts.sum())
    return f"{people} | {faces / np.count_nonzero(who != ''):.3f}"


def some(labels: NDArray[np.int64], who: NDArray[np.str_], rows: NDArray[np.int64]) -> Score:
    """B-cubed of these ``rows`` among all that are labelled."""
    among = np.flatnonzero(who != "")
    pure, whole = np.zeros(len(who)), np.zeros(len(who))
    pure[among], whole[among] = per_face(labels[among], who[among])
    return Score(float(pure[rows].mean()), float(whole[rows].mean()))


def main() -> None:
    """Make the library, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=LEAST, help="new ones included")
    parser.add_argument("--new", type=int, default=1000)
    parser.add_argument("--order", choices=("late", "random"), default="late")
    parser.add_argument("--vectors", type=Path, help="folder of the files of vectors: instead of a made library")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help=f"fewer than {LEAST:,} faces will do")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    faces = load_all(asked.vectors) if asked.vectors else None
    count = sum(map(len, faces.values())) if faces else asked.faces
    if count < LEAST and not asked.small:
        sys.exit(f"{count:,} faces tell little of what {LEAST:,} cost: ask with --small")
    growth.FEWEST = 0
    if faces:
        taken = dates(np.random.default_rng(asked.seed), [(1990, 2021)] * count)
        made = Dated(together(*faces.values()), taken, np.zeros(count, np.int64))
    else:
        made = made_library(count, asked.seed)
    order = np.argsort(made.taken_at, kind="stable") if asked.order == "late" else np.random.default_rng(asked.seed).permutation(count)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FACESETS_SCRATCH")) as scratch:
        pack = load_pack(twin_pack(Path(scratch) / "twin", others=False))
        warm_up(asked.seed)
        show(made, np.sort(order[-asked.new :]), pack, Path(scratch), profile=asked.profile)


def warm_up(seed: int) -> None:
    """Compile what is compiled."""
    few = made_library(2000, seed + 1)
    decide(few.table(), [], thresholds=ARCFACE)


if __name__ == "__main__":
    main()
