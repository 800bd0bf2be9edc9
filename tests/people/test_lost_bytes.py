"""Files that a set is to have by a decision, and that are gone: a workspace comes to rest, and no face is lost that lies anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facesets.testing import Library

from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, jpeg

OLD, OTHER, ONE, TWO = "faceset_004", "faceset_009", "faceset_010", "faceset_011"


@pytest.fixture
def root(cli: CommandLine) -> Path:
    """Two sets of plain images, and three that were made here, of which no original and no crop is kept."""
    root = cli.workspace / "facesets"
    for name, person in ((OLD, 5), (OTHER, 6)):
        (root / name).mkdir(parents=True)
        for n in range(5):
            (root / f"{name}/{n}.jpg").write_bytes(jpeg([person], 8000 + 100 * person + n))
    assert cli("run", "--user", "anna").code == 0
    for folder in ("photos", "crops"):
        shutil.rmtree(cli.workspace / folder, ignore_errors=True)
    return root


def says(cli: CommandLine, *words: str | Path) -> str:
    answer = cli(*words)
    assert answer.code == 0, answer.err
    return answer.out + answer.err


def sizes(cli: CommandLine) -> dict[str, int]:
    return {row["set"]: row["faces"] for row in cli("list", "people", "--json").json if not row["retired"]}


def at_rest(cli: CommandLine) -> bool:
    found = cli("verify", "--json")
    return (found.code, found.json["problems"], found.json["notes"]) == (0, [], [])


def test_an_image_that_a_move_waits_for_and_its_owner_deleted_is_gone_once_that_is_accepted(cli: CommandLine, root: Path) -> None:
    says(cli, "move", root / OLD / "2.jpg", "--to", OTHER)
    (root / OLD / "2.jpg").unlink()
    says(cli, "accept", OLD)
    assert f"To go on without: facesets accept {OTHER}" in says(cli, "write")
    assert "2-2.jpg, whose bytes are nowhere any more, is no part of it" in says(cli, "accept", OTHER)
    says(cli, "write")
    assert at_rest(cli)
    assert (sizes(cli)[OLD], sizes(cli)[OTHER]) == (4, 5)
    assert "decision 3 (accept) stands on it" in cli("undo", "1").err
    says(cli, "undo", "3")
    says(cli, "undo", "1")
    assert f"facesets accept {OLD}" in says(cli, "write")
    says(cli, "accept", OLD)
    says(cli, "write")
    assert at_rest(cli)


def test_what_a_pruned_history_held_is_cut_anew_from_its_photo(cli: CommandLine, root: Path) -> None:
    before = (root / ONE / "faces/0002.png").read_bytes()
    says(cli, "reject", root / ONE / "faces/0002.png")
    says(cli, "write")
    says(cli, "history", "prune", "--older-than", "0h")
    says(cli, "undo")
    says(cli, "write")
    assert at_rest(cli)
    assert sizes(cli)[ONE] == 9
    assert (root / ONE / "faces/0002.png").read_bytes() == before


def test_without_its_photo_either_the_set_goes_on_without_it(cli: CommandLine, root: Path, library: Library) -> None:
    says(cli, "reject", root / ONE / "faces/0002.png")
    says(cli, "write")
    says(cli, "history", "prune", "--older-than", "0h")
    library.assets.clear()
    says(cli, "undo")
    assert "1 face was left out: the photo is no longer available" in says(cli, "write")
    assert at_rest(cli)
    assert sizes(cli)[ONE] == 8


@pytest.mark.parametrize("away", [False, True], ids=["a folder that waits", "a folder that is away"])
def test_no_face_is_lost_whose_crop_lies_in_a_folder(cli: CommandLine, root: Path, library: Library, away: bool) -> None:
    library.assets.clear()
    crops = [root / ONE / f"faces/000{n}.png" for n in (2, 3)]
    says(cli, "move", *crops, "--to", TWO)
    wanted, changed = {crop.read_bytes() for crop in crops}, root / TWO / "mine.txt"
    if away:
        (root / ONE).rename(root.with_name("away"))
    else:
        changed.write_text("mine")
    assert "no longer available" not in says(cli, "write")
    if away:
        root.with_name("away").rename(root / ONE)
    changed.unlink(missing_ok=True)
    says(cli, "write")
    assert at_rest(cli)
    assert sizes(cli)[TWO] == 11
    assert wanted <= {crop.read_bytes() for crop in (root / TWO / "faces").iterdir()}
