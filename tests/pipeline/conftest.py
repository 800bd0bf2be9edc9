from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Faults, ImmichServer, Library, immich_server
from facesets.testing.twins import twin_pack

from ..decoders import lend
from .world import CommandLine, add_photos, configure


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return twin_pack(tmp_path_factory.mktemp("twin"), others=False)


@pytest.fixture
def library() -> Library:
    """Anna's library: three people with seven photos each, one of them in two photos more, and a stranger seen once."""
    library = Library()
    anna = library.user("anna")
    for person in (1, 2, 3):
        add_photos(library, anna, [person], 7)
    add_photos(library, anna, [1, 2], 2, first=20)
    add_photos(library, anna, [9], 1)
    return library


@pytest.fixture
def faults() -> Faults:
    """What shall go wrong; a test adds to it before or while it runs."""
    return Faults()


@pytest.fixture
def server(library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, faults=faults) as running:
        yield running


@pytest.fixture
def cli(
    tmp_path: Path,
    server: ImmichServer,
    pack: Path,
    decoders: DecoderPool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """The command line on a fresh workspace, told by its environment where the server is."""
    lend(decoders, monkeypatch)
    monkeypatch.setenv("IMMICH_URL", server.url)
    monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
    cli = CommandLine(tmp_path / "w", capsys)
    assert cli("init").code == 0
    configure(cli.workspace, pack)
    return cli
