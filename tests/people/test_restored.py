"""A registry from before a decision: what was decided binds all the same, and each folder's state has a command that brings it on."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from facesets.registry import backups
from facesets.registry import people as rows
from facesets.workspace import Workspace

from .home import ONE, TWO, Home
from .test_acts import ACTS, standing


@pytest.mark.parametrize("act", ["reject", "move", "merge", "split", "extend"])
def test_after_a_restore_the_commands_that_it_names_bring_everything_on(home: Home, act: str) -> None:
    backups.make(home.workspace.registry_file, "schema-7")
    ACTS[act](home, False)
    home.write()
    tree, stood, members = home.tree(), standing(home), {name: home.faces(name) for name in (ONE, TWO)}
    home.registry.close()

    (chosen,) = (each["backup"] for each in home.cli("restore", "--json").json if each["before"] == "schema-7")
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
    assert home.tree() == tree
    assert {name: home.faces(name) for name in (ONE, TWO)} == members
    kept = {"rejected": {face for face, (reason, _) in stood.items() if reason == "new"}}
    now = standing(home)
    assert {face: where for face, where in now.items() if face not in kept["rejected"]} == {
        face: where for face, where in stood.items() if face not in kept["rejected"]
    }
    assert all(now[face][1] != ONE for face in kept["rejected"]), "the decision binds"
    if act == "merge":
        person = rows.of_number(home.registry, 2)
        assert person is not None
        assert (person.standing, person.merged_into) == ("merged", 1)
    if act == "split":
        person = rows.of_number(home.registry, 4)
        assert person is not None
        assert (person.origin, person.name) == ("made", "Berta")


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
