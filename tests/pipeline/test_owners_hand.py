"""What owners do to folders of sets, to their libraries and to the registry: it is said, and no command is stuck."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facesets.records import Box
from facesets.registry import Found, faces, measurements
from facesets.testing import Library
from facesets.workspace import Workspace

from .world import CommandLine, boxes, jpeg, tree

RUN = ("run", "--user", "anna", "--json")


def test_a_file_that_vanished_is_said_until_it_is_accepted(cli: CommandLine) -> None:
    cli(*RUN)
    (cli.workspace / "facesets/faceset_001/faces/0009.png").unlink()
    for _ in range(2):
        answer = cli(*RUN)
        assert "faceset_001: 1 file missing" in answer.err
        assert "facesets accept faceset_001" in answer.err
        assert cli("verify").code == 1
    assert "files are taken as they are now" in cli("accept", "faceset_001").out
    assert cli("verify").code == 0, cli("verify").out
    again = cli(*RUN)
    assert again.json["sets_new"] == []
    assert "accept" not in again.err
    assert again.json["faces_by_reason"]["removed"] == 1
    assert cli("verify").code == 0
    assert not (cli.workspace / "facesets/faceset_001/faces/0009.png").exists()
    assert "nothing to accept" in cli("accept", "faceset_001").out


def test_a_removed_set_is_retired_and_its_number_stays_used(cli: CommandLine) -> None:
    cli(*RUN)
    shutil.rmtree(cli.workspace / "facesets/faceset_002")
    assert "faceset_002: its folder is missing" in cli(*RUN).err
    assert cli("verify").code == 1
    assert "retired" in cli("accept", "faceset_002").out
    assert cli("verify").code == 0, cli("verify").out
    again = cli(*RUN)
    assert again.json["sets_new"] == []
    assert cli("verify").code == 0
    assert [row["set"] for row in cli("list", "sets", "--json").json] == ["faceset_001", "faceset_003"]
    with Workspace.open(cli.workspace).registry() as registry:
        assert registry.fact("highest_number") == "3"


def test_a_renamed_set_is_known_by_its_bytes(cli: CommandLine) -> None:
    cli(*RUN)
    (cli.workspace / "facesets/faceset_002").rename(cli.workspace / "facesets/faceset_044")
    answer = cli(*RUN)
    assert "faceset_002 is called faceset_044 now" in answer.err
    assert len(cli("list", "sets", "--json").json) == 3
    assert "keeps its number 2" in cli("accept", "faceset_002").out
    assert cli("verify").code == 0, cli("verify").out
    assert cli(*RUN).json["sets_new"] == []
    assert {row["set"]: row["person"] for row in cli("list", "sets", "--json").json} == {
        "faceset_001": 1, "faceset_044": 2, "faceset_003": 3,
    }  # fmt: skip


def test_what_is_unknown_or_not_written_cannot_be_accepted(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    assert cli("accept", "faceset_077").code == 1
    assert "no set or person is called" in cli("accept", "faceset_077").err


def test_a_photo_deleted_at_its_source_is_of_no_sum_and_its_faces_stay_in_their_set(cli: CommandLine, library: Library) -> None:
    cli(*RUN)
    sets = tree(cli.workspace / "facesets")
    victim = next(asset for asset in library.assets.values() if asset.file_name == "p1_0.jpg")
    del library.assets[victim.id]
    for _ in range(2):
        summary = cli(*RUN).json
        assert summary["listed"] == sum(summary["assets_by_state"].values()) == 23
        assert (summary["gone"], summary["sets_new"]) == (1, [])
        assert tree(cli.workspace / "facesets") == sets
        assert cli("verify").code == 0
    (face,) = cli("explain", victim.id, "--json").json["faces"]
    assert (face["reason"], face["set"]) == ("member", "faceset_001")
    assert cli("explain", face["face_id"], "--json").json["path"] is None
    assert cli("explain", victim.id, "--json").json["path"] is None
    assert "1 more file is no longer at the source" in cli("status").out
    # the same bytes again are a photo of their own, no duplicate of one that is gone, and nothing is looked at twice
    anna = library.users[victim.owner_id]
    back = library.photo(anna, jpeg([1], 1000), file_name="again.jpg", faces=boxes([1]))
    summary = cli(*RUN).json
    assert (summary["embedded"], summary["sets_new"]) == (0, [])
    story = cli("explain", back.id, "--json").json
    assert (story["reason"], story["faces"][0]["set"]) == ("embedded", "faceset_001")
    assert tree(cli.workspace / "facesets") == sets


def test_a_run_with_nothing_to_do_reads_no_file_of_a_set(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(*RUN)
    read: list[str] = []
    real = hashlib.file_digest

    def hashed(file: Any, name: str) -> Any:
        read.append(file.name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", hashed)
    assert cli(*RUN).json["sets_unchanged"] == ["faceset_001", "faceset_002", "faceset_003"]
    assert [name for name in read if "faceset_" in str(name)] == []
    touched = cli.workspace / "facesets/faceset_001/faces/0001.png"
    os.utime(touched)
    for times in (1, 0):  # looked at once more, and then known again
        read.clear()
        assert cli(*RUN).code == 0
        assert (str(touched) in map(str, read)) == times
    assert cli("verify").code == 0
    assert str(touched) in map(str, read)


def test_status_says_that_a_run_is_running_and_of_one_that_died_that_it_was_cut_off(cli: CommandLine) -> None:
    cli(*RUN)
    with Workspace.open(cli.workspace).registry() as registry:
        registry.db.execute("UPDATE runs SET finished_at = NULL, exit_code = NULL")
    with Workspace.open(cli.workspace).lock():
        assert "still at work" in cli("status").out
        assert cli("status", "--json").json["last_run"]["running"] is True
    assert "cut off before its end" in cli("status").out


def test_two_packs_do_not_double_faces(cli: CommandLine) -> None:
    cli(*RUN)
    with Workspace.open(cli.workspace).registry() as registry:
        counted, rows = faces.counts(registry), list(faces.select(registry))
        nearby = [replace(row.face, face_id=f"{n:032x}", pack="other@1", box=_moved(row.face.box)) for n, row in enumerate(rows)]
        measurements.add(registry, (Found(face, row.vector) for face, row in zip(nearby, rows, strict=True)))
        assert faces.counts(registry) == counted
        assert registry.db.execute("SELECT count(*) FROM measurements").fetchone()[0] == 2 * len(rows)
        assert [row.face.face_id for row in faces.select(registry)] == [row.face.face_id for row in rows]
        found = faces.find(registry, f"{3:032x}")
        assert found is not None
        assert (found.reason, found.set_name) == (rows[3].reason, rows[3].set_name)
    assert len(cli("list", "faces", "--json").json) == len(rows)


def _moved(box: Box) -> Box:
    x1, y1, x2, y2 = box
    return x1 + 3, y1 + 3, x2 + 3, y2 + 3


def test_a_backup_can_be_brought_back_and_what_was_written_since_stays(cli: CommandLine) -> None:
    cli("stage", "--user", "anna")
    (backup,) = cli("restore", "--json").json
    cli(*RUN)
    sets = tree(cli.workspace / "facesets")
    assert cli("restore", "1999").code == 2
    answer = cli("restore", backup["backup"], "--json")
    assert answer.code == 0, answer.err
    assert cli("list", "sets", "--json").json == []
    again = cli(*RUN)
    assert again.code == 0, again.err
    assert {name: tree(cli.workspace / "facesets")[name] for name in sets if name != "manifest.json"} == {
        name: digest for name, digest in sets.items() if name != "manifest.json"
    }
    assert all(int(name.removeprefix("faceset_")) > 3 for name in again.json["sets_new"])
    assert cli("verify").code == 0, cli("verify").out


def test_export_without_a_target_says_what_writes_sets(cli: CommandLine) -> None:
    answer = cli("export")
    assert answer.code == 2
    assert "facesets write" in answer.err


@pytest.mark.parametrize("way", ["moved", "back again"])
def test_photos_that_come_back_after_their_planned_set_was_dropped_make_it_all_the_same(
    way: str, cli: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}.jpg").write_bytes(jpeg([1], 1000 + n))
    (folder / "other.jpg").write_bytes(jpeg([2], 2000))
    for step in (("stage", "--user", "box", "--folder", folder), ("embed",), ("cluster",)):
        assert cli(*step).code == 0
    (folder / "sub").mkdir()
    for n in range(6):
        (folder / f"{n}.jpg").rename((folder / "sub" if way == "moved" else tmp_path) / f"{n}.jpg")
    assert "is not made; its number stays unused" in cli("write").err
    if way == "back again":
        assert cli("run", "--user", "box", "--folder", folder, "--json").json["sets_new"] == []
        for n in range(6):
            (tmp_path / f"{n}.jpg").rename(folder / f"{n}.jpg")
    assert cli("run", "--user", "box", "--folder", folder, "--json").json["sets_new"] == ["faceset_002"]
    assert cli("run", "--user", "box", "--folder", folder, "--json").json["sets_new"] == []
    assert cli("list", "faces", "--reason", "photo_lost", "--json").json == []
