"""What the doctor says of this computer alone."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from facesets.doctor import machine
from facesets.doctor.findings import NOTE, OK, PROBLEM, Finding
from facesets.models import Pack
from facesets.settings import PathSettings
from facesets.testing.immich_ml import immich_ml_server
from facesets.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "w")


def wrong(workspace: Workspace) -> list[Finding]:
    return [finding for finding in machine.workspace(workspace) if finding.level in (NOTE, PROBLEM)]


def test_a_private_workspace_is_in_order(workspace: Workspace) -> None:
    assert wrong(workspace) == []


def test_a_folder_that_others_can_look_into_is_a_problem_that_chmod_mends(workspace: Workspace) -> None:
    workspace.root.chmod(0o755)
    (finding,) = wrong(workspace)
    assert (finding.level, finding.fix) == (PROBLEM, f"chmod 700 {workspace.root}")


def test_a_share_without_permissions_is_a_note_that_does_not_ask_for_chmod(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = tempfile.NamedTemporaryFile

    def everybodys(*args: Any, **kwargs: Any) -> IO[bytes]:
        made: IO[bytes] = real(*args, **kwargs)
        os.fchmod(made.fileno(), 0o777)
        return made

    workspace.root.chmod(0o777)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", everybodys)  # such a share cannot be mounted in a test
    (finding,) = wrong(workspace)
    assert finding.level == NOTE
    assert "chmod does nothing" in finding.what
    assert "IMMICH_API_KEY" in finding.fix


def test_a_folder_of_sets_on_a_disk_that_is_not_there_is_a_problem(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = replace(workspace.settings, paths=PathSettings(str(tmp_path / "usb" / "sets")))
    (finding,) = wrong(replace(workspace, settings=elsewhere))
    assert finding.level == PROBLEM
    assert str(tmp_path / "usb") in finding.what


def test_a_workspace_that_works_just_now_is_a_note(workspace: Workspace) -> None:
    with workspace.lock():
        (finding,) = wrong(workspace)
    assert (finding.level, finding.what) == (NOTE, "another facesets works in it just now")


def test_with_immichs_own_machine_learning_nothing_of_this_computers_is_asked_for(
    workspace: Workspace, twin: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # not installed
    monkeypatch.delenv("IMMICH_MACHINE_LEARNING_URL", raising=False)
    with immich_ml_server(twin) as service:
        embed = replace(workspace.settings.embed, pack="immich-ml", immich_ml=(service.url,))
        found = list(machine.models(replace(workspace, settings=replace(workspace.settings, embed=embed))))
    assert [(one.level, one.what.split(" (")[0]) for one in found] == [(OK, "model pack immich-ml@buffalo_l")]
    (gone,) = machine.models(replace(workspace, settings=replace(workspace.settings, embed=embed)))
    assert (gone.level, service.url in gone.what) == (PROBLEM, True)


def test_what_a_plain_install_lacks_is_one_finding(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # not installed
    embed = replace(workspace.settings.embed, pack="open")
    (lacks,) = machine.models(replace(workspace, settings=replace(workspace.settings, embed=embed)))
    assert lacks.level == PROBLEM
    assert "onnxruntime is not installed: pip install 'facesets[open]'" in lacks.what
