"""Each workspace that schema 6 left behind goes on with this code: nothing in its sets changes, and what was planned is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from facesets.models import load_pack
from facesets.photos import DecoderPool

from ..decoders import lend
from ..pipeline.world import CommandLine, tree
from . import worlds


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture(params=worlds.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def postgres_if_needed(kind: str, request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("postgres")) if kind in worlds.NEED_POSTGRES else None


def test_the_packs_are_those_that_the_fixtures_were_made_with(made: Path) -> None:
    ids = {load_pack(made / name).id for name in ("twin", "other")}
    assert ids == {photo["pack"] for photo in worlds.expected("two_packs")["photos"]}


def test_a_fixture_lies_as_its_facts_say(kind: str, tmp_path: Path, made: Path) -> None:
    workspace, said = worlds.load(kind, tmp_path, made=made), worlds.expected(kind)
    assert tree(workspace / "facesets") == said["files"]
    recorded = {f"{one['name']}/{path}": digest for one in said["sets"] for path, digest in one["files"].items()}
    assert recorded.items() <= said["files"].items()
    here = {hashlib.sha256(path.read_bytes()).hexdigest() for top in ("workspace/photos", "folder") for path in _files(tmp_path / top)}
    with_path = {asset["sha256"] for asset in said["assets"].values() if asset["has_path"]}
    assert with_path - here == (with_path if kind == "planned_from_crops" else set())


def test_it_goes_on_and_changes_no_byte(
    kind: str,
    tmp_path: Path,
    made: Path,
    decoders: DecoderPool,
    postgres_if_needed: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lend(decoders, monkeypatch)
    said = worlds.expected(kind)
    cli = CommandLine(worlds.load(kind, tmp_path, made=made), capsys)
    assert (said["files_after"] == said["files"]) is (kind not in worlds.UNFINISHED)
    if kind not in worlds.UNFINISHED:
        assert cli("verify").code == 0
    with worlds.goes_on(kind, cli.workspace, postgres_if_needed) as world:
        for words in world.commands:
            answer = cli(*words)
            assert answer.code == 0, answer.err
            after = tree(cli.workspace / "facesets")
            if kind == "immich_db_before_plan":  # nothing was planned: which face of a set comes first is for this code to say
                assert _crops(after) == _crops(said["files_after"])
            else:
                assert after == said["files_after"]
        assert world.downloads == worlds.DOWNLOADS.get(kind, 0)
        answer = cli("verify")
        assert answer.code == 0, answer.err + answer.out


def _crops(files: Mapping[str, str]) -> dict[str, list[str]]:
    """The hashes of each set's crops, in no order."""
    sets = sorted({path.split("/")[0] for path in files if path.endswith(".png")})
    return {name: sorted(digest for path, digest in files.items() if path.startswith(f"{name}/faces/")) for name in sets}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
