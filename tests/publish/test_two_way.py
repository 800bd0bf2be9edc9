"""Both sides may go on saying who is who: the later word is known where it can be, and asked for where not."""

from __future__ import annotations

import pytest

from ..people.test_binding import tagged
from ..people.test_other_bytes import again
from .home import PHOTOS, VERSIONS, Home


def kinds(home: Home, name: str, *words: str) -> dict[str, int]:
    shown = home.publish("--names", "--faces", *words, "--json").json
    return {c["kind"]: c["count"] for person in shown["people"] if person["name"] == name for c in person["cannot"]}


def moved(home: Home) -> str:
    """The id here of the face that is on the first photo of person 7."""
    found = home("explain", home.asset(7, 0).id, "--json").json
    return str(found["faces"][0]["face_id"])


def test_a_published_face_that_somebody_moved_in_immich_is_asked_for_until_it_was_looked_at(home: Home) -> None:
    home.apply("--names", "--faces")
    home.face(7, 0).person_id = home.person("Cleo").id
    assert kinds(home, "Greta") == {"moved_there": 1}
    key = moved(home)
    (offered,) = [each for each in home("suggest", "--json").json if "given to 'Cleo' in Immich since it was published" in each["text"]]
    assert offered["command"] == f"facesets move {key[:16]} --to {home.sets_of('Cleo')}"
    told = home("explain", key).out
    assert "In Immich it was given to 'Greta' by decision 11, and that is changed there since: it is 'Cleo' there." in told
    # looked at, and right here: that is the later word
    assert home("confirm", key).code == 0
    assert "Here decision 12 of " in home("explain", key).out
    assert not [each for each in home("suggest", "--json").json if "'Cleo' in Immich" in each["text"]]
    assert home.apply("--names", "--faces")["changes"]["written"] == {"faces_moved": 1}
    # moved there once more after that: asked again
    home.face(7, 0).person_id = home.person("Cleo").id
    assert kinds(home, "Greta") == {"moved_there": 1}


def test_a_face_that_became_a_person_of_its_own_in_immich_was_moved_by_hand(home: Home) -> None:
    home.apply("--names", "--faces")
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    home.face(7, 1).person_id = home.library.person(anna).id
    assert kinds(home, "Greta") == {"moved_there": 1}
    assert kinds(home, "Greta", "--overrule", "Greta") == {}
    assert home.apply("--faces", "--overrule", "Greta")["changes"]["written"] == {"faces_moved": 1}
    assert home.whose(7) == ["Greta"] * PHOTOS


def test_another_word_for_a_person_in_immich_takes_no_face_from_it_here(home: Home) -> None:
    """Two grandmothers: whom Immich calls Hanna is not the Hanna of here, all of whose faces are Old Hanna there."""
    home.library.people[home.face(6, 0).person_id or ""].name = "Hanna"
    home.publish("--names")  # Immich is asked
    assert not [each for each in home("suggest", "--json").json if "'Old Hanna' in Immich" in each["text"]]
    # a single face that is somebody else's there is still asked for
    home.face(3, 1).person_id = home.person("Old Hanna").id
    home.publish("--names", "--faces")
    assert home("run", "--user", "anna").code == 0
    (offered,) = [each for each in home("suggest", "--json").json if "'Old Hanna' in Immich" in each["text"]]
    assert offered["text"].endswith("(Cleo) is 'Old Hanna' in Immich")


def test_one_face_alone_that_was_moved_by_hand_is_no_reset(home: Home) -> None:
    home.apply("--names", "--faces")
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    home.face(5, 4).person_id = home.library.person(anna).id  # of Emil's faces the only one that was published
    shown = home.publish("--faces").out
    assert "1 face was given to somebody without a name in Immich since (facesets confirm FACE; --overrule" in shown
    face = str(home("explain", home.asset(5, 4).id, "--json").json["faces"][0]["face_id"])
    assert home("confirm", face).code == 0
    assert home.apply("--faces")["changes"]["written"] == {"faces_moved": 1}


def test_a_face_that_was_looked_at_before_somebody_moved_it_in_immich_is_asked_for(home: Home) -> None:
    home.apply("--names", "--faces")
    key = moved(home)
    assert home("confirm", key).code == 0
    assert home.apply("--names", "--faces")["decision"] is None
    home.face(7, 0).person_id = home.person("Cleo").id
    assert home("run", "--user", "anna").code == 0
    assert kinds(home, "Greta") == {"moved_there": 1}
    assert [each for each in home("suggest", "--json").json if "given to 'Cleo' in Immich since" in each["text"]]
    assert home("confirm", key).code == 0
    assert kinds(home, "Greta") == {}
    assert not [each for each in home("suggest", "--json").json if "given to 'Cleo' in Immich since" in each["text"]]
    # and moved to yet another one, whom nobody had in mind
    home.face(7, 0).person_id = home.person("Anna").id
    assert kinds(home, "Greta") == {"moved_there": 1}


def test_the_later_of_two_names_holds_and_a_name_taken_away_is_not_given_again(home: Home) -> None:
    cleo = home.person("Cleo")
    cleo.name, cleo.updated_at = "Cleopatra", cleo.updated_at.replace(year=2099)
    assert kinds(home, "Cleo") == {"named_there": 1}  # changed there after it was said here
    cleo.updated_at = cleo.updated_at.replace(year=2023)
    assert kinds(home, "Cleo") == {}
    home.apply("--names", "--albums")
    assert cleo.name == "Cleo"
    cleo.name = ""
    assert kinds(home, "Cleo") == {"renamed_there": 1}
    assert "has no name there now" in home("explain", "Cleo").out
    # another name here, since: it is still theirs that is the later, and it is asked
    assert home("name", "Cleo", "Clea").code == 0
    assert kinds(home, "Clea") == {"renamed_there": 1}
    done = home.apply("--names", "--albums", "--overrule", "Clea")
    assert done["changes"]["written"] == {"people_named": 1, "albums_named": 1}
    assert sorted(a.name for a in home.library.albums.values())[2] == "Clea"
    assert home("undo").code == 0
    assert cleo.name == ""
    assert sorted(a.name for a in home.library.albums.values())[2] == "Cleo"


def test_a_person_whom_immich_calls_otherwise_is_another_one_unless_nearly_all_faces_agree(home: Home) -> None:
    hanna = home.person("Old Hanna")
    for person in (1, 2):
        for k in range(2):
            home.face(person, k).person_id = hanna.id
    assert kinds(home, "Hanna") == {"named_otherwise": PHOTOS}
    state = home.state()
    home.apply("--names", "--faces")
    assert hanna.name == "Old Hanna"
    assert [home.face(8, k).person_id for k in range(PHOTOS)] == [hanna.id] * PHOTOS
    assert [home.face(1, k).person_id for k in range(2)] == [hanna.id] * 2
    assert len(home.library.people) == len(state["people"]) + 1  # Greta


def test_people_merged_here_become_one_there_face_by_face(home: Home) -> None:
    home.apply("--names", "--faces")
    before, one, into = home.state(), home.sets_of("Cleo"), home.sets_of("Anna")
    assert home("merge", one, into, "--name", "Anna").code == 0
    assert home("write").code == 0
    done = home.apply("--names", "--faces")
    assert done["changes"]["written"] == {"faces_moved": PHOTOS}
    assert home.whose(3) == ["Anna"] * PHOTOS
    assert home.person("Cleo")  # who stays, with nobody's face
    assert home("undo").code == 0
    assert home.state() == before


def test_what_immich_has_as_it_was_told_is_ours_to_say_otherwise(home: Home) -> None:
    home.apply("--names", "--faces")
    before = home.state()
    merged = home("merge", home.sets_of("Cleo"), home.sets_of("Anna"), "--name", "Anna", "--json").json["decision"]
    home.apply("--names", "--faces")
    assert home("undo", str(merged)).code == 0
    assert kinds(home, "Cleo") == {}
    assert home.apply("--names", "--faces")["changes"]["written"] == {"faces_moved": PHOTOS}
    assert home.state()["faces"] == before["faces"]
    # of somebody who has another name there by now it is asked all the same
    assert home("merge", home.sets_of("Greta"), home.sets_of("Anna"), "--name", "Anna", "--json").code == 0
    home.person("Greta").name = "Margarete"
    assert kinds(home, "Anna") == {"moved_there": PHOTOS}


def test_who_was_merged_into_somebody_whom_immich_had_all_along_is_moved_to_them(home: Home) -> None:
    home.apply("--names", "--faces")
    cleo = home.person("Cleo")  # of whom nothing had to be published
    assert home("merge", home.sets_of("Anna"), home.sets_of("Cleo"), "--name", "Cleo").code == 0
    assert kinds(home, "Cleo") == {}
    assert home.apply("--names", "--faces")["changes"]["written"] == {"faces_moved": PHOTOS}
    assert {home.face(n, k).person_id for n in (1, 3) for k in range(PHOTOS)} == {cleo.id}


def test_two_who_were_one_for_a_while_are_two_in_immich_again(home: Home) -> None:
    home.apply("--names")  # Greta is not there yet
    jakob = home.person("Jakob")
    merged = home("merge", home.sets_of("Jakob"), home.sets_of("Greta"), "--name", "Greta", "--json").json["decision"]
    home.apply("--names", "--faces")
    assert (jakob.name, home.whose(7), home.whose(10)) == ("Greta", ["Greta"] * PHOTOS, ["Greta"] * PHOTOS)
    assert home("undo", str(merged)).code == 0
    assert kinds(home, "Jakob") == {"named_otherwise": PHOTOS}  # and nobody's name changes from one to the other each time
    assert home.publish("--names", "--faces", "--json").json["counts"] == {}
    again = home.apply("--names", "--faces", "--overrule", "Jakob")["changes"]["written"]
    assert again == {"people_made": 1, "faces_moved": PHOTOS}
    assert (jakob.name, home.whose(7), home.whose(10)) == ("Greta", ["Greta"] * PHOTOS, ["Jakob"] * PHOTOS)
    assert home.publish("--names", "--faces", "--json").json["counts"] == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_just_published_or_taken_back_is_known_without_asking_immich_again(home: Home) -> None:
    home.asset(10, 4).faces.clear()
    assets = (home.asset(5, 4), home.asset(10, 4))
    faces = {asset.id: home("explain", asset.id, "--json").json["faces"][0]["face_id"] for asset in assets}

    def told() -> list[str]:
        return [line for face in faces.values() for line in home("explain", face).out.splitlines() if line.startswith("In Immich")]

    decision = home.apply("--names", "--faces", "--add-faces")["decision"]
    for _ in range(2):
        assert home("suggest", "--json").json == []
        assert "as 'Hanna', and is called so there still" in home("explain", "Hanna").out
        assert "as 'Greta', and is called so there still" in home("explain", "Greta").out
        given = "In Immich it was given to '{}' by decision {}, and that is still so."
        assert told() == [given.format(name, decision) for name in ("Emil", "Jakob")]
        assert home("run", "--user", "anna").code == 0
    assert home("undo").code == 0
    assert home("suggest", "--json").json == []
    assert told() == ["In Immich it is somebody without a name there, as Immich was last asked."]


def tag_all(home: Home) -> None:
    for asset in home.library.assets.values():
        assert isinstance(asset.data, bytes)
        again(asset, tagged(asset.data))
    assert home("run", "--user", "anna").code == 0


def test_a_tag_that_another_program_wrote_into_every_photo_changes_nothing_of_what_is_published(home: Home) -> None:
    asked = home.publish("--names", "--faces", "--albums", "--json").json["counts"]
    tag_all(home)
    assert home.publish("--names", "--faces", "--albums", "--json").json["counts"] == asked
    home.apply()
    published = home.state()["albums"]
    tag_all(home)
    assert home.publish("--names", "--faces", "--albums", "--json").json["counts"] == {}
    assert home.apply()["decision"] is None
    assert home.state()["albums"] == published


@pytest.mark.parametrize("version", VERSIONS)
def test_two_names_that_were_mixed_up_change_places_and_back(home: Home) -> None:
    home.apply("--names", "--faces")
    before = home.state()
    anna, berta, emil = (home.sets_of(name) for name in ("Anna", "Berta", "Emil"))
    for set_name, name in ((anna, "?"), (berta, "Anna"), (anna, "Berta")):
        assert home("name", set_name, name).code == 0
    shown = home.publish("--names", "--faces").out
    assert f"Anna ({berta}): the person 'Berta' in Immich is called 'Anna'" in shown
    assert "merge the two" not in shown
    assert home.apply("--names", "--faces")["changes"]["written"] == {"people_named": 2}
    assert (home.whose(1), home.whose(2)) == (["Berta"] * PHOTOS, ["Anna"] * PHOTOS)
    assert home.publish("--names", "--faces", "--json").json["counts"] == {}
    assert home("undo").code == 0
    assert home.state() == before
    # one of them was renamed there since: the other does not get a name that is not given up
    home.person("Berta").name = "Betty"
    assert home("name", emil, "Anna Maria").code == 0
    assert home("name", anna, "Emil").code == 0
    assert kinds(home, "Emil") == {}
    home.person("Emil").name = "emil"
    assert kinds(home, "Anna Maria") == {"renamed_there": 1}
    assert kinds(home, "Emil") == {"name_taken": 1}
