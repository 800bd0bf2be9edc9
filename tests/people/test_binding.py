"""What was decided binds every later run: other bytes, another pack, another registry."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesets.changes import constraints_of
from facesets.people import confirm, move, name, reject
from facesets.records import Reason
from facesets.registry import Found, Registry, decisions, faces, measurements
from facesets.testing import Library, Person
from facesets.thresholds import thresholds_of
from facesets.workspace import Workspace

from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, add_photos

RUN = ("run", "--user", "anna", "--json")


def members(cli: CommandLine, name: str) -> list[str]:
    return [row["face_id"] for row in cli("explain", name, "--json").json["members"]]


def of_asset(cli: CommandLine, asset: str) -> list[tuple[str, str, str | None]]:
    return [(face["face_id"], face["reason"], face["set"]) for face in cli("explain", asset, "--json").json["faces"]]


def open_registry(cli: CommandLine) -> tuple[Workspace, Registry]:
    workspace = Workspace.open(cli.workspace)
    return workspace, workspace.registry()


def test_a_rejected_face_comes_back_by_no_run(cli: CommandLine) -> None:
    cli(*RUN)
    face = members(cli, "faceset_001")[0]
    assert cli("reject", face).code == 0
    for _ in range(2):
        summary = cli(*RUN)
        assert summary.code == 0, summary.err
        story = cli("explain", face, "--json").json
        assert story["set"] != "faceset_001"
        assert face not in members(cli, "faceset_001")
    assert summary.json["sets_revised"] == []
    assert cli("verify").code == 0
    cli("undo")
    cli(*RUN)
    assert face in members(cli, "faceset_001")
    assert cli("explain", face, "--json").json["reason"] == "member"
    assert cli("verify").code == 0, cli("verify").out


def tagged(data: bytes) -> bytes:
    """The same picture after a tag was written into its file."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "Anna on the beach"
    Image.open(io.BytesIO(data)).save(out, "JPEG", quality="keep", exif=exif)
    return out.getvalue()


def test_decisions_outlive_a_tag_written_into_every_photo(cli: CommandLine, library: Library) -> None:
    cli(*RUN)
    workspace, registry = open_registry(cli)
    with registry:
        rejected = {key: asset for key in members(cli, "faceset_001")[:2] for asset in [asset_of(registry, key)]}
        reject(workspace, registry, list(rejected))
    for asset in library.assets.values():
        assert isinstance(asset.data, bytes)
        asset.data = tagged(asset.data)
        asset.sha1, asset.size = hashlib.sha1(asset.data).digest(), len(asset.data)
        asset.updated_at += timedelta(days=1)
    cli(*RUN)
    for asset_id in rejected.values():
        found = of_asset(cli, asset_id)
        assert found
        assert all(key not in rejected for key, _, _ in found), "other bytes, another face"
        if len(found) == 1:
            assert found[0][2] != "faceset_001"
    with Workspace.open(cli.workspace).registry() as registry:
        assert registry.db.execute("SELECT count(*) FROM journal WHERE event = 'decisions taken over'").fetchone()[0] == 1


def asset_of(registry: Registry, key: str) -> str:
    (content,) = decisions.content_keys(registry, [key])
    return str(content["asset"])


def test_a_decision_holds_for_the_same_face_as_another_pack_measures_it(cli: CommandLine) -> None:
    from dataclasses import replace as but  # noqa: PLC0415

    cli(*RUN)
    workspace, registry = open_registry(cli)
    with registry:
        one, two = members(cli, "faceset_001")[:2]
        reject(workspace, registry, [one])
        confirm(workspace, registry, [two])
        other = {}
        found = []
        for n, key in enumerate((one, two)):
            row = faces.find(registry, key)
            assert row is not None
            other[key] = f"other-{n:04d}"
            moved = but(row.face, face_id=other[key], pack="other@1", box=tuple(side + 3 for side in row.face.box))  # type: ignore[arg-type]
            found.append(Found(moved, np.ones(8, np.float32)))
        measurements.add(registry, found)
        said = constraints_of(registry, "other@1", thresholds_of("other@1"))
    assert said.not_in_set == {(other[one], "faceset_001")}
    assert said.confirmed == {other[two]: "faceset_001"}


def test_a_moved_face_is_known_again_after_its_registry_was_restored(cli: CommandLine) -> None:
    cli(*RUN)
    cli("restore", "--json")
    workspace, registry = open_registry(cli)
    from facesets.registry import backups  # noqa: PLC0415

    with registry:
        backups.make(workspace.registry_file, "schema-7")
        one, two, *_ = members(cli, "faceset_001")
        reject(workspace, registry, [one])
        move(workspace, registry, [two], "faceset_002")
        name(workspace, registry, "faceset_003", "Cleo")
    chosen = cli("restore", "--json").json[-1]["backup"]
    assert cli("restore", chosen).code == 0
    with Workspace.open(cli.workspace).registry() as registry:
        assert [made.act for made in decisions.select(registry)] == ["reject", "move", "name"]
        pack = next(iter(measurements.packs(registry)))
        said = constraints_of(registry, pack, thresholds_of(pack))
        assert (one, "faceset_001") in said.not_in_set
        assert said.confirmed[two] == "faceset_002"
        assert said.set_names == {"faceset_003": "Cleo"}


def test_vectors_that_came_before_the_bytes_keep_their_decisions(tmp_path: Path) -> None:
    from facesets.records import Asset, Face  # noqa: PLC0415
    from facesets.registry import assets, photos  # noqa: PLC0415
    from facesets.registry import people as rows  # noqa: PLC0415

    workspace = Workspace.init(tmp_path / "w")
    with workspace.registry() as registry:
        assets.add_listed(registry, "anna", "immich", [Asset("owner", "a1")], 1)
        (row,) = assets.select(registry)
        photos.set_source_key(registry, row.id, "sha1:abc")
        face = Face("f" * 32, "sha1:abc", 0, (10, 10, 110, 110), (), None, 100, None, "immich-db@x")
        measurements.add(registry, [Found(face, np.full(4, 0.5, np.float32))])
        with registry.transaction():
            person = rows.add(registry, "faceset_001", 1, "immich-db@x")
            rows.give(registry, face.face_id, person, Reason.RECOGNISED)
        reject(workspace, registry, ["f" * 32])
        photos.set_bytes(registry, row.id, "0" * 64)
        said = constraints_of(registry, "immich-db@x", thresholds_of("immich-db@x"))
    assert said.not_in_set == {("f" * 32, "faceset_001")}


def _say_who(library: Library, who: Person, *files: str) -> None:
    for asset in library.assets.values():
        for face in asset.faces if asset.file_name in files else ():
            face.person_id = who.id


def test_nobody_is_found_on_photos_from_before_the_birth(cli: CommandLine, library: Library) -> None:
    (anna,) = library.users.values()
    cli(*RUN)
    cli("name", "faceset_001", "Anna")
    who = library.person(anna, "Anna", birth_date="2019-01-01")
    add_photos(library, anna, [1], 2, first=40)
    _say_who(library, who, "p1_40.jpg", "p1_41.jpg")
    assert cli(*RUN).json["faces_by_reason"]["recognised"] == 2
    who.birth_date = "2022-01-01"
    add_photos(library, anna, [1], 2, first=50)
    assert "recognised" not in cli(*RUN).json["faces_by_reason"], "all four are from before the birth, as is known by now"


@pytest.mark.parametrize("there", ["Zoe\u0308", "Zoë ", "zoë"], ids=["two characters for one", "a space behind", "another case"])
def test_a_birth_date_binds_however_the_name_is_spelt_at_the_source(cli: CommandLine, library: Library, there: str) -> None:
    (anna,) = library.users.values()
    cli(*RUN)
    cli("name", "faceset_001", "Zoë")
    who = library.person(anna, there, birth_date="2022-01-01")
    _say_who(library, who, "p1_0.jpg")
    add_photos(library, anna, [1], 2, first=40)
    assert "recognised" not in cli(*RUN).json["faces_by_reason"], "from before the birth"


def test_a_person_of_another_name_at_the_source_is_never_given_to_a_named_set(cli: CommandLine, library: Library) -> None:
    (anna,) = library.users.values()
    cli(*RUN)
    cli("name", "faceset_001", "Anna")
    cli("name", "faceset_002", "Berta")
    twin = library.person(anna, "Berta")
    add_photos(library, anna, [1], 2, first=40)  # they look like Anna, and Immich says Berta
    _say_who(library, twin, "p1_40.jpg", "p1_41.jpg")
    summary = cli(*RUN)
    assert summary.code == 0, summary.err
    assert "recognised" not in summary.json["faces_by_reason"]
