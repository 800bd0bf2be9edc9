"""Verbs that answer from the registry, the help, and what stdout may carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from facesets.cli import VERBS
from facesets.errors import EXIT_CODES
from facesets.registry import assets
from facesets.workspace import Workspace
from tests.pipeline.conftest import cli, decoders, faults, library, pack, server  # noqa: F401 - the same small world
from tests.pipeline.world import CommandLine


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_takes_json(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = CommandLine(tmp_path, capsys)(verb, "--help")
    assert answer.code == 0
    assert "--json" in answer.out
    assert len(answer.out.splitlines()) > 5


def test_the_help_names_every_verb_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CommandLine(tmp_path, capsys)("--help").out
    for verb in VERBS:
        assert verb in text
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in " ".join(text.split())


def test_list_has_every_asset_and_face_with_what_scripts_need(cli: CommandLine) -> None:  # noqa: F811 - the fixture
    cli("run", "--user", "anna")
    listed = cli("list", "assets", "--json").json
    assert len(listed) == 24
    assert {"asset_id", "owner_id", "sha256", "path", "user", "state", "reason"} <= listed[0].keys()
    faces = cli("list", "faces", "--json").json
    assert {"face_id", "asset_id", "path", "box", "state", "faceset"} <= faces[0].keys()
    assert {face["asset_id"] for face in faces} <= {asset["asset_id"] for asset in listed}
    in_first = cli("list", "faces", "--state", "in_set", "--json").json
    assert sum(face["faceset"] == "faceset_001" for face in in_first) == 9
    assert {s["name"]: s["faces"] for s in cli("list", "sets", "--json").json} == {"faceset_001": 9, "faceset_002": 9, "faceset_003": 7}
    assert len(cli("list", "assets").out.splitlines()) == 25


def test_explain_tells_the_story_of_an_asset_a_face_and_a_set(cli: CommandLine) -> None:  # noqa: F811 - the fixture
    cli("run", "--user", "anna")
    face = cli("list", "faces", "--state", "in_set", "--json").json[0]
    story = cli("explain", face["face_id"][:10], "--json").json
    assert (story["face"], story["faceset"], story["photo"]) == (face["face_id"], face["faceset"], face["asset_id"])
    assert story["distance"] <= 0.45
    story = cli("explain", face["asset_id"], "--json").json
    assert story["state"] == "done"
    assert face["face_id"] in [f["face"] for f in story["faces"]]
    story = cli("explain", face["faceset"], "--json").json
    assert face["face_id"] in [member["face"] for member in story["members"]]
    left_out = cli("list", "faces", "--state", "left_out", "--json").json[0]
    assert "Too few faces" in cli("explain", left_out["face_id"]).out


def test_status_sums_up_and_says_how_the_last_run_ended(cli: CommandLine) -> None:  # noqa: F811 - the fixture
    assert "assets: 0" in cli("status").out
    cli("run", "--user", "anna")
    text = cli("status").out
    assert "24 = 24 done" in text
    assert "stage embed cluster export" in text
    assert ", done" in text


def test_hostile_names_are_shown_escaped(cli: CommandLine) -> None:  # noqa: F811 - the fixture
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET original_path = ? WHERE id = 1", ("\x1b[2J\nfaceset_001\tevil",))
        asset_id = assets.get(registry, 1).asset.asset_id
    for answer in (cli("list", "assets"), cli("explain", asset_id)):
        assert "\x1b" not in answer.out
        assert "\nfaceset_001\tevil" not in answer.out


def test_a_log_of_every_run_is_kept_privately(cli: CommandLine) -> None:  # noqa: F811 - the fixture
    cli("run", "--user", "anna")
    (log,) = (cli.workspace / "logs").iterdir()
    assert log.name == "run-00001.log"
    assert log.stat().st_mode & 0o077 == 0
