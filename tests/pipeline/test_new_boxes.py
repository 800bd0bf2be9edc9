"""A face that comes to a photo in Immich after that was looked through is measured: drawn by hand or found late, moved or removed."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets.errors import FacesetsError
from facesets.testing import Asset, Box, Faults, ImmichServer, Library, User, faults, immich_server
from facesets.testing.immich import Face
from facesets.testing.twins import twin_photo

from .world import CommandLine, add_photos

ORIGINAL = "GET /api/assets/{id}/original"
ELSEWHERE = Box(40, 40, 180, 180)  # where no face is to be seen


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=faults) as running:
        yield running


@pytest.fixture
def library() -> Library:
    """A person in six photos."""
    made = Library()
    add_photos(made, made.user("anna"), [1], 6)
    return made


@pytest.fixture
def anna(library: Library) -> User:
    return next(iter(library.users.values()))


@pytest.fixture
def big(library: Library, anna: User) -> Asset:
    """A photo of two people far apart, of whom Immich has found the first only."""
    out = io.BytesIO()
    photo = twin_photo([(256, 256, 256, 1), (1024, 1024, 256, 2)], width=1280, height=1280)
    Image.fromarray(photo.astype(np.uint8)).save(out, "JPEG", quality=95)
    return library.photo(anna, data=out.getvalue(), taken_at="2021-05-01T12:00:00Z", faces=[Box(128, 128, 384, 384)])


def draw(library: Library, asset: Asset, box: Box, *, by_hand: bool = True) -> Face:
    """As somebody does by hand, who says whose face it is; else as Immich's own detector finds one."""
    if not by_hand:
        return library.face(asset, box)
    owner = library.users[asset.owner_id]
    face = library.face(asset, Box(box.x1, box.y1, box.x2, box.y2, person=library.person(owner, "Cleo")))
    face.source_type, face.has_vector = "manual", False
    return face


def measured(cli: CommandLine, asset: Asset) -> list[dict[str, Any]]:
    """What is on record of a photo's faces, by place."""
    with sqlite3.connect(cli.workspace / "registry.sqlite") as db:
        rows = db.execute(
            "SELECT m.key, m.x1, m.y1, m.x2, m.y2, m.det_score, m.signals, length(m.vector), s.standing, f.source_face_id "
            "FROM assets AS a JOIN measurements AS m ON m.photo_id = a.photo_id JOIN memberships AS s ON s.face_id = m.face_id "
            "JOIN faces AS f ON f.id = m.face_id WHERE a.asset_id = ? ORDER BY m.x1",
            (asset.id,),
        ).fetchall()
    return [
        {
            "key": key, "box": [round(side) for side in box], "score": score, "signals": json.loads(signals), "vector": length // 4,
            "standing": standing, "source": source,
        }
        for key, *box, score, signals, length, standing, source in rows
    ]  # fmt: skip


def run(cli: CommandLine, *more: str) -> Any:
    answer = cli("run", "--user", "anna", "--full", "--json", *more)
    assert answer.code == 0, answer.err
    return answer.json


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_face_that_the_detector_sees_once_it_is_told_where_is_measured(
    cli: CommandLine, library: Library, big: Asset, kept: bool, by_hand: bool
) -> None:
    cli.set(f"keep_originals = {str(kept).lower()}")
    assert run(cli)["embedded"] == 7
    (first,) = measured(cli, big)
    face = draw(library, big, Box(896, 896, 1152, 1152), by_hand=by_hand)
    counted = run(cli)
    assert (counted["embedded"], counted["downloads"]) == (1, 0 if kept else 1)
    assert counted["steps"]["embed"]["new_faces"] == 1
    before, new = measured(cli, big)
    assert before == first
    assert (new["box"], new["vector"], new["source"]) == ([896, 896, 1152, 1152], 512, face.id)
    assert new["score"] > 0.5
    assert list((cli.workspace / "photos").rglob("*.jpg")) == [] or kept
    assert (run(cli)["embedded"], measured(cli, big)) == (0, [before, new])  # and no second time
    assert cli("verify").code == 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_face_that_no_detector_sees_is_measured_as_it_was_drawn(cli: CommandLine, library: Library, big: Asset, kept: bool) -> None:
    cli.set(f"keep_originals = {str(kept).lower()}")
    run(cli)
    face = draw(library, big, Box(500, 200, 700, 400))
    assert run(cli)["embedded"] == 1
    new = next(one for one in measured(cli, big) if one["source"] == face.id)
    assert (new["box"], new["vector"], new["score"]) == ([500, 200, 700, 400], 512, 0)
    assert new["signals"].keys() >= {"landmarks_from_box", "seen_by_source_only"}
    assert new["standing"] == "low_score"  # it is there for whoever names it, and founds no set
    assert run(cli)["embedded"] == 0
    told = cli("explain", new["key"])
    assert told.code == 0, told.err


def test_what_a_fresh_workspace_finds_is_the_same(cli: CommandLine, library: Library, big: Asset, tmp_path: Path) -> None:
    run(cli)
    draw(library, big, Box(896, 896, 1152, 1152))
    draw(library, big, Box(500, 200, 700, 400))
    run(cli)
    fresh = CommandLine(tmp_path / "fresh", cli.capsys)
    fresh("init")
    (fresh.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
    run(fresh)
    assert [one["key"] for one in measured(fresh, big)] == [one["key"] for one in measured(cli, big)]
    assert len(measured(cli, big)) == 3


def test_a_drawn_face_that_is_moved_follows_and_one_that_is_removed_goes(cli: CommandLine, library: Library, big: Asset) -> None:
    face = draw(library, big, Box(500, 200, 700, 400))
    run(cli)
    first, drawn, second = measured(cli, big)
    face.y1, face.y2 = face.y1 + 400, face.y2 + 400
    assert run(cli)["embedded"] == 1
    assert [one for one in measured(cli, big) if one["source"] != face.id] == [first, second]
    (moved,) = [one for one in measured(cli, big) if one["source"] == face.id]
    assert moved["box"] == [500, 600, 700, 800]
    assert moved["key"] != drawn["key"]
    big.faces.remove(face)
    assert run(cli)["embedded"] == 0
    assert measured(cli, big) == [first, second]
    assert cli("verify").code == 0


def test_what_the_detector_saw_stays_whatever_becomes_of_the_box(cli: CommandLine, library: Library, big: Asset) -> None:
    face = draw(library, big, Box(896, 896, 1152, 1152))
    run(cli)
    assert [one["source"] for one in measured(cli, big)][1] == face.id
    big.faces.remove(face)
    run(cli)
    assert [one["source"] for one in measured(cli, big)][1] is None


def test_a_drawn_face_that_somebody_put_into_a_set_stays_there(cli: CommandLine, library: Library, big: Asset) -> None:
    face = draw(library, big, Box(500, 200, 700, 400))
    run(cli)
    drawn = next(one["key"] for one in measured(cli, big) if one["source"] == face.id)
    moved = cli("move", drawn, "--to", "faceset_001")
    assert moved.code == 0, moved.err
    big.faces.remove(face)
    run(cli)
    kept = next(one for one in measured(cli, big) if one["key"] == drawn)
    assert kept["standing"] == "member"
    assert cli("verify").code == 0


def test_a_loose_frame_around_a_face_that_was_found_is_that_face(cli: CommandLine, library: Library, big: Asset) -> None:
    big.faces.clear()
    drawn = draw(library, big, Box(90, 90, 480, 480))
    run(cli)
    (face,) = measured(cli, big)
    assert (face["box"], face["source"]) == ([128, 128, 384, 384], drawn.id)
    draw(library, big, Box(60, 40, 520, 560))
    assert run(cli)["embedded"] == 0
    assert measured(cli, big) == [face]


def test_a_photo_without_a_face_has_one_once_it_is_drawn(cli: CommandLine, library: Library, anna: User) -> None:
    out = io.BytesIO()
    Image.fromarray(np.full((600, 800, 3), 90, np.uint8)).save(out, "JPEG")
    asset = library.photo(anna, data=out.getvalue(), faces=[ELSEWHERE])
    run(cli)
    assert measured(cli, asset) == []
    draw(library, asset, Box(300, 300, 500, 500))
    run(cli)
    assert [one["box"] for one in measured(cli, asset)] == [[300, 300, 500, 500]]
    asset.faces.clear()
    counted = run(cli)
    assert measured(cli, asset) == []
    assert counted["assets_by_reason"]["embedded_no_face"] == 1


def test_where_its_original_does_not_come_what_is_known_stays_and_the_next_run_tries_again(
    cli: CommandLine, library: Library, big: Asset, server: ImmichServer
) -> None:
    cli.set("keep_originals = false")
    run(cli)
    draw(library, big, Box(896, 896, 1152, 1152))
    server.faults.add(faults.status(500), ORIGINAL)
    answer = cli("run", "--user", "anna", "--full")
    assert answer.code == 0, answer.err
    assert "1 more could not be fetched" in answer.out + answer.err
    assert len(measured(cli, big)) == 1
    server.faults.clear()
    assert run(cli)["embedded"] == 1
    assert len(measured(cli, big)) == 2


def test_it_goes_step_by_step(cli: CommandLine, library: Library, big: Asset) -> None:
    run(cli)
    draw(library, big, Box(896, 896, 1152, 1152))
    for step in ("stage", "embed"):
        answer = cli(step, "--user", "anna", *(["--full"] if step == "stage" else []))
        assert answer.code == 0, answer.err
    assert len(measured(cli, big)) == 2


@pytest.mark.parametrize("kept", [True, False])
def test_stopped_before_it_was_on_record_it_is_looked_through_by_the_next_run(
    cli: CommandLine, library: Library, big: Asset, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.set(f"keep_originals = {str(kept).lower()}")
    run(cli)
    draw(library, big, Box(896, 896, 1152, 1152))

    def stopped(*_: object) -> None:
        raise FacesetsError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr("facesets.faces.concurrent.record", stopped)
        patched.setattr("facesets.faces.job.record", stopped)
        assert cli("run", "--user", "anna", "--full").code == 1
    assert len(measured(cli, big)) == 1
    run(cli)
    assert len(measured(cli, big)) == 2
    assert kept or not list((cli.workspace / "photos").rglob("*.jpg"))
    assert cli("verify").code == 0


def test_a_worker_is_given_the_photo_once_more(cli: CommandLine, library: Library, big: Asset, pack: Path) -> None:
    from .test_remote_worker import worker  # noqa: PLC0415 - its tests are no part of this module

    worker(cli, pack)
    run(cli)
    draw(library, big, Box(896, 896, 1152, 1152))
    draw(library, big, Box(500, 200, 700, 400))
    assert run(cli)["steps"]["embed"]["new_faces"] == 2
    known = measured(cli, big)
    assert len(known) == 3
    assert run(cli)["steps"]["embed"]["new_faces"] == 0
    assert measured(cli, big) == known


@pytest.mark.parametrize("login", [False, True])
def test_a_face_that_was_drawn_on_a_copy_is_measured_in_the_photo_that_stands_for_it(
    cli: CommandLine, library: Library, big: Asset, anna: User, login: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = library.user("bob")
    own = library.photo(anna, big.data, file_name="copy.jpg", library=library.external(anna), faces=[Box(128, 128, 384, 384)])
    bobs = library.photo(bob, big.data, file_name="bobs.jpg", faces=[Box(130, 128, 384, 386)])
    monkeypatch.delenv("IMMICH_API_KEY")
    for user in (anna, bob):
        monkeypatch.setenv(f"IMMICH_API_KEY_{user.name.upper()}", library.key_for(user))
        if login:
            monkeypatch.setattr("sys.stdin", io.StringIO(user.password + "\n"))
            assert cli("login", "--user", user.name, "--email", user.email, "--password-stdin").code == 0
    assert run(cli, "--user", "bob")["assets_by_state"] == {"done": 7, "duplicate": 2}
    (first,) = measured(cli, big)
    drawn = [draw(library, own, Box(500, 200, 700, 400)), draw(library, bobs, Box(896, 896, 1152, 1152))]
    assert run(cli, "--user", "bob")["embedded"] == 1
    assert [one["source"] for one in measured(cli, big)] == [first["source"], *(face.id for face in drawn)]
    assert run(cli, "--user", "bob")["embedded"] == 0
    own.faces.remove(drawn[0])  # of which there is nothing but its word
    assert (run(cli, "--user", "bob")["embedded"], len(measured(cli, big))) == (0, 2)


def test_a_face_that_was_drawn_on_a_photo_that_only_the_server_can_read_is_measured_in_what_it_shows(
    cli: CommandLine, library: Library, anna: User
) -> None:
    photo, out = twin_photo([(256, 256, 256, 1)], width=1280, height=1280), io.BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(out, "JPEG", quality=95)
    strange = library.photo(anna, data=b"a raw file of tomorrow", file_name="x.cr9", faces=[])
    strange.preview, strange.has_preview, strange.thumbhash = out.getvalue(), True, "AAAA"
    strange.exif.width, strange.exif.height = 2560, 2560
    library.face(strange, Box(256, 256, 768, 768))
    run(cli)
    (first,) = measured(cli, strange)
    face = draw(library, strange, Box(1000, 400, 1400, 800))
    run(cli)
    assert [one["source"] for one in measured(cli, strange)] == [first["source"], face.id]
    assert measured(cli, strange)[1]["box"] == [500, 200, 700, 400]
