"""A run with nothing to do, in a tree of many sets: seconds for what it does with their files, against hashing them all.

    python -m benchmarks.idle_run [--sets 5000] [--crops 200000] [--profile]

Makes a workspace of that many recorded sets (each crop is a hard link of one small file), then times what a run does with them when
nothing changed (look at the tree before and after, compare with the registry) and what ``verify`` does, which hashes every file.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from facesets.changes import write_planned
from facesets.export import adopt, highest_number, stamps, tree_stamps, verify
from facesets.models import load_pack
from facesets.photos import DecoderPool
from facesets.progress import Silent
from facesets.registry import Registry, sets
from facesets.testing.twins import twin_pack
from facesets.workspace import Workspace

_LINKS = 30_000  # of one file; ext4 allows 65,000


def furnish(workspace: Workspace, registry: Registry, pack: str, count: int, crops: int) -> None:
    """Sets with small files in them, recorded as they are."""
    data, each = np.random.default_rng(1).bytes(4096), crops // count
    digest, vector = hashlib.sha256(data).hexdigest(), np.ones(4, "<f8").tobytes()
    rows, made = [], 0
    for number in range(1, count + 1):
        faces = workspace.facesets / f"faceset_{number:03d}" / "faces"
        faces.mkdir(parents=True)
        for n in range(each):
            if made % _LINKS == 0:
                one = workspace.root / f"crop{made}"
                one.write_bytes(data)
            os.link(one, f"{faces}/{n:04d}.png")
            made += 1
        found = stamps(faces.parent)
        rows += [(number, path, size, mtime, inode, digest) for path, (size, mtime, inode) in found.items()]
    with registry.transaction():
        db, numbers = registry.db, range(1, count + 1)
        db.executemany("INSERT INTO people (id, number) VALUES (?, ?)", ((n, n) for n in numbers))
        db.executemany(
            "INSERT INTO sets (id, person_id, name, origin, pack, written, run_id) VALUES (?, ?, ?, 'made', ?, 1, 1)",
            ((n, n, f"faceset_{n:03d}", pack) for n in numbers),
        )
        db.executemany("INSERT INTO set_files (set_id, path, size, mtime_ns, inode, sha256) VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO centroids (person_id, pack, n, vector) VALUES (?, ?, 1, ?)", ((n, pack, vector) for n in numbers))
        sets.see_number(registry, count)


def idle(workspace: Workspace, registry: Registry, pack: Any, decoders: DecoderPool) -> None:
    """What a run does with sets in which nothing changed."""
    before = tree_stamps(workspace.facesets)
    said = Silent()
    adopt(workspace, registry, pack, 2, said, decoders, before)
    write_planned(workspace, registry, said, decoders)
    assert tree_stamps(workspace.facesets) == before
    assert said.notes == []


def timed(work: Callable[[], Any], *, profile: bool = False) -> tuple[float, float]:
    """Seconds by the clock and of the CPU."""
    started, cpu = time.perf_counter(), time.process_time()
    with cProfile.Profile() if profile else nullcontext() as profiled:
        work()
    spent = time.perf_counter() - started, time.process_time() - cpu
    if profiled:
        pstats.Stats(profiled).sort_stats("cumulative").print_stats(25)
    return spent


def main() -> None:
    """Make the tree, and time both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=5000)
    parser.add_argument("--crops", type=int, default=200_000)
    parser.add_argument("--profile", action="store_true", help="say where the time of the idle run goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace.init(Path(name) / "home")
        pack = load_pack(twin_pack(Path(name) / "twin", others=False))
        with workspace.registry() as registry, DecoderPool() as decoders:
            furnish(workspace, registry, pack.id, args.sets, args.crops)
            write_planned(workspace, registry, Silent(), decoders)  # the manifest
            assert highest_number(workspace.facesets) == args.sets
            idled, idle_cpu = timed(lambda: idle(workspace, registry, pack, decoders), profile=args.profile)
            hashed, hash_cpu = timed(lambda: verify(workspace, registry))
    print(
        f"{args.sets:,} sets, {args.crops:,} crops: idle run {idled:.2f} s (CPU {idle_cpu:.2f} s), "
        f"verify {hashed:.2f} s (CPU {hash_cpu:.2f} s): {hash_cpu / idle_cpu:.1f} x"
    )


if __name__ == "__main__":
    main()
