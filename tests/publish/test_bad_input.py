"""What Immich may hold against a publish: nothing wrong is written, nothing is lost, and it is said."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facesets import publish
from facesets.progress import Silent
from facesets.publish import Diff, What
from facesets.registry import source_people
from facesets.testing import Album, Box, faults, immich_server
from facesets.testing.immich.ids import make_thumbhash

from ..pipeline.world import CommandLine, jpeg
from .home import PHOTOS, VERSIONS, Home, family

NAMES_AND_FACES = What(names=True, faces=True)


def kinds(home: Home, name: str, *words: str) -> dict[str, int]:
    """What is not written of a person, and how many times."""
    shown = home.publish(*(words or ("--names", "--faces", "--albums")), "--json").json
    return {c["kind"]: c["count"] for person in shown["people"] if person["name"] == name for c in person["cannot"]}


def diff(home: Home, what: What = NAMES_AND_FACES) -> Diff:
    with home.open() as (workspace, registry):
        return publish.diff(workspace, registry, "anna", what, Silent())


@pytest.mark.parametrize("version", VERSIONS)
def test_photos_that_are_not_to_be_written_to_are_left_alone_and_counted(home: Home) -> None:
    bob = next(user for user in home.library.users.values() if user.name == "bob")
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    home.library.partner(bob, anna, in_timeline=True)
    home.asset(7, 0).visibility = "locked"
    home.asset(7, 1).deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    home.library.edit(home.asset(7, 2), "rotate", angle=90)
    del home.library.assets[home.asset(7, 3).id]
    partners = home.asset(7, 4)
    partners.owner_id = bob.id
    partners.faces[0].person_id = None
    before = home.state()["faces"]
    assert kinds(home, "Greta") == {"away": 2, "other_owner": 1, "trashed": 1}
    done = home.apply("--faces", "--albums", "--add-faces")
    assert done["changes"]["written"]["faces_assigned"] == 1  # the edited one, by its place in the original
    assert partners.faces[0].person_id is None
    after = home.state()["faces"]
    assert {asset: rows for asset, rows in after.items() if rows != before[asset]}.keys() >= {home.asset(7, 2).id}
    assert after[partners.id] == before[partners.id]
    assert next(a.asset_ids for a in home.library.albums.values() if a.name == "Greta") == [home.asset(7, 2).id]
    assert home("undo").code == 0
    assert home.state()["faces"] == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_photo_whose_file_was_turned_since_its_faces_were_found_gets_none_moved_or_added(home: Home) -> None:
    turned, swapped = home.asset(7, 0), home.asset(7, 1)
    for asset in (turned, swapped):  # where a face was is another one now, or none
        asset.thumbhash, asset.updated_at = make_thumbhash("upside down"), datetime.now(UTC)
    swapped.faces.clear()
    shown = home.publish("--faces", "--add-faces").out
    assert "2 photos are not as when their faces were found (facesets run looks again)" in shown
    home.apply("--faces", "--add-faces", "--albums")
    assert home.whose(7) == [None, "Greta", "Greta", "Greta"]
    assert swapped.faces == []
    assert turned.id in album(home, "Greta").asset_ids
    assert home("run", "--user", "anna").code == 0
    assert kinds(home, "Greta", "--faces") == {"no_face_there": 1}


def test_what_changed_between_the_diff_and_the_write_is_skipped_and_said(home: Home) -> None:
    found = diff(home)
    dora, emil = home.face(4, 0).person_id, home.face(5, 4)
    for one in home.library.assets.values():  # Dora's two people were merged in Immich meanwhile
        for face in one.faces:
            if face.person_id == home.face(4, 3).person_id and face is not home.face(4, 3):
                face.person_id = dora
    home.library.people[home.face(1, 0).person_id or ""].name = "Grandma"
    emil.person_id = home.person("Cleo").id
    home.library.person(next(u for u in home.library.users.values() if u.name == "anna"), "Greta")
    state = home.state()
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    assert "the name of Anna: the person was '' in Immich and is 'Grandma' now" in "\n".join(done.notes)
    assert "a face of Emil: it was given to somebody else in Immich meanwhile" in "\n".join(done.notes)
    assert "a face of Greta: somebody in Immich is called 'Greta' by now (5 times)" in "\n".join(done.notes)
    assert home.face(5, 4).person_id == home.person("Cleo").id
    assert home.person("Grandma").id in state["people"]
    assert len(home.library.people) == len(state["people"])


def test_a_person_who_was_merged_away_or_deleted_in_immich_is_not_made_again(home: Home) -> None:
    home.apply("--names", "--faces")
    greta, cleo = home.person("Greta"), home.person("Cleo")
    for k in range(PHOTOS):
        home.face(7, k).person_id = cleo.id
    del home.library.people[greta.id]
    shown = home.publish("--names", "--faces")
    assert "the person who was published for them is not in Immich any more" in shown.out
    assert "most of their faces are with 'Cleo' now" in shown.out
    assert home.publish("--names", "--faces", "--json").json["counts"] == {}
    overruled = home.apply("--names", "--faces", "--overrule", "Greta")
    assert overruled["changes"]["written"] == {"people_made": 1, "faces_moved": PHOTOS}


def test_two_people_of_one_name_are_told_apart_by_their_faces_or_not_at_all(home: Home) -> None:
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    for n in range(2):
        home.library.photo(anna, jpeg([99], 99_000 + n), faces=[Box(5, 5, 90, 90, home.library.person(anna, "Greta"))])
    assert kinds(home, "Greta") == {"several": 1}
    assert home("name", home.sets_of("Berta"), "Anna").code == 0
    shown = home.publish("--names", "--faces", "--json").json
    both = [person for person in shown["people"] if person["name"] == "Anna"]
    # each has a person without a name there; of two the same name is given to none
    assert [[c["kind"] for c in person["cannot"]] for person in both] == [["same_name"], ["same_name"]]
    state = home.state()
    home.apply("--names", "--faces")
    assert [p for p in home.library.people.values() if p.name == "Anna"] == []
    assert [p.name for p in home.library.people.values()].count("Greta") == 2
    assert home.state()["faces"][home.asset(7, 0).id] == state["faces"][home.asset(7, 0).id]


@pytest.mark.parametrize("version", ["2.7.2", "3.2.2"])
def test_very_long_and_odd_names_go_there_and_come_back(home: Home) -> None:
    long, odd = "n" * 5000, "50% off \\_ \u202e 👵🏽 / x" + "é" * 900
    home.person("Old Hanna").name = long
    home("name", "Greta", odd)
    start = home.state()
    home.apply("--names", "--faces")
    assert len({f.person_id for k in range(PHOTOS) for f in home.asset(7, k).faces}) == 1
    assert home.person("Hanna").id in start["people"]
    assert home.person(odd)
    assert home.apply("--names", "--faces")["decision"] is None
    assert home("undo").code == 0
    assert home.state() == start


def test_whose_faces_get_a_name_that_is_not_theirs_is_said(home: Home) -> None:
    """Immich has two people for one, of whom one has no name here."""
    berta = home.sets_of("Berta")
    for k in range(2):
        home.face(2, k).person_id = home.face(1, 0).person_id
    assert home("run", "--user", "anna").code == 0
    named = next(row["decision"] for row in home("history", "--json").json if f"{berta} is Berta" in row["sentences"])
    assert "no name here" not in home.publish("--names").out
    assert home("undo", str(named)).code == 0
    shown = home.publish("--names").out
    assert f"2 faces of {berta}, which has no name here, are with them in Immich, and get this name there too" in shown
    assert home("name", berta, "Berta").code == 0
    home.apply("--names", "--faces")
    assert (home.whose(1), home.whose(2)) == (["Anna"] * PHOTOS, ["Berta"] * PHOTOS)


WRITES = (
    "POST /api/people",
    "P* /api/people/{id}",
    "PUT /api/faces/{id}",
    "POST /api/faces",
    "POST /api/albums",
    "PUT /api/albums/{id}/assets",
)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_that_was_lost_is_no_second_write(home: Home) -> None:
    home.asset(10, 4).faces.clear()
    start = home.state()
    for route in WRITES:
        home.faults.script(route, [faults.failed_after_writing(), None, faults.dropped(), faults.status(503)])
    done = home.apply("--names", "--faces", "--albums", "--add-faces")
    assert done["notes"] == []
    assert done["changes"]["written"]["faces_added"] == 1
    assert home.faults.counts["500 after writing"] == len(WRITES)
    home.faults.clear()
    assert home.apply("--names", "--faces", "--albums", "--add-faces")["decision"] is None
    assert len(home.library.people) == len(start["people"]) + 1
    assert len(home.library.albums) == 9
    assert len(home.asset(10, 4).faces) == 1
    for route in ("DELETE *", "P* /api/people/{id}", "PUT /api/faces/{id}"):
        home.faults.script(route, [faults.failed_after_writing()])
    assert home("undo").code == 0
    assert home.state() == start


def test_what_a_garbled_answer_was_to_is_looked_at(home: Home) -> None:
    start = home.state()
    for route in ("POST /api/people", "POST /api/albums", "PUT /api/faces/{id}", "PUT /api/albums/{id}/assets"):
        home.faults.script(route, [faults.wrong_length(-5)])
    done = home.apply()
    assert done["notes"] == []
    assert len(home.library.people) == len(start["people"]) + 1
    assert len(home.library.albums) == 9
    home.faults.script("PUT /api/faces/{id}", [faults.wrong_length(-5)])
    assert home("undo").code == 0
    assert home.state() == start
    home.faults.add(faults.html(), "PUT /api/faces/{id}")  # a login page has done nothing
    answer = home.publish("--faces", "--apply")
    assert answer.code == 2
    assert "a web page came instead of Immich's answer" in answer.line
    assert home.state()["faces"] == start["faces"]
    home.faults.clear()
    assert home.apply("--faces")["changes"]["written"]["faces_moved"] == 3
    assert [row["act"] for row in home("history", "--json").json].count("publish") == 2


def test_a_face_that_immich_fails_at_every_time_holds_nobody_up(home: Home) -> None:
    home.faults.add(faults.status(500), "PUT /api/faces/{id}", times=3)
    done = home.apply("--names", "--faces")
    assert len(done["notes"]) == 1
    assert "Immich refuses" in done["notes"][0]
    assert done["changes"]["written"]["people_named"] == 7
    assert home.apply("--names", "--faces")["changes"]["written"] == {"faces_assigned": 1}


def test_a_server_that_is_too_busy_is_waited_for_and_then_asked_again_later_and_no_write_is_given_up(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("facesets.immich.Client.pause", lambda _client, seconds: pauses.append(seconds))
    start = home.state()
    home.faults.add(faults.too_many_requests(7), "PUT /api/faces/{id}", skip=2, times=3)
    answer = home.publish("--names", "--faces", "--apply")
    assert answer.code == 3
    assert "run the same command again later, and it goes on" in answer.line
    assert pauses == [7.0, 7.0, 7.0]
    assert home.apply("--names", "--faces")["notes"] == []
    assert [row["act"] for row in home("history", "--json").json].count("publish") == 1
    home.faults.add(faults.status(503), "PUT /api/faces/{id}", times=2)
    pauses.clear()
    assert home("undo").code == 0
    assert pauses == [1.0, 2.0]
    assert home.state() == start


def test_a_server_that_goes_away_is_said_and_the_same_command_goes_on(home: Home) -> None:
    home.cli.set("attempts = 1")
    home.faults.add(faults.dropped(), "*", skip=140)
    answer = home.publish("--names", "--faces", "--albums", "--apply")
    assert answer.code == 3
    assert "run the same command again" in answer.line.lower()
    assert "a publish that was cut off: the same command again goes on" in home("history").out
    home.faults.clear()
    home.apply()
    assert [row["act"] for row in home("history", "--json").json].count("publish") == 1
    assert home.publish("--json").json["counts"] == {}


def test_what_was_decided_between_a_publish_that_was_cut_off_and_the_next_is_the_earlier_word(home: Home) -> None:
    home.cli.set("attempts = 1")
    home.faults.add(faults.dropped(), "*", skip=110)
    assert home.publish("--names", "--faces", "--apply").code == 3
    home.faults.clear()
    face = home("explain", home.asset(5, 4).id, "--json").json["faces"][0]["face_id"]
    assert home.face(5, 4).person_id != home.face(5, 3).person_id
    assert home("confirm", face).code == 0
    home.apply("--names", "--faces")
    assert [row["act"] for row in home("history", "--json").json[-3:]] == ["publish", "confirm", "publish"]
    home.face(5, 4).person_id = home.person("Cleo").id
    assert kinds(home, "Emil", "--faces") == {"moved_there": 1}
    assert [home("undo", str(n)).code for n in (13, 11)] == [0, 0]


def album(home: Home, name: str) -> Album:
    (found,) = [album for album in home.library.albums.values() if album.name == name]
    return found


def test_a_photo_that_somebody_put_into_an_album_or_took_out_of_it_is_theirs_when_it_is_taken_back(home: Home) -> None:
    home.apply("--albums")
    cleo, berta = album(home, "Cleo"), album(home, "Berta")
    there = [home("explain", home.asset(2, k).id, "--json").json["faces"][0]["face_id"] for k in range(2)]
    assert home("move", *there, "--to", home.sets_of("Cleo")).code == 0
    found = diff(home, What(albums=True))
    assert found.counts() == {"album_photos_added": 2, "album_photos_removed": 2}
    cleo.asset_ids.append(home.asset(2, 0).id)  # meanwhile, in Immich
    berta.asset_ids.remove(home.asset(2, 0).id)
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    assert done.changes["written"] == {"album_photos_added": 1, "album_photos_removed": 1}
    assert home("undo").code == 0
    assert home.asset(2, 0).id in cleo.asset_ids
    assert home.asset(2, 1).id not in cleo.asset_ids
    assert home.asset(2, 0).id not in berta.asset_ids
    assert home.asset(2, 1).id in berta.asset_ids


@pytest.mark.parametrize("version", VERSIONS)
def test_an_album_that_somebody_made_theirs_stays(home: Home) -> None:
    home.apply("--albums")
    cleo, berta, trashed = album(home, "Cleo"), album(home, "Berta"), home.asset(1, 0)
    cleo.name = "Cleo for grandma"
    berta.asset_ids.append(trashed.id)
    trashed.deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    undone = home("undo").out
    assert "the album 'Cleo' is called 'Cleo for grandma' in Immich by now, and stays" in undone
    assert "the album 'Berta' holds photos that were put into it in Immich, and stays" in undone
    assert {one.name: list(one.asset_ids) for one in home.library.albums.values()} == {"Cleo for grandma": [], "Berta": [trashed.id]}


def test_of_several_photos_for_an_album_one_is_refused_and_the_answer_is_lost(home: Home) -> None:
    found = diff(home, What(albums=True))
    del home.library.assets[home.asset(3, 4).id]
    home.faults.script("PUT /api/albums/{id}/assets", [faults.failed_after_writing()] * 9)
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    assert done.changes["written"] == {"albums_made": 9, "album_photos_added": 44}
    assert home("undo").code == 0
    assert home.library.albums == {}


def test_a_second_publish_beside_it_waits_or_finds_it_done(home: Home, tmp_path: Path) -> None:
    with home.open():
        assert home.publish("--names").code == 5
    shutil.copytree(home.cli.workspace, tmp_path / "other")
    other = Home(home.library, home.server, CommandLine(tmp_path / "other", home.cli.capsys), home.faults)
    everything = What(names=True, faces=True, albums=True)
    ours, theirs = diff(home, everything), diff(other, everything)
    start = home.state()
    with home.open() as (workspace, registry):
        publish.apply(workspace, registry, ours, Silent())
    after = home.state()
    with other.open() as (workspace, registry):
        done = publish.apply(workspace, registry, theirs, Silent())
    assert done.decision is None
    assert len(done.notes) > 5
    assert home.state() == after
    assert home("undo").code == 0
    assert home.state() == start


def test_a_person_who_was_made_and_has_to_stay_keeps_the_name(home: Home) -> None:
    home.apply("--names", "--faces")
    home.face(1, 0).person_id = home.person("Greta").id
    undone = home("undo").out
    assert "the person who was made for 'Greta' has faces that were given in Immich" in undone
    assert "taken back in Immich: 7 people named, 5 faces given a person, 3 faces moved to the right person" in undone
    assert home.person("Greta")
    with home.open() as (_, registry):
        assert "Greta" in {one.name for one in source_people.select(registry, "anna", home.anna)}
    assert not [p.name for p in home.library.people.values() if p.name.startswith("facesets ")]
    assert home.whose(7) == [None] * PHOTOS


def test_a_person_who_was_made_and_got_a_birth_date_in_immich_stays(home: Home) -> None:
    home.apply("--names", "--faces")
    greta = home.person("Greta")
    greta.birth_date = "1931-05-04"
    assert "the person who was made for 'Greta' has a birth date that was given in Immich, and stays too" in home("undo").out
    assert home.person("Greta") is greta
    assert home.whose(7) == [None] * PHOTOS


def test_what_an_undo_cannot_reach_is_told_and_nobodys_face_is_lost(home: Home) -> None:
    """Photos that went to the trash and the locked folder since."""
    other = home.face(8, 1).person_id
    for k in range(PHOTOS):  # Greta is to be made of what somebody has, and of what nobody has
        home.face(7, k).person_id = other if k == 0 else None
    home.apply("--names", "--faces", "--overrule", "Greta")
    home.asset(7, 0).visibility = "locked"
    home.asset(7, 1).deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    undone = home("undo").out
    assert "a face stays, since its photo is in the trash" in undone
    assert "a face is not to be found in Immich any more: its photo is not shown to this key, deleted or in the locked folder" in undone
    assert "http" not in undone
    assert home.whose(7) == ["Greta", "Greta", None, None, None]


def test_a_person_who_was_made_goes_with_a_deleted_photo(home: Home) -> None:
    start = home.state()
    home.apply("--names", "--faces")
    del home.library.assets[home.asset(7, 0).id]
    assert home("undo").code == 0
    assert home.state()["people"] == start["people"]


def test_a_refusal_is_told_by_what_is_there(home: Home) -> None:
    for k in range(PHOTOS):
        home.library.people.pop(home.face(5, k).person_id or "", None)
        home.face(5, k).person_id = None
    found = diff(home, What(faces=True))
    home.asset(5, 1).deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    new_id = home.library.new_id("face")
    home.faults.add(faults.hook("found anew", lambda: setattr(home.face(5, 3), "id", new_id)), "PUT /api/faces/{id}", skip=3, times=1)
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    assert "not written, a face of Emil: its photo is in the trash" in done.notes
    assert "not written, a face of Emil: Immich has looked for faces anew, and has this one under another id" in done.notes


def test_a_publish_whose_people_have_later_faces_is_taken_back_after_those(home: Home) -> None:
    home.asset(7, 4).visibility = "locked"
    start = home.state()
    first = home.apply("--names", "--faces")["decision"]
    home.asset(7, 4).visibility = "timeline"
    later = home.apply("--names", "--faces")
    assert later["changes"]["written"] == {"faces_assigned": 1}
    refused = home("undo", str(first))
    assert refused.code == 4
    assert f"while decision {later['decision']} (publish) stands on it" in refused.line
    assert [home("undo").code, home("undo").code] == [0, 0]
    home.asset(7, 4).visibility = "locked"
    assert home.state() == start


def test_the_command_that_writes_is_told_whole(home: Home) -> None:
    said = home.publish("--names", "--tags", "--overrule", "Hanna").out.splitlines()[-1]
    assert said.startswith("nothing was written; facesets -C ")
    words = said.removesuffix("  writes it").split(" publish ")[1].split()
    done = home("publish", *words)
    assert done.code == 0, done.err
    assert home("history", "--json").json[-1]["act"] == "publish"


@pytest.mark.parametrize("version", ["2.7.2", "3.2.2"])
def test_a_server_that_was_set_up_anew_was_told_nothing_yet(home: Home, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = home.apply()
    library = family(seed=12)
    with immich_server(library, version) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        anew = Home(library, server, home.cli, home.faults)
        start = anew.state()
        assert "--new-server" in anew.publish().line
        assert anew("run", "--user", "anna", "--new-server").code == 0
        assert "published" not in anew("explain", "Fritz").out
        again = anew.apply()
        assert again["changes"]["written"] == first["changes"]["written"]
        assert anew("undo").code == 0
        assert anew.state() == start
        shown = anew("undo", "--dry-run").out
        undone = anew("undo").out
        for said in (shown, undone):
            assert "taken back in Immich: nothing" in said
            assert "it went to the Immich that was there before this one was set up anew" in said
        assert anew.state() == start
        assert [row["act"] for row in anew("history", "--json").json if row["undone_by"] is None and row["act"] == "publish"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--apply",), 2, "say what is to be written"),
        (("--tags", "--apply"), 4, "--yes-write-beside-originals"),
        (("--names", "--overrule", "Zoë"), 1, "no set or person is called 'Zoë'"),
    ],
)
def test_what_was_not_said_is_not_guessed(home: Home, words: tuple[str, ...], code: int, said: str) -> None:
    start = home.state()
    answer = home.publish(*words)
    assert answer.code == code
    assert said in answer.line
    assert home.state() == start


def test_a_user_who_is_a_folder_has_no_immich(home: Home, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert home("stage", "--user", "carl", "--folder", tmp_path / "photos").code == 0
    answer = home("publish", "--user", "carl")
    assert answer.code == 2
    assert "'carl' is a folder of photos" in answer.line


def test_a_person_who_was_named_or_hidden_in_immich_after_the_diff_keeps_their_faces_and_gets_none(home: Home) -> None:
    for k in range(2):
        home.face(3, k).person_id = home.face(2, k).person_id = None
    found = diff(home)
    second, cleo, berta = (home.library.people[home.face(n, k).person_id or ""] for n, k in ((4, 4), (3, 4), (2, 4)))
    second.name, cleo.name, berta.is_hidden = "Grandma", "Cleo of next door", True
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    said = "\n".join(done.notes)
    assert "a face of Dora: the person who has it was '' in Immich and is 'Grandma' now (2 times)" in said
    assert "a face of Cleo: the person who is to have it was 'Cleo' in Immich and is 'Cleo of next door' now (2 times)" in said
    assert "a face of Berta: the person who is to have it was hidden in Immich (2 times)" in said
    assert (home.whose(4)[3:], home.whose(3)[:2], home.whose(2)[:2]) == (["Grandma"] * 2, [None] * 2, [None] * 2)
    # who was named by the publish itself is no other person
    assert done.changes["written"]["people_named"] == 6


def test_a_name_that_somebody_got_in_immich_after_the_diff_is_not_given_twice(home: Home) -> None:
    found = diff(home)
    anna = next(user for user in home.library.users.values() if user.name == "anna")
    home.library.person(anna, "anna")
    with home.open() as (workspace, registry):
        done = publish.apply(workspace, registry, found, Silent())
    assert "not written, the name of Anna: somebody else in Immich is called 'Anna' by now" in done.notes
    assert not [person for person in home.library.people.values() if person.name == "Anna"]
