"""Suggestions, ranked, each with a command that works; the standing order to extend."""

from __future__ import annotations

import shlex
import shutil

import pytest

from facesets import people
from facesets.records import Reason
from facesets.registry import decisions, faces
from facesets.registry import people as rows
from facesets.testing import Library

from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, add_photos, tree
from .home import ONE, THREE, TWO, Home


def test_the_most_useful_comes_first_and_its_command_works(home: Home) -> None:
    found = people.suggest(home.registry)
    assert [each.faces for each in found] == sorted((each.faces for each in found), reverse=True)
    (extension,) = [each for each in found if each.kind == "extend"]
    assert extension.text == "2 faces were recognised as faceset_001 and are in no folder"
    for each in found:
        assert home.cli(*shlex.split(each.command)[1:]).code == 0, each
    assert [each for each in people.suggest(home.registry) if each.kind == "extend"] == []


def test_a_member_that_is_nearer_to_another_is_offered_until_it_is_confirmed(home: Home) -> None:
    face = home.faces(ONE)[0]
    two = rows.of_number(home.registry, 2)
    assert two is not None
    where = "face_id = (SELECT face_id FROM measurements WHERE key = ?)"
    home.registry.db.execute(f"UPDATE memberships SET runner_up_id = ?, runner_up_distance = 0 WHERE {where}", (two.id, face))
    (move,) = [each for each in people.suggest(home.registry) if each.kind == "move"]
    assert move.command == f"facesets move {face[:16]} --to {TWO}"
    people.confirm(home.workspace, home.registry, [face])
    assert [each for each in people.suggest(home.registry) if each.kind == "move"] == []


def test_two_sets_near_to_each_other_are_suggested_until_somebody_says_they_are_two(home: Home) -> None:
    people.split(home.workspace, home.registry, ONE, home.faces(ONE)[3:7])
    home.write()
    pairs = {each.command for each in people.suggest(home.registry) if each.kind == "merge"}
    assert f"facesets merge faceset_004 {ONE}" not in pairs, "a split says that they are two"
    people.undo(home.workspace, home.registry)
    home.registry.db.execute("UPDATE centroids SET vector = (SELECT vector FROM centroids WHERE person_id = 1) WHERE person_id = 3")
    (one,) = [each for each in people.suggest(home.registry) if each.kind == "merge"]
    assert one.command == f"facesets merge {THREE} {ONE}"
    said = people.distinct(home.workspace, home.registry, THREE, ONE)
    assert said.sentences == (f"{THREE} and {ONE} are two people; that they are one is not suggested again",)
    assert [each for each in people.suggest(home.registry) if each.kind == "merge"] == []
    people.undo(home.workspace, home.registry)
    assert [each.command for each in people.suggest(home.registry) if each.kind == "merge"] == [one.command]
    people.name(home.workspace, home.registry, ONE, "Anna")
    people.name(home.workspace, home.registry, THREE, "Cleo")
    assert [each for each in people.suggest(home.registry) if each.kind == "merge"] == []


def test_a_likely_face_is_offered_and_a_yes_makes_it_recognised(home: Home) -> None:
    face = home.faces(ONE)[0]
    people.reject(home.workspace, home.registry, [face])
    with home.registry.transaction():
        rows.give(home.registry, face, 2, Reason.LIKELY, 0.5)
    (look,) = [each for each in people.suggest(home.registry) if each.kind == "look"]
    assert home.cli(*shlex.split(look.command)[1:]).code == 0
    row = faces.find(home.registry, face)
    assert row is not None
    assert (row.reason, row.set_name) == (Reason.RECOGNISED, TWO)


def test_a_standing_order_extends_sets_at_the_end_of_a_run_and_not_again_what_was_undone(
    cli: CommandLine,
    library: Library,
) -> None:
    cli("run", "--user", "anna")
    (anna,) = library.users.values()
    add_photos(library, anna, [1], 2, first=40)
    before = tree(cli.workspace / "facesets")
    cli.set('on_match = "extend"')
    summary = cli("run", "--user", "anna", "--json")
    assert summary.json["sets_revised"] == [ONE]
    assert "2 recognised faces are in faceset_001 now (decision 1)" in summary.err
    assert cli("verify").code == 0
    cli("undo")
    again = cli("run", "--user", "anna", "--json").json
    assert again["sets_revised"] == [ONE]
    assert {path: digest for path, digest in tree(cli.workspace / "facesets").items() if not path.startswith(".")} == before
    assert cli("run", "--user", "anna", "--json").json["sets_revised"] == []
    assert cli("verify").code == 0


def test_photos_of_new_faces_that_are_not_here_are_fetched(
    cli: CommandLine,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cli("run", "--user", "anna")
    (anna,) = library.users.values()
    add_photos(library, anna, [1], 2, first=40)
    cli("run", "--user", "anna")
    for folder in ("photos/anna", "crops"):
        shutil.rmtree(cli.workspace / folder, ignore_errors=True)
    cli("extend", "1")
    before = tree(cli.workspace / "facesets")
    with monkeypatch.context() as patched:
        patched.setenv("IMMICH_URL", "http://127.0.0.1:9")
        assert cli("write").code != 0
    assert tree(cli.workspace / "facesets") == before
    answer = cli("write", "--json")
    assert answer.json["sets_revised"] == [ONE], answer.err
    assert len(list((cli.workspace / "facesets/faceset_001/faces").iterdir())) == 11
    assert cli("verify").code == 0
    assert "still to be written" not in cli("history").out


def test_of_other_runs_no_folder_is_altered(cli: CommandLine, library: Library) -> None:
    cli("run", "--user", "anna")
    (anna,) = library.users.values()
    add_photos(library, anna, [1], 2, first=40)
    before = tree(cli.workspace / "facesets")
    assert cli("run", "--user", "anna", "--json").json["sets_revised"] == []
    assert tree(cli.workspace / "facesets") == before


def test_verify_knows_earlier_revisions_and_what_still_waits(home: Home) -> None:
    people.reject(home.workspace, home.registry, [home.faces(ONE)[0]])
    assert any("still to follow what was decided" in note for note in home.verify().notes)
    home.write()
    assert home.verify().counts["revisions"] == 1
    assert home.verify().ok
    (kept,) = home.root.glob(f".history/1/{ONE}/faceset.json")
    kept.write_text("{}")
    (problem,) = home.verify().problems
    assert (problem.set, problem.file) == (f".history/1/{ONE}", "faceset.json")
    assert len(decisions.select(home.registry)) == 1
