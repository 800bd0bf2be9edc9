"""What owners do to folders by hand while decisions wait, and what they accept of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facesets import people
from facesets.changes import steps
from facesets.errors import Refused, UsageError
from facesets.registry import Step

from .home import ONE, TWO, Home


def test_a_decision_that_waits_is_no_problem_and_verify_says_what_carries_it_out(home: Home) -> None:
    people.split(home.workspace, home.registry, ONE, home.faces(ONE)[:2])
    people.merge(home.workspace, home.registry, TWO, "faceset_003")
    report = home.verify()
    assert report.problems == []
    assert report.notes == [
        "faceset_001: its folder is still to follow what was decided; facesets write  does that",
        "faceset_002: its folder is still to go, as was decided; facesets write  does that",
        "faceset_003: its folder is still to follow what was decided; facesets write  does that",
        "faceset_004: its folder is still to be made, as was decided; facesets write  does that",
    ]
    home.write()
    assert (home.verify().ok, home.verify().notes) == (True, [])


def test_a_description_names_no_file_that_a_decision_and_the_owner_took_out(home: Home) -> None:
    face = home.faces(ONE)[1]
    file = home.crop(ONE, face)
    people.move(home.workspace, home.registry, [face], TWO)
    (home.root / file).unlink()
    people.accept(home.workspace, home.registry, ONE)
    home.write()
    described = json.loads((home.root / ONE / "faceset.json").read_text())["faces"]
    assert sorted(entry["face_id"] for entry in described) == sorted(home.faces(ONE))
    assert file not in [f"{ONE}/{entry['file']}" for entry in described]
    assert home.verify().ok, home.verify().problems


def test_one_file_for_two_members_is_a_problem(home: Home) -> None:
    home.registry.db.execute("UPDATE set_faces SET file = 'faces/0001.png' WHERE rank = 2 AND set_id = 1")
    assert [str(problem) for problem in home.verify().problems] == [f"{ONE}/faces/0001.png: stands for two faces of this set"]


def registry_rows(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """What the registry says of people, sets, members and files; without stamps."""
    return {
        table: [tuple(row) for row in home.registry.db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2")]
        for table, columns in {
            "people": "id, number, name, standing, merged_into",
            "sets": "id, name, revision, written, retired, pack",
            "set_faces": "set_id, measurement_id, file",
            "memberships": "face_id, person_id, standing",
            "set_files": "set_id, path, size, sha256",
            "centroids": "person_id, pack, year_to, n, vector",
        }.items()
    }


def whole(state: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Without averages of years, which a run takes anew."""
    return {**state, "centroids": [row for row in state["centroids"] if row[2] == 0]}


def thin_out(home: Home) -> None:
    (home.root / home.crop(ONE, home.faces(ONE)[2])).unlink()


def remove_folder(home: Home) -> None:
    shutil.rmtree(home.root / ONE)


def rename_folder(home: Home) -> None:
    (home.root / ONE).rename(home.root / "faceset_044")


def add_file(home: Home) -> None:
    (home.root / ONE / "faces/mine.png").write_bytes(b"mine")


HANDS = {"thinned out": thin_out, "removed": remove_folder, "renamed": rename_folder, "added to": add_file}


@pytest.mark.parametrize("hand", HANDS)
def test_what_was_accepted_is_taken_back_and_differs_again(home: Home, hand: str) -> None:
    before, manifest = whole(registry_rows(home)), (home.root / "manifest.json").read_bytes()
    HANDS[hand](home)
    differs = [str(problem) for problem in home.verify().problems]
    assert differs
    people.accept(home.workspace, home.registry, "1")
    assert home.verify().ok, home.verify().problems
    accepted, entry = whole(registry_rows(home)), (home.root / "manifest.json").read_bytes()
    outcome = people.undo(home.workspace, home.registry)
    assert outcome.sentences[0].startswith("taken back: faceset_001: ")
    assert whole(registry_rows(home)) == before
    assert (home.root / "manifest.json").read_bytes() == manifest
    assert [str(problem) for problem in home.verify().problems] == differs
    assert outcome.decision is not None
    people.undo(home.workspace, home.registry, outcome.decision)
    assert whole(registry_rows(home)) == accepted
    assert (home.root / "manifest.json").read_bytes() == entry
    assert home.verify().ok, home.verify().problems


def test_accept_is_an_act_like_the_others(home: Home) -> None:
    people.name(home.workspace, home.registry, ONE, "Anna")
    home.write()
    thin_out(home)
    before = registry_rows(home)
    home.registry.close()
    answer = home.cli("accept", "anna", "--dry-run")
    assert (answer.code, answer.out.splitlines()) == (
        0, ["faceset_001 (Anna): 9 files are taken as they are now", "nothing was changed (--dry-run)"],
    )  # fmt: skip
    home.registry = home.workspace.registry()
    assert registry_rows(home) == before
    home.registry.close()
    done = home.cli("accept", "1", "--json").json
    assert (done["act"], done["decision"], done["changes"]) == (
        "accept", 2, {"accepted": {"set": ONE, "files": 9, "retired": False}},
    )  # fmt: skip
    assert home.cli("history", "--json").json[1]["sentences"] == ["faceset_001 (Anna): 9 files are taken as they are now"]
    again = home.cli("accept", ONE)
    assert (again.code, again.out) == (0, "faceset_001 (Anna): it is as recorded; there is nothing to accept\n")
    assert home.cli("undo").code == 0
    assert home.cli("verify").code == 1
    home.registry = home.workspace.registry()


def test_undo_passes_over_what_cannot_be_taken_back(home: Home) -> None:
    people.name(home.workspace, home.registry, ONE, "Anna")
    with home.registry.transaction():  # as an earlier version accepted
        home.registry.db.execute(
            "INSERT INTO decisions (act, payload, at) VALUES ('accept', '{\"set\": 1}', '2026-01-01T00:00:00+00:00')"
        )
    assert people.history(home.workspace, home.registry)[-1].said == ("accept 1",)
    with pytest.raises(Refused, match="then: facesets accept SET"):
        people.undo(home.workspace, home.registry, 2)
    assert people.undo(home.workspace, home.registry).changes == {"undone": 1, "act": "name"}


def test_an_accepted_folder_that_was_accepted_again_goes_back_step_by_step(home: Home) -> None:
    add_file(home)
    people.accept(home.workspace, home.registry, ONE)
    (home.root / ONE / "faces/mine.png").write_bytes(b"mine, and better")
    people.accept(home.workspace, home.registry, ONE)
    with pytest.raises(Refused, match="written anew or accepted again since"):
        people.undo(home.workspace, home.registry, 1)
    people.undo(home.workspace, home.registry)
    people.undo(home.workspace, home.registry)
    assert [problem.what for problem in home.verify().problems] == ["was not there when the set was recorded"]


def test_an_accepted_folder_that_was_written_anew_since_goes_back_after_that(home: Home) -> None:
    before = whole(registry_rows(home))["set_files"]
    people.move(home.workspace, home.registry, home.faces(ONE)[1:2], TWO)
    thin_out(home)
    people.accept(home.workspace, home.registry, ONE)
    home.write()
    with pytest.raises(Refused, match="Take back what came later"):
        people.undo(home.workspace, home.registry, 2)
    thin_out(home)
    people.accept(home.workspace, home.registry, ONE)
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    home.write()
    people.undo(home.workspace, home.registry, 4)
    home.write()
    people.undo(home.workspace, home.registry, 3)
    assert [problem.what for problem in home.verify().problems] == ["is missing"]
    assert len(whole(registry_rows(home))["set_files"]) == len(before) - 1  # the thinned out one


def test_a_set_that_its_owner_threw_away_is_retired_and_its_faces_stay_known(home: Home) -> None:
    remove_folder(home)
    outcome = people.accept(home.workspace, home.registry, ONE)
    assert outcome.sentences == (
        "faceset_001: retired, as its folder is gone; 11 faces of it stay known, so that no run makes it anew; its number 1 stays used",
    )
    home.registry.close()
    (one, *_) = home.cli("list", "people", "--json").json
    assert (one["standing"], one["retired"], one["faces"], one["recognised"]) == ("retired", True, 0, 11)
    assert home.cli("cluster", "--user", "anna", "--json").json["sets_new"] == []
    assert home.cli("list", "people", "--json").json[0]["standing"] == "retired"
    assert "is retired" in home.cli("accept", ONE).line
    home.registry = home.workspace.registry()


def test_a_set_that_its_owner_threw_away_and_brought_back_is_accepted_again(home: Home) -> None:
    before, members = registry_rows(home)["set_files"], set(home.faces(ONE))
    (home.root / ONE).rename(home.workspace.root / "away")
    people.accept(home.workspace, home.registry, ONE)
    (home.workspace.root / "away").rename(home.root / ONE)
    assert home.verify().notes == [
        "faceset_001 is on disk though it is retired; if it is to be a set again: facesets accept faceset_001"
    ]
    people.accept(home.workspace, home.registry, ONE)
    assert (registry_rows(home)["set_files"], set(home.faces(ONE))) == (before, members)
    assert (home.verify().ok, home.verify().notes) == (True, [])


def test_a_planned_set_cannot_be_accepted(home: Home) -> None:
    people.split(home.workspace, home.registry, ONE, home.faces(ONE)[:2])
    with pytest.raises(UsageError, match="planned and not written yet"):
        people.accept(home.workspace, home.registry, "faceset_004")


def note_in_description(home: Home) -> None:
    thin_out(home)
    file = home.root / ONE / "faceset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "note": "mine"}))


def no_description(home: Home) -> None:
    (home.root / ONE / "faceset.json").unlink()


def spoilt_description(home: Home) -> None:
    (home.root / ONE / "faceset.json").write_text("mine")


@pytest.mark.parametrize("hand", [thin_out, add_file, note_in_description, no_description, spoilt_description])
@pytest.mark.parametrize("written", [True, False])
def test_what_was_accepted_has_the_same_bytes_after_a_later_decision_and_its_undo(
    home: Home, hand: Callable[[Home], None], *, written: bool
) -> None:
    hand(home)
    people.accept(home.workspace, home.registry, ONE)
    before = home.tree()
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    if written:
        assert home.write().written == [ONE]
    people.undo(home.workspace, home.registry)
    assert home.write().waiting == {}
    assert home.tree() == before
    assert home.verify().ok, home.verify().problems


@pytest.mark.parametrize("hand", ["brought back from a backup", "another folder", "nothing is left"])
def test_what_its_owner_did_while_a_swap_was_interrupted_stops_nothing(home: Home, hand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(home.root / ONE, home.root.with_name("copy"))
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    do, done = steps._do, list[Step]()

    def dies(folder: Path, step: Step) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(step)
        do(folder, step)

    with monkeypatch.context() as patched:
        patched.setattr(steps, "_do", dies)
        with pytest.raises(KeyboardInterrupt):
            home.write()
    assert not (home.root / ONE).exists()
    if hand == "nothing is left":
        shutil.rmtree(home.root / ".history")
        shutil.rmtree(home.root / f".{ONE}.partial")
    elif hand == "another folder":
        (home.root / ONE).mkdir()
        (home.root / ONE / "mine.txt").write_text("mine")
    else:
        copy.rename(home.root / ONE)
    answer = home.cli("write")
    assert answer.code == 0, answer.err
    if hand == "brought back from a backup":
        assert len(home.faces(ONE)) == 8
    else:
        assert f"facesets accept {ONE}" in answer.err
        assert people.accept(home.workspace, home.registry, ONE).decision == 2
        home.write()
    if hand != "nothing is left":
        assert f"what was there before lies in {home.root}/.history/1/{ONE}" in " ".join(answer.err.split())
        assert len(list((home.root / f".history/1/{ONE}/faces").iterdir())) == 9
    people.reject(home.workspace, home.registry, home.faces(TWO)[:1])
    home.write()
    assert home.verify().ok, home.verify().problems
