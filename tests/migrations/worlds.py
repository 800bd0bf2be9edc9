"""Workspaces that schema 6 left behind, and the world around each of them: load one, and go on in it.

A fixture lies in ``workspaces/<kind>/``: ``registry.sql``, ``facesets.toml``, ``facesets/``, ``files.json`` (which photo of ``photos/``
lies where), ``expected.json`` (what its registry said, see make_fixtures.py), and ``crops/`` and ``sessions.toml`` where it had them.
What each run makes anew (queue, caches, logs) is left out. ``@WORKSPACE@``,
``@FOLDER@`` and ``@PACKS@`` in its text stand for folders that are elsewhere each time.

>>> workspace = load("immich_boxes", tmp_path)
>>> with goes_on("immich_boxes", workspace) as world:
...     for words in world.commands:
...         main(["-C", str(workspace), *words])
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesets.immich import Client, session
from facesets.testing import Asset, Box, Faults, ImmichServer, Library, Person, User, immich_server
from facesets.testing.twins import twin_pack

from ..postgres import fill

HERE = Path(__file__).parent
PHOTOS, WORKSPACES = HERE / "photos", HERE / "workspaces"
VECTORS = HERE / "vectors.json"  # what Immich's database holds: face id -> float32, little-endian, in hex
VERSION = "3.1.0"  # of the testing server
MODIFIED = 1_577_880_000  # of every photo's file: a folder's photo that has another time is another photo
KINDS = (
    "immich_boxes",
    "folder",
    "immich_db_before_plan",
    "immich_db_with_sets",
    "immich_db_then_model",
    "login_stream",
    "two_packs",
    "adopted_plain_sets",
    "planned_unwritten",
    "planned_from_crops",
)
UNFINISHED = ("immich_db_before_plan", "planned_unwritten", "planned_from_crops")  # going on writes their sets
DOWNLOADS = {"immich_boxes": 2, "immich_db_before_plan": 9}  # of going on: what healed, what sets need; of the others none
NEED_POSTGRES = ("immich_db_before_plan", "immich_db_with_sets", "immich_db_then_model")
SIDE = 128  # of a face in a photo
PLACES = ((128, 256), (320, 256), (512, 256))
_FOLDERS = ("facesets", "photos", "queue", "caches", "reports", "logs")
_FAMILY = ("p1-2_0", "p1-2_1", "p1-2_2", "p1_3", "p1_4", "p2_3", "p2_4")  # two people, five photos each


def packs(folder: Path) -> Path:
    """Two packs of different ids, ``twin`` and ``other``; the second one's vectors are the first one's, turned around."""
    import onnx  # noqa: PLC0415 - an extra

    twin_pack(folder / "twin", others=False)
    path = twin_pack(folder / "other", others=False) / "w600k_r50.onnx"
    model = onnx.load(str(path))
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.ndim == 2:
            weight.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values[::-1]), weight.name))
    onnx.save(model, str(path))
    return folder


def expected(kind: str) -> Any:
    """What the fixture's registry and folders said, whatever the schema."""
    return json.loads((WORKSPACES / kind / "expected.json").read_text())


def load(kind: str, destination: Path, *, made: Path | None = None) -> Path:
    """Unpack a fixture below the empty folder ``destination`` and return its workspace.

    ``made``: what :func:`packs` made already; it is made in ``destination`` else.
    """
    fixture, workspace = WORKSPACES / kind, destination / "workspace"
    prepare(destination, made)
    for path in sorted(fixture.iterdir()):
        if path.is_dir():
            shutil.copytree(path, workspace / path.name, dirs_exist_ok=True)
    for name in ("facesets.toml", "sessions.toml"):
        if (fixture / name).is_file():
            (workspace / name).write_text(_filled_in((fixture / name).read_text(), destination))
            (workspace / name).chmod(0o600)
    for place, name in json.loads((fixture / "files.json").read_text()).items():
        put_photo(destination / place, name)
    db = sqlite3.connect(workspace / "registry.sqlite")
    db.executescript(_filled_in((fixture / "registry.sql").read_text(), destination))
    db.close()
    (workspace / "registry.sqlite").chmod(0o600)
    return workspace


def prepare(destination: Path, made: Path | None = None) -> None:
    """An empty workspace's folders, and beside it the packs, and a home in which InsightFace keeps the first of them."""
    for name in _FOLDERS:
        (destination / "workspace" / name).mkdir(parents=True)
    (destination / "workspace").chmod(0o700)
    if made is None:
        packs(destination / "packs")
    else:
        (destination / "packs").symlink_to(made)
    models = destination / "home" / ".insightface" / "models"
    models.mkdir(parents=True)
    (models / "buffalo_l").symlink_to(destination / "packs" / "twin")


def placeholders(destination: Path) -> Mapping[str, str]:
    """What stands in a fixture's text for folders below ``destination``."""
    return {
        "@WORKSPACE@": str(destination / "workspace"),
        "@FOLDER@": str((destination / "folder").resolve()),
        "@PACKS@": str(destination / "packs"),
    }


def _filled_in(text: str, destination: Path) -> str:
    for word, path in placeholders(destination).items():
        text = text.replace(word, path)
    return text


def put_photo(path: Path, name: str) -> None:
    """Lay a photo of ``photos/`` down at ``path``, with the time that all have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTOS / name, path)
    os.utime(path, (MODIFIED, MODIFIED))


# -- going on


@dataclass
class World:
    """What is around a workspace while it runs; ``library`` may be changed. ``commands`` follow ``facesets -C workspace``."""

    destination: Path
    library: Library
    server: ImmichServer
    faults: Faults
    commands: list[list[str]]

    @property
    def downloads(self) -> int:
        """How many originals were asked for."""
        return self.server.count("GET /api/assets/{id}/original")


@contextmanager
def around(kind: str, destination: Path, library: Library, postgres: str | None = None) -> Iterator[World]:
    """A server with ``library``, and an environment that tells where it is; for pack immich-db also its database."""
    faults = Faults()
    with immich_server(library, VERSION, faults=faults) as server, pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("IMMICH_")]:
            patched.delenv(name)
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("FACESETS_ENGINE", "cpu")
        patched.setenv("HOME", str(destination / "home"))
        if kind != "login_stream":
            for user in library.users.values():
                patched.setenv(f"IMMICH_API_KEY_{user.name.upper()}", library.key_for(user))
        if kind in NEED_POSTGRES:
            assert postgres is not None, f"{kind} needs a Postgres"
            fill(postgres, library, stored_vectors())
            patched.setenv("IMMICH_DB_URL", postgres)
        yield World(destination, library, server, faults, commands(kind, destination))


@contextmanager
def goes_on(kind: str, workspace: Path, postgres: str | None = None) -> Iterator[World]:
    """The world around a loaded workspace, in which its ``commands`` go on, one after the other, inside the block.

    Each ends with 0, and all together download as many originals as :data:`DOWNLOADS` says. After each, ``facesets/`` is as
    ``expected(kind)["files_after"]`` says, which but for :data:`UNFINISHED` is how it was before. ``postgres``: the address of one
    whose content may go, for :data:`NEED_POSTGRES`.
    """
    destination = workspace.parent
    library = LIBRARIES[kind]()
    with around(kind, destination, library, postgres) as world:
        later(kind, library)
        if kind == "login_stream":
            log_in(world)
        yield world


def commands(kind: str, destination: Path) -> list[list[str]]:
    """The command lines of a kind."""
    run = ["run", "--user", "anna"]
    if kind == "immich_boxes":
        return [[*run, "--user", "bob"]]
    if kind == "folder":
        return [["run", "--user", "box", "--folder", str(destination / "folder")]]
    if kind == "immich_db_then_model":
        return [run, [*run, "--pack", str(destination / "packs" / "twin")], run]
    if kind == "two_packs":
        return [run, [*run, "--pack", str(destination / "packs" / "other")], run]
    return [run, run]


def log_in(world: World) -> str:
    """Log Anna in; her token is the same each time, as the testing server makes it."""
    anna = next(iter(world.library.users.values()))
    with Client(world.server.url + "/api", "") as anonymous:
        return session.login(anonymous, anna.email, anna.password)[0]


def stored_vectors() -> dict[str, np.ndarray[Any, Any]]:
    """What Immich's database holds, by face id."""
    return {face_id: np.frombuffer(bytes.fromhex(text), "<f4") for face_id, text in json.loads(VECTORS.read_text()).items()}


# -- libraries


def boxes(people: list[int], side: int = SIDE) -> list[Box]:
    """What Immich says of a photo of these people."""
    half = side / 2
    return [Box(x - half, y - half, x + half, y + half) for _, (x, y) in zip(people, PLACES, strict=False)]


def people_of(name: str) -> list[int]:
    """Who is in a photo of this name, from left to right."""
    kind = name.split("_", maxsplit=1)[0]
    return [int(number) for number in kind[1:].split("-")] if kind[0] == "p" else []


def add(library: Library, owner: User, name: str, who: Mapping[int, Person] | None = None, /, **fields: Any) -> Asset:
    """A photo of ``photos/`` in the library, taken in the week of its place there."""
    at = len(library.assets)
    data = (PHOTOS / f"{name}.jpg").read_bytes()
    people = people_of(name)
    found = boxes(people)
    if who:
        found = [Box(b.x1, b.y1, b.x2, b.y2, person=who.get(one)) for b, one in zip(found, people, strict=True)]
    told: dict[str, Any] = {
        "file_name": f"{name}.jpg",
        "taken_at": datetime.fromisoformat("2020-01-01T12:00:00+00:00") + timedelta(days=7 * at),
        "faces": found,
    } | fields
    return library.photo(owner, data, **told)


def family() -> Library:
    """Anna's two people, whom Immich knows by name, and a stranger."""
    library = Library()
    anna = library.user("anna")
    who = {1: library.person(anna, "Grandma"), 2: library.person(anna, "")}
    for name in (*_FAMILY, "p9_0"):
        add(library, anna, name, who)
    return library


def several_lots() -> Library:
    """The family's photos, and others that are left aside, fail, or are duplicates; Bob's; and Carol's, who shares with Anna."""
    library = family()
    anna = next(iter(library.users.values()))
    bob, carol = library.user("bob"), library.user("carol")
    add(library, anna, "p1-2_0", file_name="uploaded again.jpg", original_path="/data/upload/again/2020.jpg")
    external = library.external(anna)
    add(library, anna, "p1_3b", file_name="smaller.jpg")  # the same exposure, compressed more
    add(library, anna, "none_0")
    add(library, anna, "small_0", faces=boxes([2], 64))
    add(library, anna, "none_1", faces=boxes([5]))  # Immich sees a face there, the pack none
    add(library, anna, "p1_4", library=external, file_name="thumb.jpg", original_path="/mnt/media/thumbs/ab/thumb.jpg")
    add(library, anna, "p1_5", file_name="archived.jpg", visibility="archive")
    add(library, anna, "p1_6", file_name="trashed.jpg", deleted_at=anna.created_at)
    add(library, anna, "p1_6", file_name="hidden.jpg", visibility="hidden")
    library.photo(anna, b"no video either", file_name="film.mp4")
    add(library, anna, "cut_0", faces=boxes([2]), has_preview=False)
    add(library, anna, "p8_0", file_name="comes later.jpg")
    add(library, anna, "p2_6", file_name="refused.jpg")
    on_top, beneath = (add(library, anna, f"none_{n}", file_name=f"stacked{n}.jpg", faces=[]) for n in (2, 3))
    library.stack(on_top, beneath)
    add(library, anna, "none_4", file_name="goes.jpg", faces=[])
    add(library, bob, "p1-2_1", file_name="same as anna's.jpg")
    add(library, bob, "p2_5")
    add(library, carol, "none_5", file_name="carol's.jpg", faces=[])
    library.partner(carol, anna, in_timeline=True)
    return library


def named(library: Library, file_name: str) -> Asset:
    """The only asset of this file name."""
    (found,) = [asset for asset in library.assets.values() if asset.file_name == file_name]
    return found


def told_by_database() -> Library:
    """The family's photos, two more of the first person, one of them external, a copy, and a face that has no vector there."""
    library = family()
    anna = next(iter(library.users.values()))
    add(library, anna, "p1_5")
    add(library, anna, "p1_6", library=library.external(anna))
    add(library, anna, "p9_0", file_name="again.jpg")
    add(library, anna, "p8_0")
    add(library, anna, "none_0")
    return library


LIBRARIES = {
    "immich_boxes": several_lots,
    "folder": Library,
    "immich_db_before_plan": told_by_database,
    "immich_db_with_sets": told_by_database,
    "immich_db_then_model": told_by_database,
    "login_stream": family,
    "two_packs": family,
    "adopted_plain_sets": family,
    "planned_unwritten": family,
    "planned_from_crops": family,
}


def later(kind: str, library: Library) -> None:
    """What happened after the first run, or after the first listing, and stays so."""
    anna = next(iter(library.users.values()), None)
    if kind == "immich_boxes":
        assert anna is not None
        add(library, anna, "p1_5", file_name="next month.jpg")
        (external,) = library.libraries.values()
        add(library, anna, "p2_3", library=external, file_name="copy.jpg", thumbhash=named(library, "p2_3.jpg").thumbhash)
        del library.assets[named(library, "goes.jpg").id]
    if kind == "immich_db_with_sets":
        named(library, "p1_5.jpg").is_offline = True  # the server has no file of it any more, and its database does not say so
