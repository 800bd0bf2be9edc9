from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.changes import begin, carry_on, swap
from facesets.registry import Registry, changes
from facesets.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.init(tmp_path / "home")
    for name, text in (("faceset_026", "old"), (".faceset_026.partial", "new")):
        (made.facesets / name).mkdir(parents=True)
        (made.facesets / name / "face.png").write_text(text)
    return made


@pytest.fixture
def registry(workspace: Workspace) -> Iterator[Registry]:
    with workspace.registry() as opened:
        yield opened


def lies(workspace: Workspace) -> dict[str, str]:
    return {path.relative_to(workspace.facesets).as_posix(): path.read_text() for path in workspace.facesets.rglob("*.png")}


SWAPPED = {"faceset_026/face.png": "new", ".history/7/faceset_026/face.png": "old"}
BEFORE = {"faceset_026/face.png": "old", ".faceset_026.partial/face.png": "new"}


def test_a_new_revision_takes_the_place_of_the_old_which_goes_into_the_history(workspace: Workspace, registry: Registry) -> None:
    change = begin(registry, "test", {"set": 26}, steps=swap("faceset_026", ".history/7/faceset_026"))
    assert lies(workspace) == BEFORE
    (done,) = carry_on(registry, workspace)
    assert (done.id, done.state, done.reason) == (change, "applied", None)
    assert lies(workspace) == SWAPPED
    assert carry_on(registry, workspace) == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_at_any_commit_it_is_carried_through_at_the_next_start(
    workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    begin(registry, "test", {}, steps=swap("faceset_026", ".history/7/faceset_026"))
    commit, commits = Registry.commit, 0

    def dies(self: Registry) -> None:
        nonlocal commits
        commits += 1
        if commits == nth and when == "before":
            raise KeyboardInterrupt
        commit(self)
        if commits == nth:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            carry_on(registry, workspace)
    if registry.db.in_transaction:
        registry.db.execute("ROLLBACK")
    registry.close()
    with workspace.registry() as again:
        carry_on(again, workspace)
        assert changes.planned(again) == []
        assert changes.get(again, 1).state == "applied"
    assert lies(workspace) == SWAPPED


def test_what_cannot_be_done_is_taken_back_and_given_up_with_a_reason(workspace: Workspace, registry: Registry) -> None:
    begin(registry, "test", {}, steps=swap("faceset_026", ".history/7/faceset_026"))
    (workspace.facesets / ".faceset_026.partial/face.png").unlink()
    (workspace.facesets / ".faceset_026.partial").rmdir()
    (change,) = carry_on(registry, workspace)
    assert change.state == "given_up"
    assert change.reason is not None
    assert ".faceset_026.partial is not there any more" in change.reason
    assert lies(workspace) == {"faceset_026/face.png": "old"}
    assert carry_on(registry, workspace) == []


def test_a_folder_that_is_in_the_way_is_never_overwritten(workspace: Workspace, registry: Registry) -> None:
    begin(registry, "test", {}, steps=swap("faceset_026", ".history/7/faceset_026"))
    (workspace.facesets / ".history/7/faceset_026").mkdir(parents=True)
    (workspace.facesets / ".history/7/faceset_026/face.png").write_text("somebody's")
    (change,) = carry_on(registry, workspace)
    assert change.state == "given_up"
    assert lies(workspace) == BEFORE | {".history/7/faceset_026/face.png": "somebody's"}


def test_a_change_and_what_it_means_in_the_registry_land_together_or_not_at_all(registry: Registry) -> None:
    def half_done() -> None:
        with registry.transaction():
            decision = changes.decide(registry, "merge", {"set": 3, "into": 1})
            begin(registry, "merge", {"set": 3}, inverse={"number": 3}, decision_id=decision)
            raise KeyError

    with pytest.raises(KeyError):
        half_done()
    assert changes.planned(registry) == []
    assert registry.db.execute("SELECT count(*) FROM decisions").fetchone()[0] == 0
