"""What owners do to folders by hand while decisions wait, and what they accept of it."""

from __future__ import annotations

import json
import shutil

import pytest

from facesets import people
from facesets.errors import Refused, UsageError
from facesets.registry import people as rows
from facesets.registry import sets

from .home import ONE, TWO, Home
from .test_acts import standing


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
