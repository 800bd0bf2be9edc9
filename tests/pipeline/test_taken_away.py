"""Photos that their owner throws away, archives or takes offline once their faces are in sets: they stay the faces' photos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from facesets.testing import Library
from facesets.testing.immich.records import Asset

from .world import CommandLine, jpeg, tree

RUN = ("run", "--user", "anna", "--json")


@pytest.mark.parametrize(
    ("reason", "take_away"),
    [
        ("trashed", lambda asset: setattr(asset, "deleted_at", asset.updated_at)),
        ("offline", lambda asset: setattr(asset, "is_offline", True)),
        ("archived", lambda asset: setattr(asset, "visibility", "archive")),
        ("gone", lambda asset: setattr(asset, "visibility", "locked")),
    ],
)
def test_the_photo_of_a_face_is_named_whatever_became_of_it(
    reason: str, take_away: Callable[[Asset], None], cli: CommandLine, library: Library
) -> None:
    cli(*RUN)
    before, sets = cli("list", "faces", "--json").json, tree(cli.workspace / "facesets")
    victim = next(asset for asset in library.assets.values() if asset.file_name == "p1_0.jpg")
    take_away(victim)
    victim.updated_at = library.now()
    cli(*RUN)
    assert cli("explain", victim.id, "--json").json["reason"] == reason
    faces = cli("list", "faces", "--json").json
    assert [(row["face_id"], row["asset_id"], row["file_name"]) for row in faces] == [
        (row["face_id"], row["asset_id"], row["file_name"]) for row in before
    ]
    (face,) = (row for row in faces if row["asset_id"] == victim.id)
    story = cli("explain", face["face_id"], "--json").json
    assert (story["asset_id"], story["file_name"], story["taken_at"]) == (victim.id, "p1_0.jpg", face["taken_at"])
    assert face["path"] == story["path"]
    assert (face["path"] is None) == (reason == "gone")
    assert cli("explain", face["set"]).out.count("p1_0.jpg") == 1
    assert tree(cli.workspace / "facesets") == sets


def test_the_photo_of_a_face_is_named_when_its_file_was_edited_since(cli: CommandLine, library: Library) -> None:
    cli(*RUN)
    before = cli("list", "faces", "--json").json
    victim = next(asset for asset in library.assets.values() if asset.file_name == "p1_0.jpg")
    data = jpeg([1], 9_999)
    victim.data, victim.size, victim.sha1, victim.updated_at = data, len(data), hashlib.sha1(data).digest(), library.now()
    cli(*RUN)
    faces = {row["face_id"]: row for row in cli("list", "faces", "--json").json}
    (old,) = (row for row in before if row["asset_id"] == victim.id)
    assert faces[old["face_id"]]["sha256"] != cli("explain", victim.id, "--json").json["sha256"]
    assert [(row["asset_id"], row["file_name"], row["path"]) for row in before] == [
        (faces[row["face_id"]]["asset_id"], faces[row["face_id"]]["file_name"], faces[row["face_id"]]["path"]) for row in before
    ]
    story = cli("explain", old["face_id"], "--json").json
    assert (story["asset_id"], story["file_name"], story["photo_changed"]) == (victim.id, "p1_0.jpg", True)
    assert f"Its photo was asset {victim.id}, whose file has changed since then" in cli("explain", old["face_id"]).out
    assert cli("explain", old["set"]).out.count("p1_0.jpg") == 1
