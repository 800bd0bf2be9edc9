"""A workspace with sets of real faces: photos that installed packages carry, the open pack, and a set that was there before."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facesets import people
from facesets.models.pack import Pack
from facesets.photos.decode import decode
from facesets.photos.decoder_pool import DecoderPool
from facesets.pipeline import run
from facesets.progress import Silent
from facesets.registry import exports
from facesets.targets import consent, find
from facesets.testing import samples
from facesets.testing.sample_library import encoded
from facesets.workspace import Workspace
from tests.decoders import lend
from tests.pipeline.world import CommandLine, jpeg, put

Rgb = npt.NDArray[np.uint8]

SITTERS = ("auburn", "crimson")  # who gets a set; charcoal has one already
DRAWN = {"auburn": 1, "crimson": 2, "charcoal": 3}  # the people whom the twin pack knows in their place
START = datetime.fromisoformat("2015-03-01T10:00:00+00:00")
LOOKS = tuple(range(len(samples.LOOKS)))


def portrait(sitter: str, n: int) -> Rgb:
    """One look of a real sitter, large enough to be cut for training."""
    return samples.portrait(sitter, replace(samples.LOOKS[n], scale=1.8 * samples.LOOKS[n].scale)).rgb


def drawing(sitter: str, n: int) -> Rgb:
    """One look of a sitter as the twin pack knows them."""
    return decode(jpeg([DRAWN[sitter]], 1000 * DRAWN[sitter] + n)).rgb


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory, open_pack: Pack, model_cache: Path, decoders: DecoderPool) -> Path:
    """A workspace as a run with the open pack left it, beside its folder of photos; tests use copies of it."""
    home = tmp_path_factory.mktemp("portraits")
    workspace = Workspace.init(home / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACESETS_CACHE", str(model_cache))
        lend(decoders, patch)
        _run(workspace, home / "photos", portrait, LOOKS, samples.group(samples.Look(scale=1.6)).rgb, "open")
    return home


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory, twin_folder: Path, decoders: DecoderPool) -> Path:
    """The same with people whom the twin pack sees at once: for what cares about files, records and words, and not about faces.

    It takes what the group picture shows of them for members, too, so that there is one look fewer of each.
    """
    home = tmp_path_factory.mktemp("drawn")
    workspace = Workspace.init(home / "workspace")
    put(workspace.root, f'pack = "{twin_folder}"')
    with_room(workspace.root)
    both = decode(jpeg([DRAWN[sitter] for sitter in SITTERS], 4711)).rgb
    with pytest.MonkeyPatch.context() as patch:
        lend(decoders, patch)
        _run(Workspace.open(workspace.root), home / "photos", drawing, LOOKS[:-1], both, str(twin_folder))
    return home


def with_room(workspace: Path) -> None:
    """Have faces cut with so much room that the twin pack finds them in their crops again."""
    settings = workspace / "facesets.toml"
    settings.write_text(re.sub(r"^(\[export\].*)$", r"\1\nmargin = 1.0", settings.read_text(), flags=re.MULTILINE))


def _run(workspace: Workspace, photos: Path, look: Callable[[str, int], Rgb], looks: Sequence[int], both: Rgb, pack: str) -> None:
    """A folder of photos of both sitters, a curated set of the third, and a run over them."""
    (photos / "both").mkdir(parents=True)
    for sitter in SITTERS:
        for n in looks:
            _save(photos, look, sitter, n, orientation=(1, 6, 3, 8)[n % 4])
    (photos / "both" / "group.jpg").write_bytes(encoded(both, "a.jpg", START, quality=92))
    curated = workspace.facesets / "faceset_001"
    curated.mkdir(parents=True)
    for n in LOOKS[:6]:
        _save(curated, look, "charcoal", n)
    _, left = run(workspace, ["anna"], folder=photos, pack_name=pack, progress=Silent())
    assert left is None


def _save(folder: Path, look: Callable[[str, int], Rgb], sitter: str, n: int, orientation: int = 1) -> None:
    """One look of a sitter, two months after the one before."""
    taken = START + timedelta(days=60 * n)
    (folder / f"{sitter}-{n}.jpg").write_bytes(encoded(look(sitter, n), "a.jpg", taken, quality=92, orientation=orientation))


@pytest.fixture(scope="session")
def made(portraits: Path) -> Path:
    """What ``workspace`` is a copy of; modules that need no real faces say ``drawn``."""
    return portraits


@pytest.fixture(autouse=True)
def _decoders_are_lent(decoders: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    lend(decoders, monkeypatch, "targets.pictures")


@pytest.fixture
def workspace(made: Path, tmp_path: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy in which faceset_002 is Grandma and faceset_003 is Opa; nobody agreed to anything."""
    monkeypatch.setenv("FACESETS_CACHE", str(model_cache))
    shutil.copytree(made / "workspace", tmp_path / "workspace")
    copy = Workspace.open(tmp_path / "workspace")
    name(copy, "faceset_002", "Grandma")
    name(copy, "faceset_003", "Opa")
    return copy


@pytest.fixture
def facesets(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in the workspace."""
    return CommandLine(workspace.root, capsys)


@pytest.fixture
def agreed(workspace: Workspace) -> Workspace:
    """Grandma agreed, is an adult, and somebody looked at her set."""
    agree(workspace, "faceset_002")
    return workspace


def agree(workspace: Workspace, set_name: str) -> None:
    """Record an agreement, as if the contact sheet had been shown."""
    with workspace.registry() as registry:
        person = find(registry, set_name)
        consent.note_shown(registry, person)
        consent.give(registry, person, by="Anna", looked=True)


def name(workspace: Workspace, set_name: str, called: str | None, **more: str) -> None:
    """What naming does to the registry."""
    change(workspace, set_name, name=called, **more)


def change(workspace: Workspace, set_name: str, **columns: str | None) -> None:
    """Change a person's row."""
    with workspace.registry() as registry, registry.transaction():
        for column, value in columns.items():
            registry.db.execute(
                f"UPDATE people SET {column} = ? WHERE id = (SELECT person_id FROM sets WHERE name = ?)", (value, set_name)
            )


def drop_face(workspace: Workspace, set_name: str, key: str | None = None) -> str:
    """Reject a face (the first) of a set, whose folder is still to follow; returns its id."""
    with workspace.registry() as registry:
        key = key or exports.files(registry, set_name)[0][0]
        people.reject(workspace, registry, [key])
    return key
