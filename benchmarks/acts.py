"""What acts on people cost in a big set: how long one takes to be recorded, and what 200 of them leave on disk.

python -m benchmarks.acts [--faces 3000] [--acts 200]

Makes a workspace with a set of that many faces and a small one (random vectors, crops of real size in bytes), does each act on faces
that many times and each act on the whole set once, writes the new revision, and prints the time of an act beside that of writing the
set's folder, which is what it would cost if it waited for it. Of each: the median, the 95th percentile and the slowest, with the part
of the slowest that went into the commit, where the disk is waited for.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facesets import people
from facesets.changes import write_revisions
from facesets.export import DESCRIPTION, Member, SetPlan, crop_name, describe_entries, face_entry, file_facts
from facesets.photos import DecoderPool
from facesets.progress import Silent
from facesets.records import Asset, Centroid, Face, FaceSet, Reason
from facesets.registry import Found, Registry, Standing, assets, faces, measurements, sets
from facesets.workspace import Workspace

PACK, DIMENSIONS, CROP_BYTES = "buffalo_l@1", 512, 100_000
LEAST, SMALL = 3000, 10


def make(root: Path, count: int) -> Workspace:
    """A workspace with faceset_001 of ``count`` faces and faceset_002 of ten, written."""
    workspace = Workspace.init(root)
    with workspace.registry() as registry, registry.transaction():
        assets.add_listed(registry, "anna", "immich", [Asset("owner", f"a{n:06d}") for n in range(count + SMALL)], 1)
        rows = list(assets.select(registry))
        _add_set(workspace, registry, 1, rows[:count])
        _add_set(workspace, registry, 2, rows[count:])
    return workspace


def _add_set(workspace: Workspace, registry: Registry, number: int, rows: list[assets.AssetRow]) -> None:
    rng, name, count = np.random.default_rng(number), f"faceset_{number:03d}", len(rows)
    vectors = rng.normal(size=DIMENSIONS) + rng.normal(size=(count, DIMENSIONS)) * 0.5
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    folder = workspace.facesets / name
    (folder / "faces").mkdir(parents=True)
    members = []
    for n, row in enumerate(rows):
        face = Face(f"{row.id:032x}", f"{row.id:064x}", 0, (10.0, 10, 210, 210), (), 0.9, 200.0, 0.5, PACK)
        measurements.add(registry, [Found(face, vectors[n])])
        assets.settle(registry, row.id, Reason.EMBEDDED, sha256=face.sha256)
        members.append(Member(face, 0.2, "owner", row.asset.asset_id, "2020-01-01T00:00:00", ""))
        (folder / crop_name(n + 1)).write_bytes(rng.bytes(CROP_BYTES))
    sets.add(registry, FaceSet(name, number, "made", PACK), 1, written=False)
    sets.add_members(registry, name, [(member.face.face_id, 0.2) for member in members])
    sets.set_centroid(registry, PACK, Centroid(name, vectors.mean(axis=0).astype(np.float64), count))
    faces.decide(registry, PACK, [Standing(m.face.face_id, Reason.MEMBER, name, 0.2) for m in members])
    plan = SetPlan(name, number, "0" * 16, PACK, vectors.mean(axis=0), ())
    described = describe_entries(plan, [face_entry(crop_name(n), member) for n, member in enumerate(members, 1)])
    (folder / DESCRIPTION).write_bytes(described)
    sets.set_files(registry, name, file_facts(folder))
    sets.mark_written(registry, name, [crop_name(n + 1) for n in range(count)])


def on_disk(folder: Path) -> int:
    """Bytes of all files below, each counted once however many names it has."""
    seen = {(status.st_dev, status.st_ino): status.st_size for path in folder.rglob("*") if (status := path.stat()) and path.is_file()}
    return sum(seen.values())


class Clock:
    """Times acts, and the commits within them."""

    def __init__(self, patched: Any) -> None:
        self._commit, self.in_commit = patched.commit, 0.0

        def commit(registry: Registry) -> None:
            start = time.perf_counter()
            self._commit(registry)
            self.in_commit += time.perf_counter() - start

        patched.commit = commit

    def __call__(self, act: Callable[[], object]) -> tuple[float, float]:
        """Milliseconds of an act, and of the commits within it."""
        self.in_commit = 0.0
        start = time.perf_counter()
        act()
        return (time.perf_counter() - start) * 1e3, self.in_commit * 1e3


def print_figures(what: str, took: list[tuple[float, float]]) -> float:
    """Print the figures of one kind of act; returns the median."""
    took = sorted(took)
    middle, late, (slowest, commit) = took[len(took) // 2][0], took[int(len(took) * 0.95)][0], took[-1]
    print(
        f"{what:28} n {len(took):4}   median {middle:7.1f} ms   95th percentile {late:7.1f} ms   slowest {slowest:7.1f} ms, "
        f"{commit:.1f} of them in commits"
    )
    return middle


def measure(workspace: Workspace, registry: Registry, count: int) -> None:
    """Print the figures."""
    clock, before = Clock(Registry), on_disk(workspace.facesets)
    members = [key for _, key, _ in sets.members(registry, "faceset_001")]
    some = members[:: max(1, len(members) // (3 * count))]
    print(f"a set of {len(members):,} faces, {before / 1e6:,.0f} MB; an act is recorded in")
    middle = print_figures("reject FACE", [clock(partial(people.reject, workspace, registry, [key])) for key in some[0::3][:count]])
    with DecoderPool() as decoders:
        start = time.perf_counter()
        revised = write_revisions(workspace, registry, Silent(), decoders)
        wrote = time.perf_counter() - start
    after = on_disk(workspace.facesets)
    assert revised.written == ["faceset_001"], revised
    print_figures("move FACE --to SET", [clock(partial(people.move, workspace, registry, [key], "2")) for key in some[1::3][:count]])
    print_figures("confirm FACE", [clock(partial(people.confirm, workspace, registry, [key])) for key in some[2::3][:count]])
    print_figures("name SET NAME", [clock(partial(people.name, workspace, registry, "1", f"Anna {n}")) for n in range(count)])
    print_figures("undo", [clock(partial(people.undo, workspace, registry)) for _ in range(count)])
    print_figures("ignore SET", [clock(partial(people.ignore, workspace, registry, "1"))])
    print_figures("confirm SET", [clock(partial(people.confirm, workspace, registry, ["1"]))])
    print_figures("merge SET INTO", [clock(partial(people.merge, workspace, registry, "1", "2", name="Anna"))])
    print_figures("undo of that merge", [clock(partial(people.undo, workspace, registry))])
    print(f"one revision for all rejects in {wrote:.2f} s: an act that waited for its folder would take {wrote * 1e3 / middle:.0f} x")
    print(f"on disk with history, after {count} rejects: {after / 1e6:,.0f} MB, {after / before:.3f} of the set's size")


def main() -> None:
    """Make the set, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=LEAST)
    parser.add_argument("--acts", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("FACESETS_SCRATCH")) as scratch:
        workspace = make(Path(scratch) / "w", asked.faces)
        with workspace.registry() as registry:
            measure(workspace, registry, asked.acts)


if __name__ == "__main__":
    main()
