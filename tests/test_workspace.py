from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from facesets.errors import NotAWorkspace, SettingsError, UsageError, WorkspaceInUse
from facesets.settings import PathSettings, Settings
from facesets.workspace import Workspace

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


def configured(tmp_path: Path, facesets: str) -> Workspace:
    workspace = Workspace.init(tmp_path / "w")
    (workspace.root / "facesets.toml").write_text(f'[paths]\nfacesets = "{facesets}"\n')
    return Workspace.open(workspace.root, {})


def test_a_new_folder_of_sets_is_made_and_said_once(tmp_path: Path) -> None:
    workspace = configured(tmp_path, str(tmp_path / "sets"))
    notes = list[str]()
    workspace.prepare_facesets(notes.append)
    workspace.prepare_facesets(notes.append)
    (note,) = notes
    assert f"{tmp_path / 'sets'} " in note
    assert "is new" in note
    assert mode(tmp_path / "sets") == 0o700


def test_a_folder_of_sets_whose_own_folder_is_missing_is_refused_and_not_made(tmp_path: Path) -> None:
    workspace = configured(tmp_path, str(tmp_path / "usb" / "sets"))
    with pytest.raises(SettingsError, match=r"\[paths\] facesets = .*usb.*mount its disk") as caught:
        workspace.prepare_facesets(pytest.fail)
    assert caught.value.path == workspace.root / "facesets.toml"
    assert not (tmp_path / "usb").exists()
    (tmp_path / "usb").write_text("a file")
    with pytest.raises(SettingsError):
        workspace.prepare_facesets(pytest.fail)
    with pytest.raises(SettingsError, match="is not a folder"):
        Workspace(workspace.root, replace(workspace.settings, paths=PathSettings(str(tmp_path / "usb")))).prepare_facesets(pytest.fail)


@pytest.mark.parametrize(
    ("facesets", "said"),
    [
        ("photos", "keeps its photos"), ("Logs", "keeps its Logs"), ("crops/mine", "keeps its crops"), ("link", "keeps its backups"),
        (".", "is the workspace itself"), ("..", "or holds it"), ("/", "or holds it"), ("sub/..", "is the workspace itself"),
    ],
)  # fmt: skip
def test_sets_have_a_folder_of_their_own(tmp_path: Path, facesets: str, said: str) -> None:
    workspace = configured(tmp_path, facesets)
    (workspace.root / "link").symlink_to("backups")
    (workspace.root / "sub").mkdir()
    before = sorted(workspace.root.rglob("*"))
    with pytest.raises(SettingsError, match=rf"{said}.*a folder for sets alone") as err:
        workspace.prepare_facesets(lambda _: None)
    assert f"[paths] facesets = '{facesets}'" in str(err.value)
    assert sorted(workspace.root.rglob("*")) == before


def test_a_link_to_itself_is_no_folder_of_sets(tmp_path: Path) -> None:
    workspace = configured(tmp_path, "loop")
    (workspace.root / "loop").symlink_to("loop")
    with pytest.raises(SettingsError, match=r"\[paths\] facesets = 'loop'"):
        workspace.prepare_facesets(lambda _: None)


def test_a_file_in_a_folders_place_is_said_before_any_work(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "w")
    (workspace.root / "photos").rmdir()
    (workspace.root / "photos").touch()
    with pytest.raises(UsageError, match="photos is no folder: move it away"), workspace.lock():
        pytest.fail("there is nothing to work with")
    (workspace.root / "photos").unlink()
    (workspace.root / "photos").symlink_to(tmp_path / "usb")
    with pytest.raises(UsageError, match="photos leads nowhere: mount its disk"), workspace.lock():
        pytest.fail("there is nothing to work with")
    (workspace.root / "facesets").touch()
    with pytest.raises(SettingsError, match="facesets is not a folder; move it away"):
        workspace.prepare_facesets(pytest.fail)


def test_the_usual_folder_of_sets_needs_no_word(tmp_path: Path) -> None:
    Workspace.init(tmp_path / "w").prepare_facesets(pytest.fail)
    (tmp_path / "there").mkdir()
    configured_there = Workspace(tmp_path / "w", replace(Settings(), paths=PathSettings(str(tmp_path / "there"))))
    configured_there.prepare_facesets(pytest.fail)


def test_opening_a_workspace_writes_nothing(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in [tmp_path, *tmp_path.rglob("*")]}
    Workspace.open(workspace.root)
    assert {p: p.stat().st_mtime_ns for p in [tmp_path, *tmp_path.rglob("*")]} == before
