from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.cli import main
from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Library, immich_server
from facesets.testing.twins import twin_pack
from facesets.workspace import Workspace

from ..decoders import lend
from ..pipeline.world import CommandLine, add_photos, configure
from .home import Home


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return twin_pack(tmp_path_factory.mktemp("twin"), others=False)


@pytest.fixture(scope="session")
def after_a_run(tmp_path_factory: pytest.TempPathFactory, pack: Path, decoders: DecoderPool) -> Path:
    """A workspace after two runs: three sets of 9, 9 and 7 faces, and two recognised faces more of the first."""
    root = tmp_path_factory.mktemp("first") / "w"
    library = Library()
    anna = library.user("anna")
    for person in (1, 2, 3):
        add_photos(library, anna, [person], 7)
    add_photos(library, anna, [1, 2], 2, first=20)
    with pytest.MonkeyPatch.context() as patched, immich_server(library) as server:
        lend(decoders, patched)
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("IMMICH_API_KEY", server.key_for("anna"))
        call(root, "init")
        configure(root, pack)
        call(root, "run", "--user", "anna")
        add_photos(library, anna, [1], 2, first=40)
        call(root, "run", "--user", "anna")
    return root


def call(root: Path, *words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["-C", str(root), *words])
    assert stopped.value.code == 0


@pytest.fixture
def home(
    tmp_path: Path,
    after_a_run: Path,
    decoders: DecoderPool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Home]:
    """A copy of it, its registry open; originals are gone."""
    lend(decoders, monkeypatch)
    root = tmp_path / "w"
    shutil.copytree(after_a_run, root)
    workspace = Workspace.open(root)
    with workspace.registry() as registry:
        yield Home(workspace, registry, decoders, CommandLine(root, capsys))
