"""A dump of Immich's database into a registry: faces a second and memory, from a synthetic dump that is made and packed on the fly.

    python -m benchmarks.immich_dump [--faces 250000] [--plain]

Each photo has two faces; half as many faces again are another user's, and their vectors are passed over. The dump has pg_dump's own
order of tables. Two other ways are timed in the same run: unpacking alone, which nobody who reads it can do without, and taking as
many vectors in from a database is what ``benchmarks.immich_vectors`` prints. Memory is the peak of a process of its own, at a quarter
of the faces and at all of them: it should be the same.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.immich_vectors import OWNER, POOL, face, list_photos, no_model, own_peak, photo
from facesets.faces.immich_vectors import import_immich_vectors
from facesets.models.immich_db import ImmichDb
from facesets.progress import Silent
from facesets.sources import discard_dump
from facesets.sources.immich_dump_source import dumped
from facesets.workspace import Workspace

STRANGER = "00000000-0000-4000-8000-000000000002"
FACE = '(id, "assetId", "personId", "imageWidth", "imageHeight", "boundingBoxX1", "boundingBoxY1", "boundingBoxX2", "boundingBoxY2", "deletedAt", "isVisible")'  # noqa: E501


def lines(count: int) -> Iterator[str]:
    """A dump with ``count`` faces of ours, and half as many of somebody else's."""
    rng = np.random.default_rng(0)
    every = count + count // 2
    pool = ["[" + ",".join(f"{value:.8g}" for value in rng.standard_normal(512, dtype=np.float32).tolist()) + "]" for _ in range(POOL)]
    yield "--\n-- PostgreSQL database dump\n--\n\n"
    yield 'COPY public.asset (id, "ownerId", "originalPath", checksum, visibility, status) FROM stdin;\n'
    for n in range(every // 2):
        yield f"{photo(n)}\t{OWNER if n < count // 2 else STRANGER}\t/data/upload/{n}.jpg\t\\\\x{n:040x}\ttimeline\tactive\n"
    yield f"\\.\n\nCOPY public.asset_face {FACE} FROM stdin;\n"
    for n in range(every):
        yield f"{face(n)}\t{photo(n // 2)}\t\\N\t1440\t1080\t{100 + 500 * (n % 2)}\t100\t{400 + 500 * (n % 2)}\t400\t\\N\tt\n"
    yield '\\.\n\nCOPY public.face_search ("faceId", embedding) FROM stdin;\n'
    for n in range(every):
        yield f"{face(n)}\t{pool[n % POOL]}\n"
    yield '\\.\n\nCOPY public.person (id, "ownerId", name, "birthDate", "isHidden") FROM stdin;\n\\.\n\n'
    yield f'COPY public."user" (id, "deletedAt") FROM stdin;\n{OWNER}\t\\N\n{STRANGER}\t\\N\n\\.\n\n'
    yield "--\n-- PostgreSQL database dump complete\n--\n\n"


def write(path: Path, count: int) -> None:
    """The dump, packed as far as its name says so."""
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as out:
        part = list[str]()
        for line in lines(count):
            part.append(line)
            if len(part) == 1000:
                out.write("".join(part).encode())
                part.clear()
        out.write("".join(part).encode())


def measure(dump: Path, count: int) -> dict[str, float]:
    """Take its faces into a fresh registry; seconds, CPU seconds of this process and its own peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.init(Path(folder) / "w")
        settings = workspace.settings
        workspace = replace(workspace, settings=replace(settings, immich_dump=replace(settings.immich_dump, file=str(dump))))
        with workspace.registry() as registry:
            list_photos(registry, count)
            begun, cpu = time.perf_counter(), time.process_time()
            with dumped(workspace, registry, Silent()) as store:
                assert store.count(OWNER) == (count // 2, count, count)
                starts = range(0, count // 2, 1000)  # as many at a time as the listing asks for
                found = (store.boxes(OWNER, {photo(n): None for n in range(a, min(a + 1000, count // 2))}) for a in starts)
                assert sum(len(boxes) for one in found for boxes in one.values()) == count
            read, read_cpu = time.perf_counter() - begun, time.process_time() - cpu
            kept = sum(path.stat().st_size for path in (workspace.root / ".dump").iterdir())
            done = import_immich_vectors(workspace, registry, ["anna"], ImmichDb("buffalo_l", no_model), Silent())
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            discard_dump(workspace)
        assert done["new_faces"] == count
    return {
        "read": read, "read_cpu": read_cpu, "seconds": seconds, "cpu": cpu, "kept_mb": kept / 1e6, "peak_mb": own_peak(),
    }  # fmt: skip


def unpack(dump: Path) -> float:
    """CPU seconds to unpack it and do nothing."""
    begun = time.process_time()
    with gzip.open(dump) if dump.suffix == ".gz" else dump.open("rb") as file:
        while file.read(1 << 20):
            pass
    return time.process_time() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=250_000)
    parser.add_argument("--plain", action="store_true", help="a .sql instead of a .sql.gz")
    parser.add_argument("--measure", nargs=2, metavar=("DUMP", "FACES"))
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(Path(chosen.measure[0]), int(chosen.measure[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="facesets-dump-") as folder:
        for count in (chosen.faces // 4, chosen.faces):
            dump = Path(folder) / ("dump.sql" if chosen.plain else "dump.sql.gz")
            write(dump, count)
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks.immich_dump", "--measure", str(dump), str(count)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            m = json.loads(told.stdout)
            floor = unpack(dump)
            size = dump.stat().st_size / 1e6
            print(
                f"{count:>9,} faces of {count + count // 2:,} in a dump of {size:,.0f} MB: read in {m['read']:.0f} s "
                f"({m['read_cpu']:.0f} CPU s, {m['read_cpu'] / floor:.1f} times unpacking alone), with taking in {m['seconds']:.0f} s "
                f"({m['cpu']:.0f} CPU s); {m['kept_mb']:,.0f} MB on disk meanwhile, peak {m['peak_mb']:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
