"""A family in Immich, a workspace after a run over it, and the two side by side for each test."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.cli import main
from facesets.photos.decoder_pool import DecoderPool
from facesets.registry import Registry, people
from facesets.testing import Faults, Library, immich_server
from facesets.testing.twins import twin_pack

from ..decoders import lend
from ..pipeline.world import CommandLine, configure
from .home import NAMES, Home, family


@pytest.fixture(scope="session")
def after_a_run(tmp_path_factory: pytest.TempPathFactory, decoders: DecoderPool) -> tuple[Path, Library]:
    """A workspace with ten named sets, one a person, and the library that it was made from."""
    root = tmp_path_factory.mktemp("publish") / "w"
    library = family()
    with pytest.MonkeyPatch.context() as patched, immich_server(library) as server:
        lend(decoders, patched)
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("IMMICH_API_KEY", server.key_for("anna"))
        _call(root, "init")
        configure(root, twin_pack(tmp_path_factory.mktemp("twin"), others=False))
        _call(root, "run", "--user", "anna")
        for set_name, person in _who(root).items():
            _call(root, "name", set_name, NAMES[person])
        _call(root, "write")
    return root, library


def _who(root: Path) -> dict[str, int]:
    """Set -> the person in it, by the names of their photos."""
    with Registry.open(root / "registry.sqlite") as registry:
        rows = registry.db.execute(
            "SELECT DISTINCT t.name, substr(a.file_name, 2, instr(a.file_name, '_') - 2) FROM set_faces AS s "
            "JOIN sets AS t ON t.id = s.set_id JOIN measurements AS m ON m.id = s.measurement_id "
            "JOIN assets AS a ON a.photo_id = m.photo_id"
        ).fetchall()
        assert len(rows) == len(people.select(registry)) == len(NAMES)
    return {name: int(person) for name, person in rows}


def _call(root: Path, *words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["-C", str(root), *words])
    assert stopped.value.code == 0


@pytest.fixture
def version() -> str:
    """Immich's; tests of every dialect are given each in turn."""
    return "3.1.0"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facesets.immich.Client.pause", lambda _client, _seconds: None)


@pytest.fixture
def home(
    tmp_path: Path, after_a_run: tuple[Path, Library], version: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """Copies of both, the server running."""
    root, library = tmp_path / "w", copy.deepcopy(after_a_run[1])
    shutil.copytree(after_a_run[0], root)
    faults = Faults()
    with immich_server(library, version, faults=faults) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        yield Home(library, server, CommandLine(root, capsys), faults)
