"""Whole runs against an Immich over real HTTP, with a twin pack: what promises 1 to 4 say, as a user would see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from facesets.testing import Faults, ImmichServer, Library
from facesets.testing import faults as fault

from .world import CommandLine, add_photos, jpeg, tree

ORIGINAL = "GET /api/assets/{id}/original"


def test_a_library_becomes_one_set_a_person(cli: CommandLine, server: ImmichServer) -> None:
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    summary = answer.json
    assert summary["sets_new"] == ["faceset_001", "faceset_002", "faceset_003"]
    assert summary["listed"] == summary["downloads"] == summary["embedded"] == 24
    assert summary["requests"] == sum(server.requests.values())
    assert summary["listed"] == sum(summary["assets_by_state"].values())
    assert sum(summary["faces_by_state"].values()) == 7 * 3 + 2 * 2 + 1
    # larger first: persons 1 and 2 are in nine photos, person 3 in seven
    sizes = [len(list((cli.workspace / "facesets" / name / "faces").iterdir())) for name in summary["sets_new"]]
    assert sizes == [9, 9, 7]
    assert cli("verify").code == 0


def test_a_second_run_fetches_embeds_and_writes_nothing(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    before = tree(cli.workspace / "facesets")
    summary = cli("run", "--user", "anna", "--json").json
    assert (summary["downloads"], summary["embedded"], summary["sets_new"]) == (0, 0, [])
    assert summary["sets_unchanged"] == ["faceset_001", "faceset_002", "faceset_003"]
    assert tree(cli.workspace / "facesets") == before


def test_next_months_photos_find_their_people_and_move_nothing(cli: CommandLine, library: Library) -> None:
    cli("run", "--user", "anna")
    before = tree(cli.workspace / "facesets")
    anna = next(iter(library.users.values()))
    add_photos(library, anna, [1], 3, first=40)
    add_photos(library, anna, [5], 6, first=40)
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["downloads"] == 9
    assert summary["sets_new"] == ["faceset_004"]
    assert summary["steps"]["cluster"]["already_covered"] == 3
    after = tree(cli.workspace / "facesets")
    assert {path: digest for path, digest in after.items() if path in before and path != "manifest.json"} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }


def test_same_input_same_bytes(cli: CommandLine, tmp_path: Path) -> None:
    cli("run", "--user", "anna")
    first, settings = tree(cli.workspace / "facesets"), (cli.workspace / "facesets.toml").read_text()
    again = CommandLine(tmp_path / "again", cli.capsys)
    again("init")
    (again.workspace / "facesets.toml").write_text(settings)
    assert again("run", "--user", "anna").code == 0
    assert tree(again.workspace / "facesets") == first


def test_curated_sets_of_plain_images_are_recognised_and_never_touched(cli: CommandLine) -> None:
    curated = cli.workspace / "facesets" / "faceset_007"
    curated.mkdir(parents=True)
    for n in range(3):
        (curated / f"grandma {n}.jpg").write_bytes(jpeg([1], 77_000 + n))
    before = tree(curated)
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["sets_new"] == ["faceset_008", "faceset_009"]
    assert summary["sets_unchanged"] == ["faceset_007"]
    assert summary["steps"]["cluster"]["covered_by_set"] == {"faceset_007": 9}
    assert tree(curated) == before


def test_numbers_of_era_splits_and_thin_sets_count_as_used(cli: CommandLine) -> None:
    for name in ("faceset_011_era_2012-2016", "_thin/faceset_014_era_2001-2003"):
        (cli.workspace / "facesets" / name).mkdir(parents=True)
    assert cli("run", "--user", "anna", "--json").json["sets_new"] == ["faceset_015", "faceset_016", "faceset_017"]


def test_a_set_that_its_owner_thinned_out_is_said_until_it_is_accepted(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    (cli.workspace / "facesets" / "faceset_001" / "faces" / "0009.png").unlink()
    assert cli("verify").code == 1
    answer = cli("run", "--user", "anna", "--json")
    assert "faceset_001: 1 file missing" in answer.err
    assert answer.json["sets_new"] == []
    assert cli("verify").code == 1
    assert cli("accept", "faceset_001").code == 0
    assert cli("verify").code == 0


def test_damaged_files_of_a_set_are_said_and_stay_provable(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    victim = cli.workspace / "facesets" / "faceset_001" / "faces" / "0001.png"
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    answer = cli("run", "--user", "anna", "--json")
    assert "faceset_001: 1 file with other bytes than recorded" in answer.err
    proof = cli("verify", "--json")
    assert proof.code == 1
    assert [problem["file"] for problem in proof.json["problems"]] == ["faces/0001.png"]


def test_a_set_that_its_owner_deleted_does_not_come_back(cli: CommandLine, library: Library) -> None:
    cli("run", "--user", "anna")
    shutil.rmtree(cli.workspace / "facesets" / "faceset_002")
    add_photos(library, next(iter(library.users.values())), [2], 6, first=60)
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["sets_new"] == []
    assert not (cli.workspace / "facesets" / "faceset_002").exists()


def test_photos_that_may_heal_stop_the_run_before_the_plan(cli: CommandLine, library: Library, faults: Faults) -> None:
    victim = next(iter(library.assets))
    faults.add(fault.status(503), ORIGINAL, containing=victim)
    cli.set("attempts = 1")
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 3
    assert answer.json["retryable"] == 1
    assert answer.json["exit_code"] == 3
    assert answer.json["sets_new"] == []
    assert answer.json["listed"] == sum(answer.json["assets_by_state"].values())
    faults.clear()
    healed = cli("run", "--user", "anna", "--json")
    assert healed.code == 0
    assert healed.json["downloads"] == 1
    assert len(healed.json["sets_new"]) == 3


def test_accept_missing_goes_on_without_them(cli: CommandLine, library: Library, faults: Faults) -> None:
    faults.add(fault.status(503), ORIGINAL, containing=next(iter(library.assets)))
    cli.set("attempts = 1")
    answer = cli("run", "--user", "anna", "--accept-missing", "--json")
    assert answer.code == 0
    assert len(answer.json["sets_new"]) == 3
    assert answer.json["retryable"] == 1


def test_the_steps_one_by_one_end_where_run_ends(cli: CommandLine, tmp_path: Path) -> None:
    for step in ("stage", "embed", "cluster"):
        assert cli(step, "--user", "anna").code == 0
    assert not list((cli.workspace / "facesets").glob("faceset_*"))
    assert json.loads(cli("status", "--json").out)["sets_planned"] == ["faceset_001", "faceset_002", "faceset_003"]
    assert cli("write").code == 0
    stepwise, settings = tree(cli.workspace / "facesets"), (cli.workspace / "facesets.toml").read_text()
    whole = CommandLine(tmp_path / "whole", cli.capsys)
    whole("init")
    (whole.workspace / "facesets.toml").write_text(settings)
    whole("run", "--user", "anna")
    assert tree(whole.workspace / "facesets") == stepwise


def test_a_plain_folder_needs_no_server(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_URL")
    monkeypatch.delenv("IMMICH_API_KEY")
    photos = tmp_path / "photos"
    for person in (1, 2):
        for n in range(6):
            path = photos / f"holiday {person}" / f"{n}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg([person], 100 * person + n))
    (photos / "notes.txt").write_text("not a photo")
    before = tree(photos)
    summary = cli("run", "--folder", photos, "--user", "folder", "--json").json
    assert summary["sets_new"] == ["faceset_001", "faceset_002"]
    assert (summary["listed"], summary["requests"], summary["downloads"]) == (13, 0, 0)
    assert summary["listed"] == sum(summary["assets_by_state"].values())
    assert tree(photos) == before
    (photos / "new.jpg").write_bytes(jpeg([1], 999))
    assert cli("run", "--user", "folder", "--json").json["listed"] == 14, "which folder is known by now"
    for words in (("--user", "anna", "--user", "folder"), ("--all-users",)):
        assert "has a call of its own: facesets run --user folder" in cli("run", *words).line
    photos.rename(tmp_path / "moved")
    assert f"is not there: {photos}. Is its disk mounted?" in cli("run", "--user", "folder").line
    (tmp_path / "moved" / "later.jpg").write_bytes(jpeg([2], 998))
    assert cli("stage", "--user", "folder", "--folder", tmp_path / "moved").code == 0
    (tmp_path / "moved").rename(tmp_path / "moved again")
    assert cli("run", "--user", "folder", "--folder", tmp_path / "moved again").code == 0
    originals = [Path(row["original"]) for row in cli("list", "assets", "--json").json if row["original"]]
    assert len(originals) == 14
    assert all(path.is_relative_to(tmp_path / "moved again") and path.is_file() for path in originals), "photos are found again"


def test_a_cache_named_in_settings_saves_embedding(cli: CommandLine, tmp_path: Path) -> None:
    cli("run", "--user", "anna")
    other = CommandLine(tmp_path / "other", cli.capsys)
    other("init")
    (other.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
    other.set(f'read = ["{cli.workspace / "caches" / "anna.npz"}"]')
    summary = other("run", "--user", "anna", "--json").json
    assert summary["steps"]["stage"]["anna"]["deduped_against_existing"] == 24
    assert summary["embedded"] == 0


def test_no_key_and_no_address_stands_in_any_file_or_line(cli: CommandLine, server: ImmichServer) -> None:
    said = [cli("-vv", "run", "--user", "anna", "--json"), cli("status"), cli("list", "assets"), cli("verify")]
    key, address = server.key_for("anna"), server.url.split("://")[1].encode()
    for answer in said:
        assert key not in answer.out + answer.err
    for path in cli.workspace.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
    for path in (cli.workspace / "facesets").rglob("*.json"):
        assert address not in path.read_bytes(), path
