from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from facesets.errors import NotAWorkspace, UsageError, WorkspaceInUse
from facesets.workspace import Workspace, write_private

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_and_an_existing_empty_one_become_workspaces(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        assert Workspace.init(folder).root == folder
        assert Workspace.open(folder, {}).settings.stage.workers == 8


@posix
def test_a_workspace_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir(mode=0o755)
    workspace = Workspace.init(tmp_path / "w")
    with workspace.registry():
        assert mode(workspace.root) == 0o700
        assert mode(workspace.root / "photos") == 0o700
        assert mode(workspace.root / "facesets.toml") == 0o600
        assert mode(workspace.registry_file) == 0o600


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="not an empty folder"):
        Workspace.init(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_workspace_is_made_once(tmp_path: Path) -> None:
    Workspace.init(tmp_path)
    with pytest.raises(UsageError, match="already"):
        Workspace.init(tmp_path)


def test_a_folder_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotAWorkspace, match="facesets init") as caught:
        Workspace.open(tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("asset_id", ["../../etc/passwd", "nul\0byte", "x" * 4000, "con", "😀", "a/b", "\udcff", ""])
def test_a_hostile_id_never_becomes_a_path(tmp_path: Path, asset_id: str) -> None:
    workspace = Workspace.init(tmp_path)
    path = workspace.photo("anna", asset_id, ".jpg")
    assert path.parent.parent == workspace.root / "photos" / "anna"
    assert path.stem.isalnum()
    assert len(path.name) == 36


def test_two_processes_cannot_work_in_one_workspace(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path)
    script = """
        import sys; from pathlib import Path; from facesets.workspace import Workspace
        with Workspace.open(Path(sys.argv[1])).lock():
            print("held", flush=True); sys.stdin.read()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline().strip() == b"held"
    with pytest.raises(WorkspaceInUse) as caught, workspace.lock():
        pass
    assert caught.value.exit_code == 5
    other.kill()  # a killed holder leaves no lock behind
    other.communicate()
    with workspace.lock():
        pass


def test_a_private_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_private(path, b"first")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # a full disk cannot be had in a test
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
