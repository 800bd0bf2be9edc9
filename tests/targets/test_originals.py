"""Originals that are not here any more are fetched again from their Immich, for the faces that are handed on alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from facesets.testing import ImmichServer
from tests.pipeline.conftest import cli, faults, library, pack, server
from tests.pipeline.world import CommandLine

from .conftest import change

__all__ = ["cli", "faults", "library", "pack", "server"]


@pytest.fixture
def home(cli: CommandLine) -> CommandLine:
    """A run that kept no original, and a name for one of its people."""
    from facesets.workspace import Workspace  # noqa: PLC0415

    cli.set("keep_originals = false")
    assert cli("run", "--user", "anna").code == 0
    assert not any(path.is_file() for path in (cli.workspace / "photos").rglob("*.jpg"))
    change(Workspace.open(cli.workspace), "faceset_001", name="Grandma")
    return cli


def downloads(server: ImmichServer) -> int:
    return sum(n for request, n in server.requests.items() if request.endswith("/original"))


def test_originals_are_fetched_again_and_nothing_of_them_stays(home: CommandLine, server: ImmichServer, tmp_path: Path) -> None:
    before = downloads(server)
    done = home("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out", "--json")
    (one,) = done.json["people"]
    assert (done.code, one["new"] >= 4, {*one["left_out"].values()}) == (0, True, {"others were chosen"})
    assert one["new"] <= downloads(server) - before <= 9
    assert not any(path.is_file() for path in (home.workspace / "photos").rglob("*.jpg"))


def test_sidecars_of_an_immichs_photos_need_a_tree(home: CommandLine, tmp_path: Path) -> None:
    refused = home("export", "--to", "xmp", "Grandma")
    assert (refused.code, "--out DIR" in refused.line) == (2, True)
    done = home("export", "--to", "xmp", "Grandma", "--out", tmp_path / "tree")
    assert done.code == 0
    assert len(list((tmp_path / "tree").rglob("*.jpg.xmp"))) >= 7


def test_a_server_that_is_away_ends_the_export_and_nothing_is_half_made(
    home: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_URL", "http://127.0.0.1:9")
    home.set("attempts = 1")
    refused = home("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out")
    assert refused.code == 1
    assert "Immich" in refused.line or "127.0.0.1" in refused.line
    assert not (tmp_path / "out").exists()


def test_a_photo_that_the_server_has_no_more_is_left_out_with_its_reason(
    home: CommandLine, server: ImmichServer, tmp_path: Path
) -> None:
    library = server.library
    gone = next(asset for asset in library.assets.values() if asset.file_name.startswith("p1_"))
    del library.assets[gone.id]
    done = home("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out", "--json")
    (one,) = done.json["people"]
    assert done.code == 0
    assert all("cannot be fetched" in why for why in one["left_out"].values() if why != "others were chosen")
