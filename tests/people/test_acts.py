"""Every act does what it says, its folders follow in one revision, and its undo brings the same bytes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from facesets import people
from facesets.errors import Refused, UsageError
from facesets.people import Outcome
from facesets.records import Reason
from facesets.registry import Registry, changes, decisions, faces, sets
from facesets.registry import people as rows

from .home import ONE, THREE, TWO, Home

Act = Callable[[Home, bool], Outcome]


def _reject(home: Home, dry_run: bool) -> Outcome:
    return people.reject(home.workspace, home.registry, home.faces(ONE)[2:4], dry_run=dry_run)


def _move(home: Home, dry_run: bool) -> Outcome:
    return people.move(home.workspace, home.registry, home.faces(ONE)[:1], TWO, dry_run=dry_run)


def _merge(home: Home, dry_run: bool) -> Outcome:
    return people.merge(home.workspace, home.registry, TWO, ONE, dry_run=dry_run)


def _split(home: Home, dry_run: bool) -> Outcome:
    return people.split(home.workspace, home.registry, ONE, home.faces(ONE)[3:6], name="Berta", dry_run=dry_run)


def _extend(home: Home, dry_run: bool) -> Outcome:
    return people.extend(home.workspace, home.registry, ONE, dry_run=dry_run)


def _name(home: Home, dry_run: bool) -> Outcome:
    return people.name(home.workspace, home.registry, ONE, "Änne / O'Neil 👵", dry_run=dry_run)


def _confirm(home: Home, dry_run: bool) -> Outcome:
    return people.confirm(home.workspace, home.registry, [ONE, home.faces(TWO)[0]], dry_run=dry_run)


def _ignore(home: Home, dry_run: bool) -> Outcome:
    return people.ignore(home.workspace, home.registry, THREE, dry_run=dry_run)


ACTS: dict[str, Act] = {
    "reject": _reject, "move": _move, "merge": _merge, "split": _split, "extend": _extend, "name": _name, "confirm": _confirm,
    "ignore": _ignore,
}  # fmt: skip
acts = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())


def standing(home: Home) -> dict[str, tuple[str, str | None]]:
    return {row.face.face_id: (row.reason, row.set_name) for row in faces.select(home.registry)}


def known(home: Home) -> list[tuple[object, ...]]:
    return [(p.number, p.name, p.standing, p.merged_into, p.retired) for p in rows.select(home.registry) if p.number <= 3]


@acts
def test_undone_an_act_leaves_every_byte_and_every_standing_as_they_were(home: Home, act: Act) -> None:
    before, stood, people_before = home.tree(), standing(home), known(home)
    outcome = act(home, False)
    assert outcome.decision == 1
    assert outcome.sentences
    home.write()
    assert home.verify().ok, home.verify().problems
    if outcome.folders:
        assert home.tree() != before
    people.undo(home.workspace, home.registry)
    home.write()
    if act is _split:  # the number that was given stays used: the manifest says so
        (retired,) = json.loads((home.root / "manifest.json").read_text())["retired"]
        assert retired["name"] == "faceset_004"
        before["manifest.json"] = home.tree()["manifest.json"]
    assert home.tree() == before
    assert standing(home) == stood
    assert known(home) == people_before
    assert home.verify().ok, home.verify().problems


@acts
def test_undone_before_its_folders_followed_nothing_is_written(home: Home, act: Act) -> None:
    before = home.tree()
    act(home, False)
    people.undo(home.workspace, home.registry)
    home.write()
    assert home.tree() == before
    assert not list(home.root.glob(".history/*/*"))
    assert home.verify().ok, home.verify().problems


@acts
def test_an_undo_can_be_undone(home: Home, act: Act) -> None:
    act(home, False)
    home.write()
    after, stood = home.tree(), standing(home)
    people.undo(home.workspace, home.registry, 1)
    home.write()
    people.undo(home.workspace, home.registry, 2)
    home.write()
    assert home.tree() == after
    assert standing(home) == stood
    assert [made.stands for made in decisions.select(home.registry)] == [True, False, True]
    assert home.verify().ok, home.verify().problems


@acts
def test_a_dry_run_says_the_same_and_changes_nothing(home: Home, act: Act) -> None:
    before = list(home.registry.db.iterdump())
    said = act(home, True)
    assert said.decision is None
    assert said.dry_run
    assert list(home.registry.db.iterdump()) == before
    done = act(home, False)
    assert (done.sentences, done.changes, done.folders) == (said.sentences, said.changes, said.folders)


@pytest.mark.slow
@acts
@pytest.mark.parametrize("nth", range(1, 9))
def test_killed_at_any_commit_it_ends_as_undisturbed(home: Home, act: Act, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    act(home, False)
    copy = home.workspace.root.with_name("undisturbed")
    shutil.copytree(home.workspace.root, copy)
    from facesets.workspace import Workspace  # noqa: PLC0415

    undisturbed = Workspace.open(copy)
    with undisturbed.registry() as registry:
        other = Home(undisturbed, registry, home.decoders, home.cli)
        other.write()
        wanted = other.tree()
    commit, commits = Registry.commit, 0

    def dies(self: Registry) -> None:
        nonlocal commits
        commits += 1
        commit(self)
        if commits == nth:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "commit", dies)
        try:
            home.write()
        except KeyboardInterrupt:
            home.registry.close()
            home.registry = home.workspace.registry()
    home.write()
    assert home.tree() == wanted
    assert home.verify().ok, home.verify().problems
    assert changes.planned(home.registry) == []
    home.registry.close()


def test_files_that_stay_keep_their_names_and_are_links(home: Home) -> None:
    gone, *stay = home.faces(ONE)
    names = {face: home.crop(ONE, face) for face in stay}
    inodes = {face: (home.root / name).stat().st_ino for face, name in names.items()}
    crop = home.root / home.crop(ONE, gone)
    people.reject(home.workspace, home.registry, [gone])
    assert home.write().written == [ONE]
    assert not crop.exists()
    assert {face: home.crop(ONE, face) for face in stay} == names
    assert {face: (home.root / name).stat().st_ino for face, name in names.items()} == inodes
    described = json.loads((home.root / ONE / "faceset.json").read_text())["faces"]
    assert {(each["face_id"], f"{ONE}/{each['file']}") for each in described} == set(names.items())
    assert [each["face_id"] for each in described] == home.faces(ONE)


def test_the_name_of_a_file_that_goes_is_given_to_no_other(home: Home) -> None:
    """The rejected face has the last number of its set, and the same revision brings others in."""
    before = home.tree()
    last = max(sets.member_files(home.registry, TWO), key=lambda member: member[2] or "")
    people.reject(home.workspace, home.registry, [last[0]])
    people.move(home.workspace, home.registry, home.faces(ONE)[:2], TWO)
    home.write()
    for decision in (1, 2):
        people.undo(home.workspace, home.registry, decision)
        home.write()
        files = [file for _, _, file in sets.member_files(home.registry, TWO)]
        assert len(set(files)) == len(files)
    assert home.tree() == before


def _reject_all(home: Home) -> Outcome:
    return people.reject(home.workspace, home.registry, home.faces(THREE))


def _move_all(home: Home) -> Outcome:
    return people.move(home.workspace, home.registry, home.faces(THREE), TWO)


@pytest.mark.parametrize("act", [_reject_all, _move_all])
def test_no_set_is_left_without_a_face(home: Home, act: Callable[[Home], Outcome]) -> None:
    before, stood = home.tree(), standing(home)
    with pytest.raises(UsageError, match="nothing would be left of faceset_003"):
        act(home)
    home.write()
    assert (home.tree(), standing(home)) == (before, stood)


def test_all_decisions_since_the_last_writing_are_one_revision(home: Home) -> None:
    for face in home.faces(ONE)[:3]:
        people.reject(home.workspace, home.registry, [face])
    people.name(home.workspace, home.registry, ONE, "Anna")
    home.write()
    assert [path.name for path in home.root.glob(".history/*/*")] == [ONE]
    assert rows.of_number(home.registry, 1).revision == 2  # type: ignore[union-attr]
    assert home.write().written == []


def test_undo_of_one_of_several_decisions_in_a_revision(home: Home) -> None:
    before, (first, second, *_) = home.tree(), home.faces(ONE)
    people.reject(home.workspace, home.registry, [first])
    people.reject(home.workspace, home.registry, [second])
    home.write()
    people.undo(home.workspace, home.registry, 1)
    home.write()
    assert first in home.faces(ONE)
    assert second not in home.faces(ONE)
    assert home.verify().ok
    people.undo(home.workspace, home.registry, 2)
    home.write()
    assert home.tree() == before


def test_a_decision_on_which_a_later_one_stands_is_not_taken_back(home: Home) -> None:
    people.merge(home.workspace, home.registry, TWO, ONE)
    people.reject(home.workspace, home.registry, [home.faces(ONE)[-1]])
    with pytest.raises(Refused, match="while decision 2 \\(reject\\) stands on it"):
        people.undo(home.workspace, home.registry, 1)
    people.undo(home.workspace, home.registry, 2)
    people.undo(home.workspace, home.registry, 1)
    assert len(home.faces(TWO)) == 9


def test_nothing_is_given_back_into_a_set_that_a_later_decision_retired(home: Home) -> None:
    """Neither by an undo out of order nor by one of an undo: two merges in a circle, a chain of merges, a rejected face."""
    before, stood = home.tree(), standing(home)
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    people.merge(home.workspace, home.registry, TWO, ONE)
    people.undo(home.workspace, home.registry, 2)
    people.merge(home.workspace, home.registry, ONE, TWO)
    for refused in (1, 3):
        with pytest.raises(Refused, match="while decision 4 \\(merge\\) stands on it"):
            people.undo(home.workspace, home.registry, refused)
    people.undo(home.workspace, home.registry, 4)
    people.merge(home.workspace, home.registry, ONE, THREE)
    with pytest.raises(Refused, match="while decision 6 \\(merge\\) stands on it"):
        people.undo(home.workspace, home.registry, 3)
    home.write()
    for decision in (6, 1):
        people.undo(home.workspace, home.registry, decision)
    home.write()
    assert standing(home) == stood
    assert home.tree() == before


def test_a_merged_set_is_retired_and_its_number_stays_used(home: Home) -> None:
    before = len(home.faces(ONE)), len(home.faces(TWO))
    people.merge(home.workspace, home.registry, "2", "1")
    home.write()
    assert not (home.root / TWO).exists()
    assert len(list((home.root / ONE / "faces").iterdir())) == sum(before)
    manifest = json.loads((home.root / "manifest.json").read_text())
    assert [each["name"] for each in manifest["facesets"]] == [ONE, THREE]
    assert [each["name"] for each in manifest["retired"]] == [TWO]
    assert sets.highest_number(home.registry) == 3
    with pytest.raises(UsageError, match="is part of faceset_001 now"):
        people.name(home.workspace, home.registry, TWO, "Berta")


def test_two_sets_that_an_earlier_version_merged_into_one_another_are_retired(home: Home) -> None:
    """It let undos make such a circle; here it is written into the registry."""
    people.merge(home.workspace, home.registry, "2", "1")
    one, two = rows.of_number(home.registry, 1), rows.of_number(home.registry, 2)
    assert one
    assert two
    with home.registry.transaction():
        rows.set_standing(home.registry, one.id, "merged", merged_into=two.id)
        sets.retire(home.registry, ONE)
    with pytest.raises(UsageError, match="faceset_002 is retired; its number stays used"):
        people.name(home.workspace, home.registry, TWO, "Berta")


def test_a_split_makes_the_next_person_and_an_undo_leaves_the_number_used(home: Home) -> None:
    some = home.faces(ONE)[3:6]
    people.split(home.workspace, home.registry, ONE, some, name="Berta")
    home.write()
    assert set(home.faces("faceset_004")) == set(some)
    assert len(list((home.root / "faceset_004/faces").iterdir())) == 3
    people.undo(home.workspace, home.registry)
    home.write()
    assert not (home.root / "faceset_004").exists()
    people.split(home.workspace, home.registry, ONE, some)
    assert set(home.faces("faceset_005")) == set(some)


def test_a_split_stays_while_something_was_said_of_the_new_person(home: Home) -> None:
    """Of a person whose faces are as the split left them: no row tells it."""
    new = "faceset_004"
    split = people.split(home.workspace, home.registry, ONE, home.faces(ONE)[3:6]).decision
    assert split is not None
    says: tuple[Callable[[], Outcome], ...] = (
        lambda: people.confirm(home.workspace, home.registry, [new]),
        lambda: people.confirm(home.workspace, home.registry, home.faces(new)[:1]),
        lambda: people.distinct(home.workspace, home.registry, new, ONE),
    )
    for say in says:
        later = say()
        with pytest.raises(Refused, match=f"while decision {later.decision} \\({later.act}\\) stands on it"):
            people.undo(home.workspace, home.registry, split)
        assert people.standing_on(home.registry, split, split) == {split: later.decision}
        people.undo(home.workspace, home.registry, later.decision)
    assert people.standing_on(home.registry, split, split) == {}
    assert people.undo(home.workspace, home.registry, split).changes["undone"] == split


@pytest.mark.parametrize("act", ["move", "merge"])
def test_what_made_faces_somebodys_stays_while_they_are_confirmed_to_be(home: Home, act: str) -> None:
    some = home.faces(TWO)[:2]
    done = (
        people.move(home.workspace, home.registry, some, ONE)
        if act == "move"
        else people.merge(home.workspace, home.registry, TWO, ONE)
    )
    own = people.confirm(home.workspace, home.registry, [home.faces(ONE)[0]])
    theirs = people.confirm(home.workspace, home.registry, [some[0]])
    with pytest.raises(Refused, match=f"while decision {theirs.decision} "):
        people.undo(home.workspace, home.registry, done.decision)
    people.undo(home.workspace, home.registry, theirs.decision)
    people.undo(home.workspace, home.registry, done.decision)
    assert own.decision in [made.decision for made in people.history(home.workspace, home.registry) if made.undone_by is None]


def test_a_split_is_merged_again_before_any_folder_followed(home: Home) -> None:
    before, stood = home.tree(), standing(home)
    some = home.faces(ONE)[3:6]
    people.split(home.workspace, home.registry, ONE, some, name="Berta")
    people.merge(home.workspace, home.registry, "Berta", ONE, name="Anna")
    home.write()
    crops = {path: digest for path, digest in before.items() if path.endswith(".png")}
    assert sorted(digest for path, digest in home.tree().items() if path.endswith(".png")) == sorted(crops.values())
    assert set(some) < set(home.faces(ONE))
    assert home.verify().ok, home.verify().problems
    people.undo(home.workspace, home.registry)
    home.write()
    assert set(home.faces("faceset_004")) == set(some)
    assert home.verify().ok, home.verify().problems
    people.undo(home.workspace, home.registry, 1)
    home.write()
    assert standing(home) == stood
    assert {path: digest for path, digest in home.tree().items() if path != "manifest.json"} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }
    assert home.verify().ok, home.verify().problems


def test_recognised_faces_become_members(home: Home) -> None:
    people.extend(home.workspace, home.registry, ONE)
    home.write()
    assert len(home.faces(ONE)) == 11
    assert faces.counts(home.registry).get(Reason.RECOGNISED, 0) == 0
    assert sorted(path.name for path in (home.root / ONE / "faces").iterdir())[-1] == "0011.png"
    with pytest.raises(UsageError, match="nothing to extend"):
        people.extend(home.workspace, home.registry, ONE)


def test_the_later_decision_wins_and_this_is_said(home: Home) -> None:
    face = home.faces(ONE)[0]
    people.reject(home.workspace, home.registry, [face])
    outcome = people.move(home.workspace, home.registry, [face], ONE)
    assert outcome.notes == ("decision 1 (reject) said otherwise of 1 face; this later one holds",)
    assert face in home.faces(ONE)


def test_a_rejected_face_comes_back_by_no_merge(home: Home) -> None:
    face = home.faces(ONE)[0]
    people.reject(home.workspace, home.registry, [face])
    people.move(home.workspace, home.registry, [face], TWO)
    people.undo(home.workspace, home.registry, 2)
    with home.registry.transaction():  # a run finds that it is of the second
        person = rows.of_number(home.registry, 2)
        assert person is not None
        rows.give(home.registry, face, person.id, Reason.MEMBER)
        sets.add_all_members(home.registry, TWO, [face])
    outcome = people.merge(home.workspace, home.registry, TWO, ONE)
    assert face not in home.faces(ONE)
    assert outcome.changes["merged"]["rejected_before"] == 1


@pytest.mark.parametrize("found", [Reason.RECOGNISED, Reason.LIKELY])
@pytest.mark.parametrize("pair", [(TWO, ONE), (ONE, TWO)])
def test_a_rejected_face_that_a_run_gave_to_another_comes_back_by_no_merge(home: Home, found: Reason, pair: tuple[str, str]) -> None:
    face = home.faces(ONE)[0]
    people.reject(home.workspace, home.registry, [face])
    person = rows.of_number(home.registry, 2)
    assert person is not None
    with home.registry.transaction():
        rows.give(home.registry, face, person.id, found)
    outcome = people.merge(home.workspace, home.registry, *pair)
    assert standing(home)[face] == (Reason.NEW, None)
    assert outcome.notes == ("1 face is in neither, rejected before",)
    people.undo(home.workspace, home.registry)
    assert standing(home)[face] == (found, TWO)


def test_a_folder_that_its_owner_altered_is_left_alone_until_that_is_accepted(home: Home) -> None:
    (home.root / ONE / "faces/mine.png").write_bytes(b"mine")
    people.reject(home.workspace, home.registry, [home.faces(ONE)[0]])
    waiting = home.write().waiting
    assert "facesets accept faceset_001" in waiting[ONE]
    assert (home.root / ONE / "faces/mine.png").read_bytes() == b"mine"
    assert home.cli("accept", ONE).code == 0
    assert home.write().written == [ONE]
    assert (home.root / ONE / "faces/mine.png").read_bytes() == b"mine"


def test_two_names_are_told_and_a_merge_of_two_asks_for_one(home: Home) -> None:
    people.name(home.workspace, home.registry, ONE, "Anna")
    assert "faceset_001 is called Anna too: are they one person?" in people.name(home.workspace, home.registry, TWO, "Anna").notes[0]
    people.name(home.workspace, home.registry, TWO, "Berta")
    with pytest.raises(UsageError, match="--name"):
        people.merge(home.workspace, home.registry, "Berta", "anna")
    people.merge(home.workspace, home.registry, "Berta", "anna", name="Anna B.")
    home.write()
    (first, _) = json.loads((home.root / "manifest.json").read_text())["facesets"]
    assert first["person"] == "Anna B."
    assert "Anna" not in (home.root / ONE / "faceset.json").read_text()


def test_what_a_run_made_meanwhile_stays_when_a_decision_is_taken_back(home: Home) -> None:
    one, two, *_ = home.faces(ONE)
    people.reject(home.workspace, home.registry, [one, two])
    with home.registry.transaction():  # a run finds that one of them is of the second set
        person = rows.of_number(home.registry, 2)
        assert person is not None
        rows.give(home.registry, one, person.id, Reason.MEMBER)
        sets.add_all_members(home.registry, TWO, [one])
    outcome = people.undo(home.workspace, home.registry)
    assert (one in home.faces(ONE), one in home.faces(TWO)) == (False, True)
    assert (two in home.faces(ONE), two in home.faces(TWO)) == (True, False)
    assert outcome.notes[0] == "2 facts have changed since by other decisions or runs, and stay"
    assert not [problem for problem in home.verify().problems if "inconsistent" in problem.what]


def test_an_undo_of_an_undo_of_an_undo_says_of_each_whether_it_stands(home: Home) -> None:
    people.reject(home.workspace, home.registry, home.faces(ONE)[:1])
    for last in (1, 2, 3, 4):
        people.undo(home.workspace, home.registry, last)
        stand = [made.id for made in decisions.select(home.registry) if made.stands]
        assert stand == [*range(last + 1, 0, -2)][::-1]
