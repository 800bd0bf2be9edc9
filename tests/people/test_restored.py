"""A registry from before a decision: what was decided binds all the same, and each folder's state has a command that brings it on."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys

import pytest

from facesets import people
from facesets.errors import Refused
from facesets.people import Outcome
from facesets.registry import backups, changes, published, sets
from facesets.registry import people as rows
from facesets.workspace import Workspace

from ..pipeline.world import Answer
from .home import ONE, TWO, Home
from .test_acts import ACTS
from .test_owners_hand import registry_rows, whole


def restored(home: Home) -> Answer:
    """What the command says; the backup is the one that a test made."""
    home.registry.close()
    (chosen,) = (each["backup"] for each in home.cli("restore", "--json").json if each["before"] == "schema-7")
    answer = home.cli("restore", chosen, "--json")
    assert answer.code == 0, answer.err
    home.registry = home.workspace.registry()
    return answer


def nothing_left_to_say(answer: Answer) -> bool:
    return not any(answer.json[part] for part in ("sets_altered", "sets_gone", "sets_unknown", "decisions_to_repeat"))


def _distinct(home: Home, dry_run: bool) -> Outcome:
    return people.distinct(home.workspace, home.registry, ONE, TWO, dry_run=dry_run)


def _best(home: Home, dry_run: bool) -> Outcome:
    return people.best(home.workspace, home.registry, home.faces(ONE)[3], dry_run=dry_run)


def _accept(home: Home, dry_run: bool) -> Outcome:
    (home.root / home.crop(ONE, home.faces(ONE)[2])).unlink(missing_ok=True)
    return people.accept(home.workspace, home.registry, ONE, dry_run=dry_run)


def _eras(home: Home, dry_run: bool) -> Outcome:
    return people.eras(home.workspace, home.registry, [ONE], dry_run=dry_run)


ALL = {**ACTS, "distinct": _distinct, "best": _best, "accept": _accept, "eras": _eras}
every_act = pytest.mark.parametrize("act", ALL)


@every_act
@pytest.mark.parametrize("is_written", [True, False], ids=["written", "waiting"])
def test_what_was_decided_since_holds_and_can_be_taken_back_to_the_same_bytes(home: Home, act: str, is_written: bool) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    before, at_first = home.tree(), whole(registry_rows(home))
    ALL[act](home, False)
    accepted = home.tree()
    if is_written:
        home.write()
    rows_then, said, tree = whole(registry_rows(home)), people.history(home.workspace, home.registry), home.tree()

    assert nothing_left_to_say(restored(home))
    assert whole(registry_rows(home)) == rows_then
    assert people.history(home.workspace, home.registry) == said
    assert home.tree() == tree
    assert home.verify().ok or act == "eras", home.verify().problems

    people.undo(home.workspace, home.registry)
    home.write()
    if act == "split":  # the number that was given stays used
        assert (home.root / "faceset_004").exists() is False
        return
    assert {**home.tree(), "manifest.json": ""} == {**(accepted if act == "accept" else before), "manifest.json": ""}
    again = whole(registry_rows(home))
    assert {**again, "sets": at_first["sets"], "centroids": []} == {**at_first, "centroids": []}
    if act != "accept":
        assert home.verify().ok, home.verify().problems


@every_act
def test_what_was_taken_back_since_stays_taken_back_and_can_be_said_again(home: Home, act: str) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    ALL[act](home, False)
    home.write()
    after, rows_after = home.tree(), whole(registry_rows(home))
    people.undo(home.workspace, home.registry)
    home.write()
    rows_then, said, tree = whole(registry_rows(home)), people.history(home.workspace, home.registry), home.tree()
    assert nothing_left_to_say(restored(home)) or act == "accept"
    assert (whole(registry_rows(home)), people.history(home.workspace, home.registry)) == (rows_then, said)
    people.undo(home.workspace, home.registry, 2)
    home.write()
    assert {**home.tree(), "manifest.json": ""} == {**after, "manifest.json": ""}
    assert {**whole(registry_rows(home)), "sets": []} == {**rows_after, "sets": []}
    assert home.tree() != tree or act not in ("reject", "move", "merge", "split", "extend")


def test_what_was_taken_back_since_a_backup_that_has_it_stays_taken_back(home: Home) -> None:
    for act in ("name", "ignore", "reject"):
        ACTS[act](home, False)
    home.write()
    backups.make(home.workspace.registry_file, "schema-7")
    for number in (1, 2, 3):
        people.undo(home.workspace, home.registry, number)
    home.write()
    rows_then, tree = whole(registry_rows(home)), home.tree()
    assert nothing_left_to_say(restored(home))
    assert (whole(registry_rows(home)), home.tree()) == (rows_then, tree)
    assert [(person.name, person.standing) for person in rows.select(home.registry)] == [(None, "active")] * 3
    assert home.verify().ok, home.verify().problems


def test_a_decision_that_waited_when_the_backup_was_made_and_was_written_since_waits_no_more(home: Home) -> None:
    ACTS["reject"](home, False)
    backups.make(home.workspace.registry_file, "schema-7")
    home.write()
    tree, rows_then = home.tree(), whole(registry_rows(home))
    assert nothing_left_to_say(restored(home))
    assert whole(registry_rows(home)) == rows_then
    assert (home.write().written, home.tree(), home.verify().ok) == ([], tree, True)


def test_several_decisions_on_one_set_hold_in_their_order(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    before = home.tree()
    first, second, third, *_ = home.faces(ONE)
    people.extend(home.workspace, home.registry, ONE)
    people.reject(home.workspace, home.registry, [first])
    home.write()
    people.move(home.workspace, home.registry, [second], TWO)
    home.write()
    people.merge(home.workspace, home.registry, TWO, "faceset_003", name="Berta")
    people.reject(home.workspace, home.registry, [third])
    rows_then = whole(registry_rows(home))
    assert nothing_left_to_say(restored(home))
    assert whole(registry_rows(home)) == rows_then
    home.write()
    assert home.verify().ok, home.verify().problems
    for _ in range(5):
        people.undo(home.workspace, home.registry)
    home.write()
    assert home.tree() == before


def test_of_faces_that_the_restored_registry_does_not_know_the_words_say_what_to_do(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    people.name(home.workspace, home.registry, ONE, "Anna")
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    people.extend(home.workspace, home.registry, ONE)
    home.write()
    people.reject(home.workspace, home.registry, home.faces(ONE)[-1:])
    backup = next((home.workspace.root / "backups").glob("*schema-7*"))
    with sqlite3.connect(backup) as db:  # the backup is of a day before these faces were found
        late = [row[0] for row in db.execute("SELECT face_id FROM memberships WHERE standing = 'recognised'")]
        for table in ("measurements", "memberships"):
            db.executemany(f"DELETE FROM {table} WHERE face_id = ?", ((face,) for face in late))
        db.executemany("DELETE FROM faces WHERE id = ?", ((face,) for face in late))
    db.close()
    answer = restored(home)
    assert (answer.json["sets_altered"], answer.json["decisions_to_repeat"]) == ([ONE], [4])
    assert [past.said[0] for past in people.history(home.workspace, home.registry)] == [
        "faceset_001 is Anna", "1 face is not of faceset_001 (Anna), and will not be given to it again",
        "2 recognised faces are in faceset_001 (Anna) now", "1 face is not of faceset_001 (Anna), and will not be given to it again",
    ]  # fmt: skip
    with pytest.raises(Refused, match=r"does not know all that it was about. The opposite can be said: facesets move FACE"):
        people.undo(home.workspace, home.registry, 3)
    outcome = people.accept(home.workspace, home.registry, ONE)
    assert outcome.notes == ("2 faces of it are not known here yet: after the next run, facesets accept faceset_001  once more",)
    people.undo(home.workspace, home.registry, 1)
    person = rows.of_number(home.registry, 1)
    assert person is not None
    assert person.name is None


def test_a_name_that_was_given_to_a_set_of_a_later_day_can_be_taken_back(home: Home) -> None:
    """A run made the set after the backup: the next one adopts it, with its name, and who is ignored is ignored."""
    people.split(home.workspace, home.registry, ONE, home.faces(ONE)[3:6])
    home.write()
    with home.registry.transaction():  # as if a run had made it
        home.registry.db.execute("DELETE FROM change_steps")
        home.registry.db.execute("DELETE FROM changes WHERE decision_id IS NOT NULL")
        home.registry.db.execute("DELETE FROM decisions")
    keys = {key for key, _, _ in sets.member_files(home.registry, "faceset_004")}
    people.name(home.workspace, home.registry, "faceset_004", "Dora")
    people.ignore(home.workspace, home.registry, "faceset_004")
    backups.make(home.workspace.registry_file, "schema-7")
    backup = next((home.workspace.root / "backups").glob("*schema-7*"))
    with sqlite3.connect(backup) as db:
        for sql in (
            "DELETE FROM changes WHERE kind = 'act'",
            "DELETE FROM decisions",
            "DELETE FROM set_faces WHERE set_id = 4",
            "DELETE FROM set_files WHERE set_id = 4",
            "DELETE FROM centroids WHERE person_id = 4",
            "UPDATE memberships SET standing = 'new', person_id = NULL WHERE person_id = 4",
            "DELETE FROM sets WHERE id = 4",
            "DELETE FROM people WHERE id = 4",
        ):
            db.execute(sql)
    db.close()
    assert restored(home).json["sets_unknown"] == ["faceset_004"]
    home.registry.close()
    assert home.cli("cluster", "--user", "anna").code == 0
    home.registry = home.workspace.registry()
    person = rows.of_number(home.registry, 4)
    assert person is not None
    assert (person.name, person.standing, set(home.faces("faceset_004"))) == ("Dora", "ignored", keys)
    numbers = [past.decision for past in people.history(home.workspace, home.registry)]
    for number in reversed(numbers):
        people.undo(home.workspace, home.registry, number)
    person = rows.of_number(home.registry, 4)
    assert person is not None
    assert (person.name, person.standing) == (None, "active")
    people.undo(home.workspace, home.registry, numbers[-1] + 2)  # an undo can be undone, here too
    assert rows.of_number(home.registry, 4).name == "Dora"  # type: ignore[union-attr]


@pytest.mark.parametrize("act", ["reject", "move", "merge", "split", "extend"])
def test_in_place_of_a_damaged_registry_the_commands_that_it_names_bring_folders_on(home: Home, act: str) -> None:
    """What was decided since is lost with it; what the folders hold is not."""
    backups.make(home.workspace.registry_file, "schema-7")
    ACTS[act](home, False)
    home.write()
    tree, members = home.tree(), {name: home.faces(name) for name in (ONE, TWO)}
    home.registry.close()
    (chosen,) = (each["backup"] for each in home.cli("restore", "--json").json if each["before"] == "schema-7")
    home.workspace.registry_file.write_bytes(b"no registry" * 1000)
    for beside in home.workspace.root.glob("registry.sqlite-*"):
        beside.unlink()
    said = home.cli("restore", chosen).out
    named = re.findall(r"^  facesets (accept faceset_\d+)$", said, re.MULTILINE)
    assert f"accept {ONE}" in named, said
    assert ("faceset_004 was written since; the next run knows it again" in said) == (act == "split")
    for command in reversed(named):
        assert home.cli(*command.split()).code == 0
    answer = home.cli("cluster", "--user", "anna")
    assert answer.code == 0, answer.err
    assert "no face found in its images" not in answer.err
    assert home.cli("write").code == 0
    assert home.cli("verify").code == 0, home.cli("verify").out
    home.registry = home.workspace.registry()
    assert {path: digest for path, digest in home.tree().items() if path != "manifest.json"} == {
        path: digest for path, digest in tree.items() if path != "manifest.json"
    }
    assert {name: home.faces(name) for name in (ONE, TWO)} == members


def test_what_immich_was_told_since_is_not_forgotten(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    with home.registry.transaction():
        decision = changes.decide(home.registry, published.PUBLISH, {"label": "anna"})
        change = changes.add(
            home.registry, published.PUBLISH, {}, inverse={"sentences": ["1 name went to Immich"]}, decision_id=decision
        )
        changes.settle(home.registry, change, "applied")
        n = published.add(home.registry, decision, "anna", "name", 1, {"person": "p", "name": "Anna"}, {})
        published.settle(home.registry, decision, n, published.DONE)
    told = published.standing(home.registry, "anna")
    assert nothing_left_to_say(restored(home))
    assert published.standing(home.registry, "anna") == told
    assert [past.said for past in people.history(home.workspace, home.registry)] == [("1 name went to Immich",)]


def test_an_agreement_that_was_recorded_since_holds(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    with home.registry.transaction():
        changes.decide(home.registry, "consent", {"person": 1, "by": "Anna"})
    assert nothing_left_to_say(restored(home))
    assert [past.said for past in people.history(home.workspace, home.registry)] == [
        ("faceset_001 agreed to be generated or swapped and is an adult, says Anna",)
    ]
    with pytest.raises(Refused, match="facesets consent faceset_001 --withdraw"):
        people.undo(home.workspace, home.registry, 1)


def test_a_restore_is_itself_taken_back_by_another(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    people.merge(home.workspace, home.registry, TWO, ONE)
    home.write()
    restored(home)
    people.split(home.workspace, home.registry, ONE, home.faces(ONE)[3:6], name="Berta")
    home.write()
    people.ignore(home.workspace, home.registry, "faceset_003")
    rows_then, said, tree = whole(registry_rows(home)), people.history(home.workspace, home.registry), home.tree()
    home.registry.close()
    (back,) = (each["backup"] for each in home.cli("restore", "--json").json if (each["before"] or "").startswith("before-restore"))
    assert home.cli("restore", back).code == 0
    home.registry = home.workspace.registry()
    assert (whole(registry_rows(home)), people.history(home.workspace, home.registry)) == (rows_then, said)
    assert (home.tree(), home.verify().ok) == (tree, True)


def test_a_restore_keeps_decisions_that_were_taken_back_since(home: Home) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    home.registry.close()
    assert home.cli("name", ONE, "Anna").code == 0
    assert home.cli("undo").code == 0
    assert home.cli("name", TWO, "Berta").code == 0
    said = home.cli("history", "--json").json
    (chosen,) = (each["backup"] for each in home.cli("restore", "--json").json if each["before"] == "schema-7")
    answer = home.cli("restore", chosen)
    assert answer.code == 0, answer.err
    facts = [(each["decision"], each["act"], each["undoes"], each["undone_by"]) for each in home.cli("history", "--json").json]
    assert facts == [(each["decision"], each["act"], each["undoes"], each["undone_by"]) for each in said]
    assert [row["name"] for row in home.cli("list", "people", "--json").json] == [None, "Berta", None]
    assert not [*home.workspace.root.glob(".registry*")]


def test_a_restore_that_fails_leaves_the_registry_as_it_was(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    home.registry.close()
    assert home.cli("name", ONE, "Anna").code == 0
    (chosen,) = (each["backup"] for each in home.cli("restore", "--json").json if each["before"] == "schema-7")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["facesets.changes.restore"], "tree_stamps", fails)
        assert home.cli("restore", chosen).code == 1
    assert [row["name"] for row in home.cli("list", "people", "--json").json] == ["Anna", None, None]
    assert not [*home.workspace.root.glob(".registry*")]


def test_accepted_a_set_made_here_is_still_recognised(home: Home) -> None:
    """Its centroid is that of the faces that are left: no image is looked at for it."""
    gone = home.crop(ONE, home.faces(ONE)[0])
    (home.root / gone).unlink()
    home.registry.close()
    assert home.cli("accept", ONE).code == 0
    answer = home.cli("cluster", "--user", "anna", "--json")
    assert "no face found" not in answer.err
    assert answer.json["steps"]["cluster"]["existing_centroids"] == 3
    home.registry = home.workspace.registry()
    assert len(home.faces(ONE)) == 8


def test_a_set_of_another_workspace_is_adopted_and_not_taken_for_ours(home: Home) -> None:
    folder = home.root / "faceset_009"
    shutil.copytree(home.root / ONE, folder)
    text = (
        (folder / "faceset.json")
        .read_text()
        .replace('"number": 1', '"number": 9')
        .replace('"name": "faceset_001"', '"name": "faceset_009"')
    )
    (folder / "faceset.json").write_text(re.sub('"face_id": "..', '"face_id": "zz', text))
    home.registry.close()
    answer = home.cli("cluster", "--user", "anna")
    assert answer.code == 0, answer.err
    with Workspace.open(home.workspace.root).registry() as registry:
        person = rows.of_number(registry, 9)
        assert person is not None
        assert person.origin == "adopted"
    home.registry = home.workspace.registry()
    assert len(home.faces(ONE)) == 9
