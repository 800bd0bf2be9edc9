"""What Immich's own jobs do to what was published, and that the next publish and its undo find their way."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from .home import PHOTOS, VERSIONS, Home

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def job(home: Home, name: str, **body: object) -> None:
    answer = httpx.put(
        f"{home.server.url}/api/jobs/{name}", json={"command": "start", **body}, headers={"x-api-key": home.server.key_for("anna")}
    )
    assert answer.status_code == 200


def refresh(home: Home, *assets: str) -> None:
    answer = httpx.post(
        f"{home.server.url}/api/assets/jobs", json={"name": "refresh-faces", "assetIds": list(assets)},
        headers={"x-api-key": home.server.key_for("anna")},
    )  # fmt: skip
    assert answer.status_code == 204


def test_a_refresh_and_a_cleanup_leave_nothing_to_publish(home: Home) -> None:
    home.apply("--names", "--faces")
    published = home.state()
    job(home, "faceDetection")
    job(home, "facialRecognition", force=False)
    httpx.post(f"{home.server.url}/api/jobs", json={"name": "person-cleanup"}, headers={"x-api-key": home.server.key_for("anna")})
    assert home.state() == published
    assert home.apply("--names", "--faces")["decision"] is None


@pytest.mark.parametrize("what", ["facialRecognition", "faceDetection"])
def test_after_a_reset_people_get_their_faces_back_and_both_publishes_can_be_taken_back(home: Home, what: str) -> None:
    home.apply("--names", "--faces")
    people, ids = len(home.library.people), {f.id for a in home.library.assets.values() for f in a.faces}
    job(home, what, force=True)
    after_reset = {f.id for a in home.library.assets.values() for f in a.faces}
    assert (after_reset == ids) is (what == "facialRecognition")
    assert set(home.whose(7)) != {"Greta"}
    reset = home.state()["faces"]
    again = home.apply("--names", "--faces")
    assert "people_made" not in again["changes"]["written"]
    for number, name in ((1, "Anna"), (2, "Berta"), (4, "Dora"), (5, "Emil"), (6, "Fritz"), (7, "Greta"), (8, "Hanna"), (10, "Jakob")):
        assert home.whose(number) == [name] * PHOTOS, name
    assert home.apply("--names", "--faces")["decision"] is None
    assert home("undo").code == 0
    assert home.state()["faces"] == reset
    first = home("undo")
    assert first.code == 0, first.err
    assert len(home.library.people) >= people - 1
    assert not {"Anna", "Berta", "Dora", "Hanna"} & {person.name for person in home.library.people.values()}


def test_an_added_face_is_in_the_frame_of_the_others_and_goes_again(home: Home) -> None:
    other = home.asset(10, 4)
    lone = home.asset(10, 3)
    lone.faces.clear()
    other.faces[0].x1, other.faces[0].x2 = 500, 600  # Immich's own is elsewhere, ours has none
    other.faces[0].image_width, other.faces[0].image_height = 320, 240
    start = home.state()
    shown = home.publish("--faces", "--add-faces")
    assert "on Immich 2.7 and 3.1 a photo to which a face is added may fail each later refresh" in shown.out
    assert "Immich has no face at the place of 2 faces" in home.publish("--faces").out
    home.apply("--faces", "--add-faces")
    drawn, alone = other.faces[0], lone.faces[0]
    assert (drawn.image_width, drawn.image_height) == (320, 240)
    assert (alone.image_width, alone.image_height) == (640, 480)
    assert (drawn.source_type, alone.source_type) == ("manual", "manual")
    assert abs(drawn.x1 - alone.x1 / 2) <= 1
    assert home.apply("--faces", "--add-faces")["decision"] is None
    refresh(home, lone.id)
    refresh(home, lone.id)  # the second fails, as it was said
    assert alone in lone.faces
    assert home.apply("--faces", "--add-faces")["decision"] is None
    lone.faces.remove(alone)  # somebody takes it away in Immich: it is not added again
    assert {c["kind"] for p in home.publish("--add-faces", "--json").json["people"] for c in p["cannot"]} >= {"removed_there"}
    lone.faces.append(alone)
    assert home("undo").code == 0
    assert home.state() == start


def test_no_face_is_added_where_immich_may_have_it_beside_or_around(home: Home) -> None:
    beside, around = home.face(10, 4), home.face(10, 3)
    beside.x1, beside.x2 = beside.x1 + 60, beside.x2 + 60
    around.x1, around.x2, around.y1, around.y2 = around.x1 - 64, around.x2 + 64, around.y1 - 64, around.y2 + 64
    for words in (("--faces",), ("--faces", "--add-faces")):
        assert "Immich has a face close to the place of 2 faces, and it is not clear that it is the same" in home.publish(*words).out
    assert "faces_added" not in home.apply("--faces", "--add-faces")["changes"]["written"]


def test_tags_are_asked_for_twice_and_leave_nothing_but_the_files(home: Home) -> None:
    start = home.state()
    shown = home.publish("--tags")
    assert "tags make Immich write an XMP file beside each original" in shown.out
    assert home.state() == start
    done = home.apply("--tags", "--yes-write-beside-originals")
    assert done["changes"]["written"] == {"photos_tagged": 45}
    assert {tag.value for tag in home.library.tags.values()} >= {"People", "People/Anna", "People/Jakob"}
    assert home.asset(1, 0).sidecar_tags == ["People/Anna"]
    assert home.apply("--tags", "--yes-write-beside-originals")["decision"] is None
    tag = next(tag for tag in home.library.tags.values() if tag.value == "People/Anna")
    home.asset(1, 0).tag_ids.remove(tag.id)  # taken off in Immich: it stays off
    home.asset(5, 0).tag_ids.append(tag.id)
    assert home.publish("--tags", "--json").json["counts"] == {}
    assert "the files beside the originals of 45 photos stay" in home("undo", "--dry-run").out
    undone = home("undo")
    assert "the files beside the originals of 45 photos stay, without the tag" in undone.out
    assert "the tag 'People/Anna' is on photos that were tagged in Immich, and stays" in undone.out
    home.asset(5, 0).tag_ids.remove(tag.id)
    assert {tag.value for tag in home.library.tags.values()} == {"People", "People/Anna"}
    assert not [a for a in home.library.assets.values() if a.tag_ids]
    assert home.asset(1, 1).sidecar_tags == []


def test_a_tag_follows_a_name_and_a_face_that_is_somebody_elses(home: Home) -> None:
    home.apply("--tags", "--yes-write-beside-originals")
    first = home.state()
    emil, jakob = home.sets_of("Emil"), home.sets_of("Jakob")
    shown = home("explain", home.asset(5, 2).id, "--json").json
    assert home("move", shown["faces"][0]["face_id"], "--to", jakob).code == 0
    assert home("name", "Cleo", "Clea").code == 0
    assert home("merge", home.sets_of("Berta"), home.sets_of("Anna"), "--name", "Anna").code == 0
    home.asset(3, 4).deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    shown = home.publish("--tags").out
    assert f"Clea ({home.sets_of('Clea')}): 4 photos are tagged; 4 photos are rid of the tag 'People/Cleo'" in shown
    assert f"Emil ({emil}): 1 photo is rid of the tag 'People/Emil'" in shown
    assert "rid of their tag in Immich" not in shown
    done = home.apply("--tags", "--yes-write-beside-originals")
    assert done["changes"]["written"] == {"photos_tagged": 10, "photos_untagged": 10}

    def tags(person: int, k: int) -> list[str]:
        return [home.library.tags[tag].value for tag in home.asset(person, k).tag_ids]

    assert (tags(3, 0), tags(3, 4), tags(5, 2), tags(2, 0)) == (["People/Clea"], ["People/Cleo"], ["People/Jakob"], ["People/Anna"])
    assert home.apply("--tags", "--yes-write-beside-originals")["decision"] is None
    assert home("undo").code == 0
    assert home.state() == first


def test_hidden_people_and_birth_dates_of_immich_are_respected(home: Home) -> None:
    home.person("Cleo").birth_date = "2020-02-15"
    hidden = home.library.people[home.face(9, 0).person_id or ""]
    home.face(1, 0).person_id = hidden.id
    home.face(3, 0).person_id = None
    home.face(3, 4).person_id = None
    home.face(3, 3).person_id = hidden.id
    shown = {p["name"]: p for p in home.publish("--names", "--faces", "--json").json["people"]}
    assert {c["kind"]: c["count"] for c in shown["Cleo"]["cannot"]} == {"before_birth": 1, "hidden_there": 1}
    assert {c["kind"]: c["count"] for c in shown["Anna"]["cannot"]} == {"hidden_there": 1}
    assert [c["kind"] for c in shown["Ida"]["cannot"]] == ["hidden"]
    home.apply("--names", "--faces")
    assert hidden.name == ""
    assert hidden.is_hidden
    assert [c["kind"] for p in home.publish("--albums", "--tags", "--json").json["people"] for c in p["cannot"]] == ["hidden"]
    home.apply("--albums", "--tags", "--yes-write-beside-originals")
    assert "Ida" not in {album.name for album in home.library.albums.values()}
    assert "People/Ida" not in {tag.value for tag in home.library.tags.values()}
    assert home.face(3, 0).person_id is None
    assert home.whose(3)[4] == "Cleo"


def test_an_album_of_somebody_who_is_not_published_any_more_is_named(home: Home) -> None:
    home.apply("--albums")
    assert home("merge", home.sets_of("Berta"), home.sets_of("Anna"), "--name", "Anna").code == 0
    shown = home.publish("--albums").out
    assert "the album 'Berta' is of people who are not published any more, and stays in Immich" in shown


def test_the_picture_that_immich_makes_of_the_first_face_is_spoken_of_before_and_after(home: Home) -> None:
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    greta = home.library.person(anna, "Greta")
    start = home.state()
    assert "they have no picture in Immich, and keep the one that it makes of the first face" in home.publish("--faces").out
    home.apply("--faces")
    said = "'Greta' keeps the picture that Immich made of a face, which nothing takes away"
    assert said in home("undo", "--dry-run").out
    assert said in home("undo").out
    state = home.state()
    assert state["people"][greta.id][3:] == (home.face(7, 0).id, home.asset(7, 0).id)
    assert {**state["people"], greta.id: start["people"][greta.id]} == start["people"]
    assert state["faces"] == start["faces"]
    assert home.publish("--faces").out.count("no picture") == 0  # they have one now


def test_each_copy_of_a_photo_has_its_own_faces(home: Home) -> None:
    """Copies share their bytes here; in Immich each has faces and a person of its own."""
    kept = home.asset(7, 0)
    with home.open() as (_, registry):
        row = registry.db.execute("SELECT photo_id, id FROM assets WHERE asset_id = ?", (kept.id,)).fetchone()
        other = registry.db.execute("SELECT id FROM assets WHERE asset_id = ?", (home.asset(7, 1).id,)).fetchone()[0]
        # as staging leaves a copy: the same photo, kept by another asset
        registry.db.execute(
            "UPDATE assets SET photo_id = ?, kept_id = ?, reason = 'duplicate_of_staged' WHERE id = ?", (*row, other)
        )  # fmt: skip
    done = home.apply("--faces", "--albums")
    assert home.whose(7)[:2] == ["Greta", "Greta"]
    assert done["changes"]["written"]["faces_assigned"] == PHOTOS
    album = next(a for a in home.library.albums.values() if a.name == "Greta")
    assert kept.id in album.asset_ids
    assert home.asset(7, 1).id not in album.asset_ids
    assert datetime.now(UTC) > home.asset(7, 1).updated_at
