"""A change of the model pack: who was rejected stays away, sets of before still grow and merge, and an undo brings the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facesets.testing import Library

from ..migrations.worlds import packs
from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, add_photos, tree
from .test_binding import members
from .test_other_bytes import tag_all


@pytest.fixture(scope="session")
def two_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return packs(tmp_path_factory.mktemp("packs"))


def sets_of(cli: CommandLine) -> dict[str, str]:
    return {path: digest for path, digest in tree(cli.workspace / "facesets").items() if not path.startswith(".")}


def test_sets_of_another_pack_grow_merge_and_go_back_to_the_same_bytes(cli: CommandLine, library: Library, two_packs: Path) -> None:
    run = ("run", "--user", "anna", "--json", "--pack")
    assert len(cli(*run, two_packs / "twin").json["sets_new"]) == 3
    face, *stay = members(cli, "faceset_001")
    assert cli("reject", face).code == 0
    (anna,) = library.users.values()
    add_photos(library, anna, [1], 2, first=40)
    add_photos(library, anna, [5], 7)
    new = cli(*run, two_packs / "other").json
    assert new["sets_new"] == ["faceset_004"]
    assert new["faces_by_reason"]["recognised"] == 2
    rows = cli("list", "faces", "--json").json
    assert not [row for row in rows if row["face_id"] == face and row["set"] == "faceset_001"]
    before = sets_of(cli)

    said = cli("extend", "1").out
    assert "the faces of faceset_001 are ranked by other@" in " ".join(said.split())
    assert cli("write").code == 0
    described = json.loads((cli.workspace / "facesets/faceset_001/faceset.json").read_text())
    assert described["model"].startswith("other@")
    assert len(described["faces"]) == len(stay) + 2
    after = sets_of(cli)
    kept = {path: digest for path, digest in before.items() if path.startswith("faceset_001/faces/")}
    assert kept.items() <= after.items(), "crops that stay are the very files"
    assert cli("verify").code == 0, cli("verify").out

    assert cli("merge", "4", "2").code == 0  # made with two packs
    assert cli("write").code == 0
    assert len(members(cli, "faceset_002")) == 9 + 7
    assert cli("verify").code == 0, cli("verify").out
    for _ in range(2):
        assert cli("undo").code == 0
    assert cli("write").code == 0
    assert sets_of(cli) == before
    assert cli("verify").code == 0, cli("verify").out
    summary = cli(*run, two_packs / "twin").json
    assert summary["sets_new"] == []
    assert face not in members(cli, "faceset_001")


def test_a_member_that_the_other_pack_never_measured_is_one_face_after_its_photo_got_other_bytes(
    cli: CommandLine,
    library: Library,
    two_packs: Path,
) -> None:
    run = ("run", "--user", "anna", "--json", "--pack")
    assert cli(*run, two_packs / "twin").code == 0
    assert cli(*run, two_packs / "other").code == 0
    (anna,) = library.users.values()
    add_photos(library, anna, [1], 3, first=40)
    assert cli(*run, two_packs / "twin").json["faces_by_reason"]["recognised"] == 3
    assert cli("extend", "1").code == 0
    assert cli("write").code == 0
    tag_all(library)
    assert cli(*run, two_packs / "other").code == 0
    people = cli("list", "people", "--json").json
    assert [(row["faces"], row["recognised"]) for row in people] == [(12, 0), (9, 0), (7, 0)]
