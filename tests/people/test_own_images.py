"""An owner's own images in sets made here: faces by their file there, too, before and after the folder follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facesets import people
from facesets.errors import NotFound, Refused, UsageError
from facesets.export import existing_sets
from facesets.progress import Silent
from facesets.registry import backups, decisions, gallery, sets
from facesets.registry import people as known
from facesets.report import write_report
from facesets.review.acts import ACTS
from facesets.review.forms import Form
from facesets.targets import find
from facesets.targets.candidates import candidates
from facesets.targets.job import Outcome
from facesets.targets.pictures import Pictures

from ..pipeline.world import jpeg
from .home import Home
from .test_old_sets import OLD, OTHER, old, old_folder  # noqa: F401 - fixtures


@pytest.fixture
def made(old: Home, tmp_path: Path) -> str:
    """A set of six faces that is made here beside those that were there."""
    (tmp_path / "pics").mkdir()
    for n in range(6):
        (tmp_path / f"pics/{n}.jpg").write_bytes(jpeg([5], 7770 + n))
    assert old.cli("run", "--folder", str(tmp_path / "pics"), "--user", "berta").code == 0
    return f"faceset_{sets.highest_number(old.registry):03d}"


def images(home: Home, name: str) -> list[str]:
    """The own images of a set, as decided."""
    person = known.of_set(home.registry, name)
    assert person is not None
    return [path for path, _ in gallery.own_images(home.registry, [person.id]).get(person.id, [])]


def sizes(home: Home) -> dict[str, int]:
    return {row["set"]: row["faces"] for row in home.cli("list", "people", "--json").json}


WRITTEN = pytest.mark.parametrize("written", [False, True], ids=["before its folder follows", "after"])


@WRITTEN
def test_an_image_that_came_into_a_set_made_here_is_a_face_of_it(old: Home, made: str, written: bool) -> None:
    before = old.tree()
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg", f"{OLD}/1.jpg", f"{OLD}/2.jpg"], made)
    _ = old.write() if written else None
    faces = [f"{made}/faces/{n}.jpg" for n in range(3)]
    assert images(old, made) == [face.removeprefix(f"{made}/") for face in faces]
    assert sizes(old)[made] == 9
    if written:
        entries = json.loads((old.root / "manifest.json").read_text())["facesets"]
        assert {entry["name"]: entry.get("faces") for entry in entries}[made] == 9
    assert {row["set"]: row["faces"] for row in old.cli("list", "sets", "--json").json}[made] == 9
    story = old.cli("explain", made, "--json").json
    assert [image["file"] for image in story["own_images"]] == images(old, made)
    assert "3 images of your own were put into it." in old.cli("explain", made).out
    assert "an image of your own" in old.cli("explain", faces[0]).out
    assert people.confirm(old.workspace, old.registry, [made]).changes == {"confirmed": {made: 9}}
    people.undo(old.workspace, old.registry)
    assert people.confirm(old.workspace, old.registry, faces[:1]).changes == {"confirmed": {made: 1}}
    people.undo(old.workspace, old.registry)
    people.move(old.workspace, old.registry, faces[:1], OTHER)
    people.reject(old.workspace, old.registry, faces[1:2])
    split = people.split(old.workspace, old.registry, made, faces[2:]).changes["split"]["new_set"]
    _ = old.write() if written else None
    assert (images(old, made), len(images(old, OTHER)), images(old, split)) == ([], 7, ["faces/2.jpg"])
    assert sizes(old)[split] == 1
    with pytest.raises(Refused, match="move"):
        people.undo(old.workspace, old.registry, 1)
    for _ in range(4):
        people.undo(old.workspace, old.registry)
    old.write()
    assert {**old.tree(), "manifest.json": ""} == {**before, "manifest.json": ""}
    assert old.verify().ok, old.verify().problems


def test_a_set_made_here_may_keep_own_images_alone_and_not_nothing(old: Home, made: str) -> None:
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], made)
    people.reject(old.workspace, old.registry, old.faces(made))
    with pytest.raises(UsageError, match="nothing would be left"):
        people.move(old.workspace, old.registry, [f"{made}/faces/0.jpg"], OTHER)
    old.write()
    assert old.verify().ok, old.verify().problems
    assert images(old, made) == ["faces/0.jpg"]


@WRITTEN
def test_merged_into_a_set_made_here_own_images_lie_with_its_faces_and_are_moved_on(old: Home, made: str, written: bool) -> None:
    before = old.tree()
    people.merge(old.workspace, old.registry, OLD, made)
    _ = old.write() if written else None
    assert images(old, made) == [f"faces/{n}.jpg" for n in range(6)]
    people.move(old.workspace, old.registry, [f"{made}/faces/0.jpg"], OTHER)
    _ = old.write() if written else None
    with pytest.raises(Refused, match=r"decision 2 \(move\)"):
        people.undo(old.workspace, old.registry, 1)
    people.undo(old.workspace, old.registry, 2)
    people.undo(old.workspace, old.registry, 1)
    old.write()
    assert {**old.tree(), "manifest.json": ""} == {**before, "manifest.json": ""}
    assert old.verify().ok, old.verify().problems


def test_own_images_of_a_set_made_here_lie_beside_those_of_the_plain_set_that_it_is_merged_into(old: Home, made: str) -> None:
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], made)
    people.merge(old.workspace, old.registry, made, OTHER)
    old.write()
    (there,) = (one for one in existing_sets(old.root) if one.name == OTHER)
    assert f"{made}_0.jpg" in [path.name for path in there.images], "a folder faces/ would hide those that lie beside it"
    assert len([path for path in there.images if path.suffix == ".jpg"]) == 7


def test_a_merge_takes_a_rejected_image_out_of_the_other_set_too(old: Home) -> None:
    image = (old.root / OLD / "0.jpg").read_bytes()
    for name in (OLD, OTHER):
        (old.root / name / "copy.jpg").write_bytes(image)
        people.accept(old.workspace, old.registry, name)
    before = old.tree()
    assert "2 faces" in people.reject(old.workspace, old.registry, [f"{OLD}/0.jpg"]).sentences[0], "both of one image"
    outcome = people.merge(old.workspace, old.registry, OLD, OTHER)
    assert outcome.notes == ("1 face is in neither, rejected before",)
    old.write()
    assert image not in [path.read_bytes() for path in (old.root / OTHER).iterdir() if path.is_file()]
    people.undo(old.workspace, old.registry)
    people.undo(old.workspace, old.registry)
    old.write()
    assert {**old.tree(), "manifest.json": ""} == {**before, "manifest.json": ""}


def test_what_was_said_otherwise_of_an_own_image_is_said_at_once(old: Home) -> None:
    said = {"said otherwise of 1 face; this later one holds"}
    people.confirm(old.workspace, old.registry, [f"{OLD}/0.jpg"])
    notes = people.reject(old.workspace, old.registry, [f"{OLD}/0.jpg"]).notes
    assert {note.partition(") ")[2] for note in notes} == said
    (old.root / OTHER / "copy.jpg").write_bytes((old.root / OLD / "0.jpg").read_bytes())
    people.accept(old.workspace, old.registry, OTHER)
    assert people.move(old.workspace, old.registry, [f"{OTHER}/copy.jpg"], OLD).notes == (
        "decision 2 (reject) said otherwise of 1 face; this later one holds",
    )


def test_what_came_and_went_before_the_folder_followed_leaves_its_name_to_its_undo(old: Home) -> None:
    before = old.tree()
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], OTHER)
    people.move(old.workspace, old.registry, [f"{OTHER}/0-2.jpg"], "faceset_011")
    old.write()
    (old.root / OLD / "0.jpg").write_bytes(jpeg([1], 31))
    people.accept(old.workspace, old.registry, OLD)
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], OTHER)
    people.undo(old.workspace, old.registry, 2)
    old.write()
    there = [digest for path, digest in old.tree().items() if path.startswith(f"{OTHER}/")]
    assert before[f"{OLD}/0.jpg"] in there
    people.undo(old.workspace, old.registry, 4)
    old.write()
    assert before[f"{OLD}/0.jpg"] in [digest for path, digest in old.tree().items() if path.startswith(f"{OTHER}/")]


def test_own_images_in_a_set_made_here_are_known_after_a_registry_was_brought_back(old: Home, made: str) -> None:
    backups.make(old.workspace.registry_file, "schema-7")
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg", f"{OLD}/1.jpg"], made)
    old.write()
    people.reject(old.workspace, old.registry, [f"{made}/faces/0.jpg"])
    old.registry.close()
    (chosen,) = (each["backup"] for each in old.cli("restore", "--json").json if each["before"] == "schema-7")
    answer = old.cli("restore", chosen, "--json").json
    assert (answer["sets_altered"], answer["decisions_to_repeat"]) == ([], [])
    old.registry = old.workspace.registry()
    assert images(old, made) == ["faces/1.jpg"]
    with pytest.raises(NotFound, match="no face of this file"):
        people.confirm(old.workspace, old.registry, [f"{made}/faces/0.jpg"])
    old.write()
    assert old.verify().ok, old.verify().problems


def test_a_rejected_image_that_was_put_back_by_hand_and_accepted_is_theirs_again(old: Home) -> None:
    image = (old.root / OLD / "0.jpg").read_bytes()
    people.reject(old.workspace, old.registry, [f"{OLD}/0.jpg"])
    old.write()
    (old.root / OLD / "again.jpg").write_bytes(image)
    assert people.accept(old.workspace, old.registry, OLD).notes == (
        "decision 1 (reject) said otherwise of 1 face; this later one holds",
    )
    people.merge(old.workspace, old.registry, OLD, OTHER)
    old.write()
    assert image in [path.read_bytes() for path in (old.root / OTHER).iterdir() if path.is_file()]


def test_a_folder_that_an_undo_is_to_make_again_is_no_problem(old: Home) -> None:
    people.merge(old.workspace, old.registry, OLD, OTHER)
    old.write()
    people.undo(old.workspace, old.registry)
    report = old.verify()
    assert report.problems == []
    assert f"{OLD}: its folder is still to be made, as was decided; facesets write  does that" in report.notes


def test_an_undo_that_was_undone_and_said_again_takes_back_what_it_took_back(old: Home) -> None:
    people.reject(old.workspace, old.registry, [f"{OLD}/0.jpg"])
    for decision in (1, 2, 3, 4):
        stands = [made.id for made in decisions.select(old.registry) if made.stands and made.act == "reject"]
        assert stands == ([1] if decision % 2 else [])
        people.undo(old.workspace, old.registry, decision)
    assert images(old, OLD) == [f"{n}.jpg" for n in range(1, 6)]


@WRITTEN
def test_a_page_acts_on_an_own_image_where_it_lies_by_now(old: Home, made: str, written: bool) -> None:
    image = old.tree()[f"{OLD}/0.jpg"]
    (old.root / OTHER / "faces.jpg").write_bytes((old.root / OLD / "0.jpg").read_bytes())
    people.accept(old.workspace, old.registry, OTHER)
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], made)
    _ = old.write() if written else None
    reject = ACTS["reject"]
    with pytest.raises(NotFound, match="had moved meanwhile"):
        reject(old.workspace, old.registry, Form([("set", OLD), ("faces", image)]))
    said = reject(old.workspace, old.registry, Form([("set", made), ("faces", image)]))["said"]
    assert said == [f"1 face is not of {made}, and will not be given to it again"]
    assert (images(old, made), "faces.jpg" in images(old, OTHER)) == ([], True)


def test_a_person_is_shown_by_no_image_that_went_elsewhere(old: Home, made: str) -> None:
    person, image = known.of_set(old.registry, OLD), old.tree()[f"{OLD}/3.jpg"]
    assert person is not None
    people.best(old.workspace, old.registry, f"{OLD}/3.jpg")
    assert gallery.best_faces(old.registry, [person.id]) == {person.id: image}
    people.move(old.workspace, old.registry, [f"{OLD}/3.jpg"], made)
    assert gallery.best_faces(old.registry, [person.id]) != {person.id: image}


@WRITTEN
def test_the_report_shows_own_images_of_a_set_made_here(old: Home, made: str, written: bool) -> None:
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], made)
    people.reject(old.workspace, old.registry, old.faces(made)[1:2])
    _ = old.write() if written else None
    write_report(old.workspace, old.registry)
    number = int(made.removeprefix("faceset_"))
    page = next((old.workspace.root / "reports").rglob(f"*{number:03d}.html")).read_text()
    assert page.count('<figure class="large"') == 6
    assert 'class="missing"' not in page
    assert "1 image of your own was put into it." in page


@WRITTEN
def test_exports_take_own_images_as_decided_in_whichever_set(old: Home, made: str, written: bool) -> None:
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], made)
    people.extend(old.workspace, old.registry, OLD)
    people.reject(old.workspace, old.registry, [f"{OLD}/1.jpg"])
    _ = old.write() if written else None
    with Pictures(old.workspace, old.registry, Silent()) as pictures:
        taken = [
            len(candidates(old.workspace, old.registry, find(old.registry, name), pictures, Outcome(name, 0, name, "")))
            for name in (OLD, made)
        ]
    assert taken == [4 + 3, 6 + 1 if written else 6], "beside the measured ones; what is left out by none"


def test_a_copy_of_an_image_that_was_moved_away_comes_into_no_set_by_a_merge_that_it_was_moved_out_of(old: Home) -> None:
    image = (old.root / OLD / "0.jpg").read_bytes()
    (old.root / OTHER / "copy.jpg").write_bytes(image)
    people.accept(old.workspace, old.registry, OTHER)
    people.move(old.workspace, old.registry, [f"{OLD}/0.jpg"], "faceset_011")
    people.merge(old.workspace, old.registry, OTHER, OLD)
    old.write()
    assert image not in [path.read_bytes() for path in (old.root / OLD).iterdir() if path.is_file()]
