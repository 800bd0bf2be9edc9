"""Made the fixtures in ``workspaces/``, with the code of schema 6: ``python -m tests.migrations.make_fixtures`` in the project's root.

Kept to say how they came to be; with code of another schema it refuses to run. It makes the same bytes each time on one machine. For
that the clock's times in ``runs`` and ``journal`` are set to one time, measured seconds to 0, and the server's port to Immich's.
Nothing else is touched.

``expected.json`` says, in plain SQL on schema 6 and apart from any schema, what must be kept:

- ``users``, ``highest_number``, ``facts``; ``assets``: owner/asset id -> reason, detail, hash, content, file, whose duplicate it is
- ``photos``: of each photo and pack, how that pack went through it
- ``faces``: each face by photo, pack and box: reason, detail, set, distance, SHA-256 of its vector (float32, little-endian)
- ``counts``: how many assets by reason, and how many faces by pack and reason
- ``runs``, ``journal``: in their order
- ``sets``: each with its members in their order, files and centroids; ``files``: all of ``facesets/`` with its hashes;
  ``files_after``: the same after going on
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facesets.cli import main
from facesets.models import load_pack
from facesets.registry.migrations import VERSION
from facesets.testing import faults
from facesets.testing.twins import twin_photo

from ..pipeline.test_immich_db import Db
from ..pipeline.world import tree
from ..postgres import running
from . import worlds
from .worlds import KINDS, NEED_POSTGRES, PHOTOS, PLACES, SIDE, UNFINISHED, VECTORS, WORKSPACES, World

SCHEMA = 6
CHANGE = 0.3  # how much of a face is the exposure's and not the person's
ORIGINAL = "GET /api/assets/{id}/original"
CLOCK = "2026-01-01T00:00:00+00:00"
SETTINGS = '[embed]\npack = "{pack}"\n\n[export]\nsize = 64\n'

# -- photos


def jpeg(people: list[int], seed: int, *, side: int = SIDE, quality: int = 80) -> bytes:
    """A photo as tests/pipeline/world.py draws them, without noise: that makes it small."""
    places = list(zip(people, PLACES, strict=False))
    photo = twin_photo([(x, y, side, person) for person, (x, y) in places], noise=0, seed=seed).astype(np.float64)
    inside = side // 2 - side // 8
    for person, (x, y) in places:
        look = np.random.default_rng((person, seed)).integers(0, 256, (6, 6, 3)).repeat(inside // 3, 0).repeat(inside // 3, 1)
        photo[y - inside : y + inside, x - inside : x + inside] *= 1 - CHANGE
        photo[y - inside : y + inside, x - inside : x + inside] += CHANGE * look
    if not places:
        photo[:] = seed % 200
    out = io.BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def draw() -> None:
    """All photos, and what is none."""
    shutil.rmtree(PHOTOS, ignore_errors=True)
    PHOTOS.mkdir()
    made = {f"p1-2_{n}": jpeg([1, 2], n) for n in range(3)}
    made |= {f"p1_{n}": jpeg([1], 100 + n) for n in range(3, 7)} | {f"p2_{n}": jpeg([2], 200 + n) for n in range(3, 7)}
    made |= {"p1_3b": jpeg([1], 103, quality=60), "p8_0": jpeg([8], 800), "p9_0": jpeg([9], 900)}
    made |= {f"none_{n}": jpeg([], 60 + 20 * n) for n in range(6)} | {"small_0": jpeg([2], 300, side=64)}
    whole = jpeg([2], 400)
    made["cut_0"] = whole[: len(whole) * 2 // 3]
    for name, data in made.items():
        (PHOTOS / f"{name}.jpg").write_bytes(data)
    for n, person in enumerate((1, 1, 1, 7, 7)):
        (PHOTOS / f"set{person}_{n}.jpg").write_bytes(jpeg([person], 77_000 + n))
    (PHOTOS / "broken.jpg").write_bytes(b"This is no picture, whatever its name says.\n")
    (PHOTOS / "notes.txt").write_bytes(b"Nothing to see here.\n")


# -- runs


def facesets(destination: Path, *words: str, code: int = 0) -> None:
    """``facesets -C workspace ...`` in this process."""
    ended: object = None
    try:
        main(["-C", str(destination / "workspace"), *words])
    except SystemExit as stopped:
        ended = stopped.code
    assert ended == code, (words, ended)


def settings(destination: Path, pack: str = "", *, more: str = "") -> None:
    """The workspace's settings, of few words."""
    text = SETTINGS.format(pack=pack or destination / "packs" / "twin") + more
    (destination / "workspace" / "facesets.toml").write_text(text)


# runs the command line, and kills itself as soon as a plan is on record
_KILLED = """
import os, signal, sys
from facesets.cli import main

original = registry.Registry.commit

def commit(self):
    original(self)
    if self.db.execute("SELECT count(*) FROM sets WHERE written = 0").fetchone()[0]:
        os.kill(os.getpid(), signal.SIGKILL)

registry.Registry.commit = commit
main(sys.argv[1:])
"""


def killed_after_the_plan(destination: Path) -> None:
    """A run in a process of its own that ends with the plan's commit."""
    words = ["-C", str(destination / "workspace"), "run", "--user", "anna"]
    ended = subprocess.run([sys.executable, "-c", _KILLED, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def immich_boxes(world: World) -> None:
    settings(world.destination, more="\n[immich]\nattempts = 1\n")
    world.faults.add(faults.status(503), ORIGINAL, containing=worlds.named(world.library, "comes later.jpg").id)
    world.faults.add(faults.status(404), ORIGINAL, containing=worlds.named(world.library, "refused.jpg").id)
    both = ("run", "--user", "anna", "--user", "bob")
    facesets(world.destination, *both, code=3)  # no plan while something may still come
    facesets(world.destination, *both, "--accept-missing")
    worlds.later("immich_boxes", world.library)
    facesets(world.destination, *both, "--accept-missing")


def folder(world: World) -> None:
    settings(world.destination)
    there = world.destination / "folder"
    for n, name in enumerate(("p1-2_0", "p1-2_1", "p1-2_2", "p1_3", "p1_4", "p2_3", "p2_4", "p9_0")):
        worlds.put_photo(there / str(2019 + n % 2) / f"{name}.jpg", f"{name}.jpg")
    worlds.put_photo(there / "again" / "exactly.jpg", "p1_3.jpg")
    for name in ("broken.jpg", "cut_0.jpg", "none_0.jpg", "small_0.jpg", "p1_3b.jpg", "notes.txt"):
        worlds.put_photo(there / "odd" / name, name)
    facesets(world.destination, *world.commands[0])


def immich_db_before_plan(world: World) -> None:
    settings(world.destination, "immich-db")
    for step in ("stage", "embed"):
        facesets(world.destination, step, "--user", "anna")


def immich_db_with_sets(world: World) -> None:
    settings(world.destination, "immich-db")
    worlds.later("immich_db_with_sets", world.library)
    facesets(world.destination, "run", "--user", "anna")


def immich_db_then_model(world: World) -> None:
    settings(world.destination, "immich-db")
    for words in world.commands:
        facesets(world.destination, *words)


def login_stream(world: World) -> None:
    settings(world.destination)
    patched = sys.stdin
    sys.stdin = io.StringIO("password\n")
    try:
        facesets(world.destination, "login", "--user", "anna", "--email", "anna@example.test", "--password-stdin")
    finally:
        sys.stdin = patched
    facesets(world.destination, "run", "--user", "anna")


def two_packs(world: World) -> None:
    settings(world.destination)
    for words in world.commands:
        facesets(world.destination, *words)


def adopted_plain_sets(world: World) -> None:
    settings(world.destination)
    sets = world.destination / "workspace" / "facesets"
    for n, (name, person) in enumerate([("faceset_003", 1)] * 3 + [("faceset_001", 7)] * 2):
        worlds.put_photo(sets / name / f"grandma {n}.jpg", f"set{person}_{n}.jpg")
    worlds.put_photo(sets / "faceset_006_era_2012-2016" / "somebody.jpg", "set7_3.jpg")  # no set, yet its number is used
    given_away = {"facesets": [{"name": "faceset_009", "note": "given away"}]}
    (sets / "manifest.json").write_text(json.dumps(given_away, indent=2) + "\n")
    facesets(world.destination, "run", "--user", "anna")


def planned_unwritten(world: World) -> None:
    settings(world.destination)
    killed_after_the_plan(world.destination)


def planned_from_crops(world: World) -> None:
    settings(world.destination, more="\n[stage]\nkeep_originals = false\n")
    killed_after_the_plan(world.destination)


MAKERS = {
    made.__name__: made
    for made in (
        immich_boxes, folder, immich_db_before_plan, immich_db_with_sets, immich_db_then_model, login_stream, two_packs,
        adopted_plain_sets, planned_unwritten, planned_from_crops,
    )
}  # fmt: skip


# -- what is kept


def still(text: str) -> str:
    """Counters without the seconds that were measured."""

    def calm(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: calm(v, k) for k, v in value.items()}
        return 0 if isinstance(value, float) and ("second" in key or "per_" in key) else value

    return json.dumps(calm(json.loads(text)), sort_keys=True)


def dump(destination: Path, kind: str) -> str:
    """The registry as SQL."""
    db = sqlite3.connect(destination / "workspace" / "registry.sqlite")
    db.create_function("still", 1, still)
    db.execute("UPDATE runs SET started_at = ?1, finished_at = CASE WHEN finished_at IS NULL THEN NULL ELSE ?1 END", (CLOCK,))
    db.execute("UPDATE runs SET counters = still(counters)")
    db.execute("UPDATE journal SET at = ?", (CLOCK,))
    db.commit()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    assert version == SCHEMA
    text = "\n".join((*db.iterdump(), f"PRAGMA user_version = {version};")) + "\n"
    db.close()
    return hidden(text, destination, kind)


def hidden(text: str, destination: Path, kind: str) -> str:
    """With placeholders for paths of this machine, none of which is left."""
    for word, path in worlds.placeholders(destination).items():
        text = text.replace(path, word)
    assert str(destination) not in text, kind
    assert not re.search(r"/(home|tmp|work|root)/", text), kind
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:2283", text)  # in what a failed download's detail says


def facts(destination: Path) -> dict[str, Any]:
    """What the registry says, apart from its schema."""
    db = sqlite3.connect(destination / "workspace" / "registry.sqlite")
    db.row_factory = sqlite3.Row

    def rows(sql: str, *values: str) -> list[dict[str, Any]]:
        return [dict(row) for row in db.execute(sql, values)]

    def digest(vector: bytes) -> str:
        return hashlib.sha256(vector).hexdigest()

    faces = []
    place = (
        "SELECT f.sha256 AS photo, f.pack, f.x1, f.y1, f.x2, f.y2, (SELECT json_group_array(asset_id) FROM (SELECT asset_id FROM "
        "assets AS a WHERE a.sha256 = f.sha256 OR a.content = f.sha256 ORDER BY asset_id)) AS assets"
    )
    for face in rows(
        f"{place}, f.reason, f.detail, f.set_name, f.distance, f.det_score, f.sharpness, f.face_short, f.landmarks, f.vector "
        "FROM faces AS f ORDER BY f.sha256, f.pack, f.idx"
    ):
        box = [face.pop(edge) for edge in ("x1", "y1", "x2", "y2")]
        more = {"assets": json.loads(face["assets"]), "landmarks": json.loads(face["landmarks"]), "box": box}
        faces.append({**face, **more, "vector": digest(face["vector"])})
    sets = rows("SELECT name, number, origin, pack, person_name, written FROM sets ORDER BY number")
    for one in sets:
        members = rows(
            f"{place}, s.rank, s.distance FROM set_faces AS s JOIN faces AS f ON f.face_id = s.face_id WHERE s.set_name = ? "
            "ORDER BY s.rank",
            one["name"],
        )
        one["members"] = [
            {
                "rank": m["rank"],
                "distance": m["distance"],
                "photo": m["photo"],
                "pack": m["pack"],
                "assets": json.loads(m["assets"]),
                "box": [m["x1"], m["y1"], m["x2"], m["y2"]],
            }
            for m in members
        ]
        one["files"] = {f["path"]: f["sha256"] for f in rows("SELECT * FROM set_files WHERE set_name = ? ORDER BY path", one["name"])}
        centroids = rows("SELECT pack, n, vector FROM centroids WHERE set_name = ? ORDER BY pack", one["name"])
        one["centroids"] = {c["pack"]: {"n": c["n"], "vector": digest(c["vector"])} for c in centroids}
    assets = rows(
        "SELECT a.owner_id, a.asset_id, a.label, a.source, a.reason, a.detail, a.attempts, a.sha256, a.content, a.pixels, "
        "a.boxes, k.asset_id AS kept, a.path IS NOT NULL AS has_path, a.seen_run > 0 AS present "
        "FROM assets AS a LEFT JOIN assets AS k ON k.id = a.kept_id ORDER BY a.id"
    )
    for asset in assets:
        asset["boxes"] = None if asset["boxes"] is None else json.loads(asset["boxes"])
    known = {row["key"]: row["value"] for row in rows("SELECT key, value FROM facts ORDER BY key")}
    by_reason: dict[str, dict[str, int]] = {}
    for face in faces:
        of_pack = by_reason.setdefault(face["pack"], {})
        of_pack[face["reason"]] = of_pack.get(face["reason"], 0) + 1
    found = {
        "schema": SCHEMA,
        "users": rows("SELECT label, user_id, name FROM users ORDER BY label"),
        "highest_number": int(known.pop("highest_number", 0)),
        "facts": known,
        "counts": {"assets": dict(sorted(Counter(a["reason"] for a in assets).items())), "faces": by_reason},
        "assets": {f"{a.pop('owner_id')}/{a.pop('asset_id')}": a for a in assets},
        "photos": rows("SELECT sha256 AS photo, pack, reason, detail, width, height, told FROM embedded ORDER BY sha256, pack"),
        "faces": faces,
        "sets": sets,
        "runs": rows("SELECT command, exit_code, finished_at IS NOT NULL AS finished FROM runs ORDER BY id"),
        "journal": [
            {"event": row["event"], "run": row["run_id"], "data": json.loads(row["data"])}
            for row in rows("SELECT event, run_id, data FROM journal ORDER BY id")
        ],
        "streamed_faces": rows("SELECT * FROM streamed_faces ORDER BY label, face_id"),
        "streamed_people": rows("SELECT * FROM streamed_people ORDER BY label, person_id"),
        "files": tree(destination / "workspace" / "facesets"),
    }
    db.close()
    return found


def keep(kind: str, destination: Path) -> None:
    """Put a workspace into ``workspaces/``."""
    fixture, workspace = WORKSPACES / kind, destination / "workspace"
    shutil.rmtree(fixture, ignore_errors=True)
    fixture.mkdir(parents=True)
    (fixture / "registry.sql").write_text(dump(destination, kind))
    for name in ("facesets.toml", "sessions.toml"):
        if (workspace / name).is_file():
            (fixture / name).write_text(hidden((workspace / name).read_text(), destination, kind))
    names = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in sorted(PHOTOS.iterdir())}
    places = {}
    for top in (workspace / "photos", destination / "folder"):
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            places[path.relative_to(destination).as_posix()] = names[hashlib.sha256(path.read_bytes()).hexdigest()]
    (fixture / "files.json").write_text(json.dumps(places, indent=1) + "\n")
    for name in ("facesets", "crops"):
        if (workspace / name).is_dir() and any(path.is_file() for path in (workspace / name).rglob("*")):
            shutil.copytree(workspace / name, fixture / name)
    text = json.dumps(facts(destination), indent=1, sort_keys=True, ensure_ascii=False)
    (fixture / "expected.json").write_text(hidden(text, destination, kind) + "\n")


def went_on(kind: str, fresh: Path, postgres: str | None) -> dict[str, str]:
    """The sets of an undisturbed run in a workspace with the same settings."""
    worlds.prepare(fresh)
    text = (WORKSPACES / kind / "facesets.toml").read_text()
    (fresh / "workspace" / "facesets.toml").write_text(text.replace("@PACKS@", str(fresh / "packs")))
    with worlds.goes_on(kind, fresh / "workspace", postgres) as world:
        facesets(fresh, *world.commands[0])
    return tree(fresh / "workspace" / "facesets")


def make(kind: str, postgres: str | None) -> None:
    """One fixture."""
    with tempfile.TemporaryDirectory(prefix="facesets-fixture-") as name:
        destination = Path(name).resolve() / "made"
        worlds.prepare(destination)
        with worlds.around(kind, destination, worlds.LIBRARIES[kind](), postgres) as world:
            MAKERS[kind](world)
        keep(kind, destination)
        said = json.loads((WORKSPACES / kind / "expected.json").read_text())
        said["files_after"] = went_on(kind, Path(name).resolve() / "fresh", postgres) if kind in UNFINISHED else said["files"]
        text = json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False)
        (WORKSPACES / kind / "expected.json").write_text(text + "\n")


def write_vectors(postgres: str) -> None:
    """What Immich's database would hold of the library's faces: the twin's vectors, not of unit length; of one face none."""
    library = worlds.told_by_database()
    with tempfile.TemporaryDirectory() as name:
        found = Db(postgres, library, load_pack(worlds.packs(Path(name)) / "twin")).vectors()
    (without,) = worlds.named(library, "p8_0.jpg").faces
    found.pop(without.id)
    text = {face_id: np.ascontiguousarray(vector, "<f4").tobytes().hex() for face_id, vector in sorted(found.items())}
    VECTORS.write_text(json.dumps(text, indent=0) + "\n")


def make_all(kinds: list[str]) -> None:
    """The photos and all fixtures, or some."""
    if VERSION != SCHEMA:
        sys.exit(f"These fixtures are of schema {SCHEMA}, this is the code of schema {VERSION}.")
    with ExitStack() as stack:
        wanted = kinds or list(KINDS)
        postgres = stack.enter_context(running()) if set(wanted) & set(NEED_POSTGRES) else None
        if not kinds:
            draw()
        if postgres:
            write_vectors(postgres)
        for kind in wanted:
            print(f"-- {kind}")
            make(kind, postgres)


if __name__ == "__main__":
    make_all(sys.argv[1:])
