"""A whole story in each dialect: name, correct, publish, Immich changes something, publish again, take it all back."""

from __future__ import annotations

import pytest

from .home import PHOTOS, VERSIONS, Home

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def test_what_was_decided_arrives_in_immich_and_can_be_taken_back_to_the_last_field(home: Home) -> None:
    start = home.state()
    # three corrections: another name, a face that is somebody else's, one that is not hers
    assert home("name", "Anna", "Anna Maria").code == 0
    berta, cleo = (home.sets_of(name) for name in ("Berta", "Cleo"))
    assert home("move", f"{berta}/faces/0005.png", "--to", cleo).code == 0
    assert home("reject", f"{berta}/faces/0004.png").code == 0
    assert home("write").code == 0

    shown = home.publish("--names", "--faces", "--albums")
    assert shown.code == 0, shown.err
    assert "the person 'Old Hanna' in Immich is called 'Hanna'" in shown.out
    assert "this person is hidden in Immich, and stays as they are there" in shown.out
    assert home.state() == start
    assert home.writes() == 0

    assert "1 face that was rejected here is with them in Immich, and it is not known whose it is" in shown.out
    done = home.apply()
    assert done["notes"] == []
    assert done["changes"]["written"] == done["diff"]["counts"]
    assert done["changes"]["written"] == {
        "people_made": 1, "people_named": 7, "faces_assigned": PHOTOS, "faces_moved": 4, "albums_made": 9, "album_photos_added": 44,
    }  # fmt: skip
    for number, name in ((1, "Anna Maria"), (4, "Dora"), (5, "Emil"), (6, "Fritz"), (7, "Greta"), (8, "Hanna")):
        assert home.whose(number) == [name] * PHOTOS
    assert sorted(filter(None, home.whose(2))) == ["Berta"] * 4 + ["Cleo"]  # whose the rejected one is is not known, so it stays
    assert {a.name: len(a.asset_ids) for a in home.library.albums.values()}["Cleo"] == PHOTOS + 1

    # published once more: nothing to do
    before = home.writes()
    assert home.apply()["decision"] is None
    assert home.writes() == before

    # somebody calls her otherwise in Immich, and moves a face there
    published = home.state()
    fritz, hanna = home.person("Fritz"), home.person("Hanna")
    fritz.name = "Uncle Fritz"
    moved = next(f for a in home.library.assets.values() for f in a.faces if f.person_id == hanna.id and f.id != hanna.face_id)
    moved.person_id = home.person("Cleo").id
    shown = home.publish("--names", "--faces", "--json").json
    assert shown["counts"] == {}
    said = {c["kind"]: c["why"] for person in shown["people"] for c in person["cannot"]}
    assert said["renamed_there"] == "Immich calls them 'Uncle Fritz' now; they were published as 'Fritz'"
    assert said["named_otherwise"] == "Immich says 'Cleo' of 1 face"
    suggested = home("suggest", "--json").json
    assert any(each["command"].endswith("'Uncle Fritz'") for each in suggested)
    (face,) = [each for each in suggested if each["text"].endswith("is 'Cleo' in Immich")]
    assert face["command"].endswith(f"--to {cleo}")
    assert "and is called 'Uncle Fritz' there now" in home("explain", "Fritz").out
    assert "In Immich it is 'Cleo' there" in home("explain", face["evidence"]["faces"][0]).out

    # ours for the one, theirs for the other
    assert home(*face["command"].split()[1:]).code == 0
    again = home.apply("--names", "--faces", "--albums", "--overrule", "Fritz")
    assert again["changes"]["written"] == {"people_named": 1, "album_photos_added": 1, "album_photos_removed": 1}
    assert [row["act"] for row in home("history", "--json").json][-4:] == ["reject", "publish", "move", "publish"]

    undone = home("undo", "--json")
    assert undone.code == 0, undone.err
    assert home.person("Uncle Fritz") is fritz
    fritz.name, moved.person_id = "Fritz", hanna.id
    assert home.state() == published
    publish = next(row["decision"] for row in home("history", "--json").json if row["act"] == "publish")
    undone = home("undo", str(publish))
    assert undone.code == 0, undone.err
    assert "note" not in undone.out
    assert home.state() == start
    assert home("verify").code == 0


def test_what_somebody_changed_in_immich_meanwhile_stays_when_a_publish_is_taken_back(home: Home) -> None:
    start = home.state()
    home.apply()
    greta = home.person("Greta")
    greta.name = "Grete"
    home.face(5, 4).person_id = home.person("Cleo").id
    album = next(a for a in home.library.albums.values() if a.name == "Dora")
    album.asset_ids.append(home.asset(1, 0).id)
    undone = home("undo")
    assert undone.code == 0, undone.err
    assert "'Greta' is called 'Grete' in Immich by now, and stays so" in undone.out
    assert "a face was given to somebody else in Immich since, and stays there" in undone.out
    assert "the album 'Dora' holds photos that were put into it in Immich, and stays" in undone.out
    state = home.state()
    assert [who[0] for one, who in state["people"].items() if one not in start["people"]] == ["Grete"]
    assert {person.name for person in home.library.people.values()} == {"", "Cleo", "Grete", "Old Hanna"}
    assert home.face(5, 4).person_id == home.person("Cleo").id
    assert list(album.asset_ids) == [home.asset(1, 0).id]
    assert all(who is None for who in home.whose(7))
    refused = home("undo", str(home("history", "--json").json[-1]["decision"]))
    assert refused.code == 4, refused.out
    assert "facesets publish" in refused.line
