"""What users get wrong is said in plain words, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facesets import people
from facesets.errors import FacesetsError, NotFound, UsageError
from facesets.registry import changes, decisions
from facesets.registry import people as rows

from .home import ONE, THREE, TWO, Home
from .test_acts import ACTS


def test_faces_go_by_id_its_beginning_or_the_file_of_a_crop(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c, d = home.faces(ONE)[:4]
    paths = [home.crop(ONE, face) for face in (c, d)]
    monkeypatch.chdir(home.root / ONE)
    texts = [a, b[:10], str(home.root / paths[0]), paths[1].removeprefix(f"{ONE}/"), str(home.root / paths[0])]
    people.reject(home.workspace, home.registry, texts)
    assert not {a, b, c, d} & set(home.faces(ONE))
    assert len(home.faces(ONE)) == 5


def test_in_the_folder_of_a_set_a_file_of_another_one_can_be_meant(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    face = home.faces(TWO)[0]
    monkeypatch.chdir(home.root / ONE)
    people.reject(home.workspace, home.registry, [home.crop(TWO, face)])
    assert face not in home.faces(TWO)
    assert len(home.faces(ONE)) == 9


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("name", "faceset_077", "Anna"), 1, "no set or person is called 'faceset_077'"),
        (("name", "1"), 2, "facesets name SET NAME"),
        (("reject", "0123456789abcdef"), 1, "no face is called '0123456789abcdef' in this workspace"),
        (("reject", "ab"), 1, "no face is called 'ab'"),
        (("reject", "../outside.png"), 1, "neither the id of a face nor the file of a crop"),
        (("reject", "faceset_001/faces/9999.png"), 1, "faceset_001 has no face of this file"),
        (("move", "faceset_001/faces/0001.png", "--to", "1"), 2, "is in faceset_001 already"),
        (("merge", "1", "faceset_001"), 2, "there is nothing to merge"),
        (("undo",), 1, "nothing was decided here"),
        (("undo", "7"), 1, "there is no decision 7"),
        (("extend", "2"), 2, "there is nothing to extend it with"),
        (("split", "1", "faceset_002/faces/0001.png"), 2, "1 face is not in faceset_001"),
        (("history", "prune", "--older-than", "soon"), 2, "a number and h, d or w"),
    ],
)
def test_it_is_said_what_is_wrong(home: Home, words: tuple[str, ...], code: int, said: str) -> None:
    before = home.tree()
    home.registry.close()
    answer = home.cli(*words)
    assert (answer.code, said in answer.line) == (code, True), answer.err
    assert home.tree() == before


def test_a_split_that_leaves_nothing_is_refused(home: Home) -> None:
    with pytest.raises(UsageError, match="nothing would be left"):
        people.split(home.workspace, home.registry, ONE, home.faces(ONE))


def test_a_face_of_nobody_cannot_be_rejected(home: Home) -> None:
    face = home.faces(ONE)[0]
    people.reject(home.workspace, home.registry, [face])
    with pytest.raises(UsageError, match="is nobody's"):
        people.reject(home.workspace, home.registry, [face])


def test_a_face_of_another_workspace_is_not_known(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other/faceset_001/faces/0001.png"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    with pytest.raises(NotFound, match="neither the id of a face nor the file of a crop"):
        people.reject(home.workspace, home.registry, [str(other)])


def test_a_disk_that_is_full_before_the_swap_costs_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = home.tree()
    people.extend(home.workspace, home.registry, ONE)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(FacesetsError, match="disk is full"):
            home.write()
    assert home.tree() == before
    home.write()
    assert home.verify().ok
    assert len(list((home.root / ONE / "faces").iterdir())) == 11


@pytest.mark.parametrize("nth", [1, 2])
def test_a_disk_that_refuses_a_rename_leaves_each_set_whole_and_is_carried_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    people.reject(home.workspace, home.registry, [home.faces(ONE)[0]])
    rename, calls = Path.rename, 0

    def full(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", full)
        with pytest.raises(FacesetsError):
            home.write()
    home.write()
    assert home.verify().ok, home.verify().problems
    assert len(list((home.root / ONE / "faces").iterdir())) == 8


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("act", ["reject", "merge", "split"])
def test_killed_right_after_a_rename_it_is_carried_on_at_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch, act: str, nth: int
) -> None:
    """The folder has moved, and the registry does not know yet."""
    ACTS[act](home, False)
    rename, calls = Path.rename, 0

    def dies(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        moved = rename(self, target)
        if calls == nth:
            raise KeyboardInterrupt
        return moved

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dies)
        with pytest.raises(KeyboardInterrupt):
            home.write()
    home.registry.close()
    home.registry = home.workspace.registry()
    people.name(home.workspace, home.registry, THREE, "Cleo")  # the next act carries it on, before anything else
    home.write()
    assert changes.planned(home.registry) == []
    assert home.verify().ok, home.verify().problems
    assert sum(len(home.faces(each.set_name)) for each in rows.select(home.registry)) == (23 if act == "reject" else 25)
    home.registry.close()


def test_a_second_process_that_decides_at_once_is_told_that_the_workspace_is_in_use(home: Home) -> None:
    home.registry.close()
    with home.workspace.lock():
        done = subprocess.run(
            [sys.executable, "-m", "facesets", "-C", str(home.workspace.root), "name", "1", "Anna"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "in use by another facesets" in done.stderr
    assert home.cli("name", "1", "Anna").code == 0


def test_two_processes_that_decide_one_after_the_other_both_count(home: Home) -> None:
    home.registry.close()
    call = [sys.executable, "-m", "facesets", "-C", str(home.workspace.root), "name"]
    running = [subprocess.Popen([*call, n, name], stderr=subprocess.PIPE) for n, name in (("1", "Anna"), ("2", "Berta"))]
    codes = sorted(each.wait() for each in running)
    for each in running:
        assert each.stderr is not None
        each.stderr.close()
    assert codes in ([0, 0], [0, 5])
    with home.workspace.registry() as registry:
        assert len(decisions.select(registry)) == codes.count(0)


def test_verbs_answer_in_words_and_in_json(home: Home) -> None:
    home.registry.close()
    assert f"decision 1; take it back with: facesets -C {home.cli.workspace} undo 1" in home.cli("name", "1", "Anna").out
    assert home.cli("confirm", "Anna", "--json").json["changes"] == {"confirmed": {ONE: 9}}
    assert "nothing was changed (--dry-run)" in home.cli("ignore", THREE, "--dry-run").out
    assert home.cli("merge", "2", "anna").code == 0
    listed = home.cli("history").out
    assert "still to be written: faceset_002, faceset_001" in listed
    assert "2 sets brought up to date with what you decided (faceset_001, faceset_002)" in home.cli("write").out
    assert "still to be written" not in home.cli("history").out
    assert re.search(r"^  faces/\d{4}\.png  [0-9a-f]{12}  0\.\d\d", home.cli("explain", ONE).out, re.MULTILINE)
    assert not (home.root / TWO).exists()
    assert home.cli("verify").code == 0
    assert [each["decision"] for each in home.cli("history", "--json").json] == [1, 2, 3]
    assert home.cli("history", "prune", "--older-than", "0d", "--json").json["pruned"] == [3]
    assert not (home.root / ".history/3").exists()
    assert home.cli("verify").code == 0
    kinds = {each["kind"] for each in home.cli("suggest", "--json").json}
    assert "extend" in kinds
    assert f"\n         facesets -C {home.cli.workspace} extend faceset_" in home.cli("suggest").out, "it can be copied as it stands"
