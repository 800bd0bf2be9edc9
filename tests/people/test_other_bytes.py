"""The same picture with other bytes: tagged, turned, re-imported. What was decided of a face holds, and a set has it once."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from facesets.people import merge, reject
from facesets.records import Asset, Box, Face, Reason
from facesets.registry import Found, Registry, assets, decisions, faces, measurements, photos, sets
from facesets.registry import people as rows
from facesets.testing import Asset as Shown
from facesets.testing import Library

from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, add_photos
from .home import ONE, TWO, Home
from .test_binding import RUN, members, tagged

PACK = "other@1"
WIDTH, HEIGHT = 640, 480
FACE: Box = (100.0, 60.0, 200.0, 180.0)
#: a picture that is shown as WIDTH x HEIGHT and turned to the right: where the face is then, and the size
RIGHT: Box = (HEIGHT - FACE[3], FACE[0], HEIGHT - FACE[1], FACE[2])


def again(asset: Shown, data: bytes) -> None:
    """A program wrote the file anew."""
    asset.data, asset.sha1, asset.size = data, hashlib.sha1(data).digest(), len(data)
    asset.updated_at += timedelta(days=1)


def rotated_for_real(data: bytes) -> bytes:
    """Stored on its side with the flag that shows it upright: what cameras write, and what jhead -autorot undoes."""
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=98, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("change", [tagged, rotated_for_real], ids=["a tag in every photo", "a lossless rotation and its flag"])
def test_a_set_has_a_face_once_and_a_rejected_one_stays_away(
    cli: CommandLine, library: Library, change: Callable[[bytes], bytes]
) -> None:
    before = cli(*RUN).json["faces_by_reason"]
    one = members(cli, ONE)[0]
    assert cli("reject", one).code == 0
    assert cli("write").code == 0
    for asset in library.assets.values():
        assert isinstance(asset.data, bytes)
        again(asset, change(asset.data))
    summary = cli(*RUN)
    assert summary.code == 0, summary.err
    assert summary.json["sets_new"] == []
    said = summary.json["faces_by_reason"]
    assert "recognised" not in said, "each is in its set already, from the bytes that the photo had before"
    assert said["near_duplicate"] == before["member"] - 1
    assert cli("extend", ONE).code == 2
    again_, story = [
        row for row in cli("list", "faces", "--json").json if row["reason"] == "near_duplicate"
    ], cli("explain", ONE, "--json").json  # fmt: skip
    assert {row["set"] for row in again_} == {ONE, TWO, "faceset_003"}
    assert one not in [each["face_id"] for each in story["members"]]
    assert cli("verify").code == 0


def test_a_merged_set_of_unlike_faces_has_each_once_after_a_tag_in_every_photo(cli: CommandLine, library: Library) -> None:
    """Its average is near to neither half: a child and the adult."""
    before = cli(*RUN).json["faces_by_reason"]
    assert cli("merge", TWO, ONE, "--name", "Anna").code == 0
    assert cli("write").code == 0
    for asset in library.assets.values():
        assert isinstance(asset.data, bytes)
        again(asset, tagged(asset.data))
    summary = cli(*RUN)
    assert summary.code == 0, summary.err
    assert summary.json["sets_new"] == []
    assert summary.json["faces_by_reason"]["near_duplicate"] == before["member"]
    assert "likely" not in summary.json["faces_by_reason"]
    assert cli("suggest", "--json").json == []


def test_a_rejected_face_comes_back_by_no_merge_from_other_bytes(home: Home) -> None:
    """Rejected from the first; its photo gets a tag; a run makes the new face a member of the second; the two are one."""
    face = home.faces(ONE)[0]
    reject(home.workspace, home.registry, [face])
    row = faces.find(home.registry, face)
    assert row is not None
    (asset,) = (each for each in assets.select(home.registry) if each.sha256 == row.face.sha256)
    with home.registry.transaction():
        photos.set_bytes(home.registry, asset.id, "f" * 64)
        other = replace(row.face, face_id="f" * 32, sha256="f" * 64)
        measurements.add(home.registry, [Found(other, row.vector)])
        person = rows.of_number(home.registry, 2)
        assert person is not None
        rows.give(home.registry, other.face_id, person.id, Reason.MEMBER)
        sets.add_all_members(home.registry, TWO, [other.face_id])
    outcome = merge(home.workspace, home.registry, TWO, ONE)
    assert outcome.changes["merged"]["rejected_before"] == 1
    assert not {face, other.face_id} & set(home.faces(ONE))


def seen(registry: Registry, name: str, sha256: str, box: Box, vector: list[float], turn: int = 1) -> str:
    """An asset shows these bytes now, with a face at this place."""
    assets.add_listed(registry, "anna", "immich", [Asset("owner", name)], 1)
    (row,) = (each for each in assets.select(registry) if each.asset.asset_id == name)
    photo = photos.set_bytes(registry, row.id, sha256 * 64)
    size = (WIDTH, HEIGHT) if box[2] - box[0] == FACE[2] - FACE[0] else (HEIGHT, WIDTH)
    photos.set_size(registry, photo, *size, turn)
    face = Face(f"{name}-{sha256}", sha256 * 64, 0, box, (), 0.9, 100, 0.5, PACK)
    measurements.add(registry, [Found(face, np.array(vector, np.float32))])
    return face.face_id


HER, HIM = [1.0, 0, 0, 0], [0, 1.0, 0, 0]


@pytest.mark.parametrize(
    ("before", "now", "vector", "found"),
    [
        ((FACE, 1), (FACE, 1), HER, True),
        ((FACE, 1), (FACE, 1), HIM, False),
        ((FACE, 1), (RIGHT, 6), HER, True),  # only the flag was changed: exiftool -Orientation=6
        ((FACE, 6), (RIGHT, 8), HER, False),  # stored as it was, and shown upside down: not there
        ((FACE, 1), (RIGHT, 1), HER, True),  # the pixels were turned: jpegtran -rotate 90
        ((FACE, 1), (RIGHT, 1), HIM, False),
        ((FACE, 1), ((0.0, 0, 50, 60), 1), HER, False),
    ],
    ids=["same", "somebody else", "flag", "another flag", "pixels", "pixels, somebody else", "another place"],
)
def test_a_face_is_known_again_where_its_photo_is_turned(
    home: Home, before: tuple[Box, int], now: tuple[Box, int], vector: list[float], found: bool
) -> None:
    registry = home.registry
    with registry.transaction():
        one = seen(registry, "a1", "c", before[0], HER, before[1])
        (key,) = decisions.content_keys(registry, [one])
        two = seen(registry, "a1", "d", now[0], vector, now[1])
    known = decisions.of_content(registry, [key], PACK, 0.45)
    assert known == {0: [one, two] if found else [one]}


def test_a_face_is_known_again_over_new_assets_and_new_bytes(home: Home) -> None:
    """A photo comes back as another asset, is tagged, is imported once more, and tagged again."""
    registry = home.registry
    with registry.transaction():
        one = seen(registry, "a1", "c", FACE, HER)
        (key,) = decisions.content_keys(registry, [one])
        seen_again = [seen(registry, name, sha, FACE, HER) for name, sha in (("a2", "c"), ("a2", "d"), ("a3", "d"), ("a3", "e"))]
    known = decisions.of_content(registry, [key], PACK, 0.45)
    assert known[0][0] == one
    assert set(known[0]) == {one, "a2-d", "a3-e"} | ({*seen_again} & set(known[0]))


def test_the_later_of_two_decisions_on_one_face_holds_whatever_bytes_they_speak_of(home: Home) -> None:
    from facesets.changes import constraints_of  # noqa: PLC0415
    from facesets.people import confirm  # noqa: PLC0415
    from facesets.thresholds import thresholds_of  # noqa: PLC0415

    registry = home.registry
    person = rows.of_number(registry, 1)
    assert person is not None
    with registry.transaction():
        one = seen(registry, "a1", "c", FACE, HER)
        rows.give(registry, one, person.id, Reason.RECOGNISED)
    confirm(home.workspace, registry, [one])
    with registry.transaction():
        two = seen(registry, "a1", "d", FACE, HER)
        rows.give(registry, two, person.id, Reason.RECOGNISED)
    reject(home.workspace, registry, [two])
    said = constraints_of(registry, PACK, thresholds_of(PACK))
    assert {(one, ONE), (two, ONE)} <= said.not_in_set
    assert not {one, two} & said.confirmed.keys()


def counted(cli: CommandLine) -> tuple[int, int]:
    """Faces of the first person: members, recognised ones; an extension takes exactly the latter."""
    one = cli("list", "people", "--json").json[0]
    extended = cli("extend", ONE, "--dry-run", "--json")
    assert (extended.json["changes"]["extended"]["faces"] if extended.code == 0 else 0) == one["recognised"]
    assert sum(row["recognised"] for s in cli("suggest", "--json").json if "recognised" in (row := s["evidence"])) == one["recognised"]
    return one["faces"], one["recognised"]


@pytest.fixture
def recognised(cli: CommandLine, library: Library) -> CommandLine:
    """Two photos more of the first person, recognised by a second run."""
    cli(*RUN)
    add_photos(library, next(iter(library.users.values())), [1], 2, first=40)
    cli(*RUN)
    assert counted(cli) == (9, 2)
    return cli


def tag_all(library: Library) -> None:
    for asset in library.assets.values():
        assert isinstance(asset.data, bytes)
        again(asset, tagged(asset.data))


def test_a_recognised_face_is_one_face_after_a_tag_in_every_photo(recognised: CommandLine, library: Library) -> None:
    cli = recognised
    for _ in range(2):
        tag_all(library)
        assert cli(*RUN).json["faces_by_reason"]["recognised"] == 2
        assert counted(cli) == (9, 2)
    assert cli("extend", ONE, "--json").json["sentences"] == [f"2 recognised faces are in {ONE} now"]
    assert (cli("write").code, cli("verify").code) == (0, 0)
    assert counted(cli) == (11, 0)
    assert cli("undo", "--json").json["notes"] == []
    assert counted(cli) == (9, 2)


def test_what_was_extended_before_a_tag_in_every_photo_is_taken_back_and_recognised_once(
    recognised: CommandLine, library: Library
) -> None:
    cli = recognised
    assert (cli("extend", ONE).code, cli("write").code) == (0, 0)
    tag_all(library)
    cli(*RUN)
    assert counted(cli) == (11, 0)
    undone = cli("undo", "--json").json
    assert (undone["sentences"], undone["notes"]) == ([f"taken back: 2 recognised faces are in {ONE} now"], [])
    assert counted(cli) == (9, 2)
    assert cli("undo", str(undone["decision"])).code == 0
    assert counted(cli) == (11, 0)
    assert cli("undo").code == 0
    cli(*RUN)
    assert counted(cli) == (9, 2)
    assert cli("verify").code == 0


def test_an_extension_that_is_made_again_by_an_undo_of_its_undo_has_each_face_once(recognised: CommandLine, library: Library) -> None:
    cli = recognised
    assert cli("extend", ONE).code == 0
    assert cli("undo").code == 0
    tag_all(library)
    cli(*RUN)
    assert counted(cli) == (9, 2)
    assert cli("undo", "2").code == 0
    assert counted(cli) == (11, 0)
    assert cli("undo", "3").code == 0
    assert counted(cli) == (9, 2)
    assert cli("verify").code == 0


def test_a_set_that_was_thrown_away_after_a_tag_in_every_photo_is_known_by_each_face_once(
    recognised: CommandLine, library: Library
) -> None:
    cli = recognised
    tag_all(library)
    cli(*RUN)
    shutil.rmtree(cli.workspace / "facesets" / ONE)
    assert "; 11 faces of it stay known" in cli("accept", ONE).out
    assert cli("list", "people", "--json").json[0]["recognised"] == 11
    assert cli("undo").code == 0
    assert counted(cli) == (9, 2)


def test_a_recognised_face_whose_photo_is_gone_is_not_counted_until_that_is_back(recognised: CommandLine, library: Library) -> None:
    cli = recognised
    photos_ = [asset for asset in library.assets.values() if asset.file_name.startswith(("p1_40", "p1_41"))]
    assert len(photos_) == 2
    for asset in photos_:
        asset.deleted_at, asset.updated_at = asset.created_at, asset.updated_at + timedelta(days=1)
    cli(*RUN)
    assert counted(cli) == (9, 0)
    for asset in photos_:
        asset.deleted_at, asset.updated_at = None, asset.updated_at + timedelta(days=1)
    cli(*RUN)
    assert counted(cli) == (9, 2)


def test_faces_in_no_set_count_once_after_a_tag_in_every_photo(cli: CommandLine, library: Library) -> None:
    (anna,) = library.users.values()
    add_photos(library, anna, [9], 2)
    before = cli(*RUN).json["faces_by_reason"]
    few = before["few_faces"]
    assert few >= 2
    tag_all(library)
    now = cli(*RUN).json["faces_by_reason"]
    assert (now["few_faces"], now["photo_lost"]) == (few, few)
    assert cli("list", "faces", "--reason", "photo_lost", "--json").json
    # and where they are gone for good
    for asset in [each for each in library.assets.values() if each.file_name.startswith("p9_")]:
        del library.assets[asset.id]
    assert cli(*RUN).json["faces_by_reason"].get("few_faces", 0) == few - 2
