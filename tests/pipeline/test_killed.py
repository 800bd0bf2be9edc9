"""Stop it anywhere, run it again: the end is the same, to the byte (promise 3)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facesets.export import folders
from facesets.pipeline import write
from facesets.testing import ImmichServer

from .world import CommandLine, tree


@pytest.fixture
def undisturbed(cli: CommandLine, tmp_path: Path) -> dict[str, str]:
    """The sets of a run that nobody disturbed."""
    whole = CommandLine(tmp_path / "whole", cli.capsys)
    whole("init")
    (whole.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
    assert whole("run", "--user", "anna").code == 0
    return tree(whole.workspace / "facesets")


def rows(registry: Path, sql: str) -> int:
    """A count from a registry that another process may be writing."""
    with sqlite3.connect(f"file:{registry}?mode=ro", uri=True) as db:
        return int(db.execute(sql).fetchone()[0])


STAGING = "SELECT count(*) FROM assets WHERE sha256 IS NOT NULL"
EMBEDDING = "SELECT count(*) FROM embedded"
PLANNED = "SELECT count(*) FROM sets"
WRITING = "SELECT count(*) FROM sets WHERE written = 1"


@pytest.mark.parametrize(("work", "at_least"), [(STAGING, 1), (EMBEDDING, 1), (PLANNED, 1), (WRITING, 1)])
def test_a_run_killed_at_work_and_repeated_ends_as_if_undisturbed(
    cli: CommandLine, server: ImmichServer, undisturbed: dict[str, str], work: str, at_least: int
) -> None:
    command = [sys.executable, "-m", "facesets", "-C", str(cli.workspace), "run", "--user", "anna", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    registry = cli.workspace / "registry.sqlite"
    try:
        for _ in range(6000):
            if registry.stat().st_size and rows(registry, work) >= at_least:
                break
            assert running.poll() is None, "it was through before it could be killed"
            time.sleep(0.003)
    except sqlite3.OperationalError:
        pass  # caught while the schema was being made: a point to be killed at, too
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    again = cli("run", "--user", "anna", "--json")
    assert again.code == 0, again.err
    assert tree(cli.workspace / "facesets") == undisturbed
    assert cli("verify").code == 0
    assert again.json["listed"] == sum(again.json["assets_by_state"].values())


@pytest.mark.parametrize("nth", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_at_any_set_the_stored_plan_is_carried_out(
    cli: CommandLine, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    """Interrupted just before the nth set's folder is there, and just after it is there but not yet recorded."""
    real: Callable[..., object] = folders.write_set
    calls: list[str] = []

    def interrupted(folder: Path, plan: object, *rest: object, **more: object) -> object:
        calls.append("x")
        if len(calls) <= nth or when == "after":
            done = real(folder, plan, *rest, **more)
            if len(calls) <= nth:
                return done
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_set", interrupted)  # a kill at this very line cannot be timed from outside
    assert cli("run", "--user", "anna").code == 130
    monkeypatch.setattr(write, "write_set", real)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["downloads"] == answer.json["embedded"] == 0
    assert tree(cli.workspace / "facesets") == undisturbed
    assert cli("verify").code == 0


def test_ctrl_c_is_told_kindly_and_loses_nothing(cli: CommandLine) -> None:
    command = [sys.executable, "-m", "facesets", "-C", str(cli.workspace), "run", "--user", "anna"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    registry = cli.workspace / "registry.sqlite"
    for _ in range(6000):
        if registry.stat().st_size and rows(registry, EMBEDDING) >= 1:
            break
        time.sleep(0.003)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "run the same command again" in err
    embedded = rows(registry, EMBEDDING)
    assert embedded >= 1
    assert cli("run", "--user", "anna", "--json").json["embedded"] == 24 - embedded
