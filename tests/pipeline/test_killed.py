"""Stop it anywhere, run it again: the end is the same, to the byte (promise 3)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facesets.changes import write
from facesets.export import folders
from facesets.workspace import Workspace

from .world import CommandLine, tree

_UNDISTURBED: dict[str, str] = {}  # the world is the same for every test here, so one run will do


@pytest.fixture
def undisturbed(cli: CommandLine, tmp_path: Path) -> dict[str, str]:
    """The sets of a run that nobody disturbed."""
    if _UNDISTURBED:
        return _UNDISTURBED
    whole = CommandLine(tmp_path / "whole", cli.capsys)
    whole("init")
    (whole.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
    assert whole("run", "--user", "anna").code == 0
    _UNDISTURBED.update(tree(whole.workspace / "facesets"))
    return _UNDISTURBED


# runs the command line, and sends itself a signal when it has come to its nth commit: just before it, or just after
_SELF_SIGNAL = """
import os, sys
from facesets import registry
from facesets.cli import main

sign, when, nth = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
commits = 0
original = registry.Registry.commit

def commit(self):
    global commits
    commits += 1
    if commits == nth and when == "before":
        os.kill(os.getpid(), sign)
    original(self)
    if commits == nth and when == "after":
        os.kill(os.getpid(), sign)

registry.Registry.commit = commit
try:
    main(sys.argv[4:])
finally:
    print("commits", commits, file=sys.stderr)
"""


def signalled(cli: CommandLine, sign: signal.Signals, when: str, nth: int) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own that gets ``sign`` at its nth commit."""
    words = [str(int(sign)), when, str(nth), "-C", str(cli.workspace), "run", "--user", "anna", "--json"]
    return subprocess.run([sys.executable, "-c", _SELF_SIGNAL, *words], capture_output=True, text=True, check=False)


# of about 14 commits: binding the user, the listing, photos, faces, adopting, the plan, each set, the end
@pytest.mark.parametrize(("when", "nth"), [("before", 2), ("after", 3), ("after", 5), ("before", 8), ("before", 11), ("after", 12)])
def test_a_run_killed_at_a_commit_and_repeated_ends_as_if_undisturbed(
    cli: CommandLine, undisturbed: dict[str, str], when: str, nth: int
) -> None:
    assert signalled(cli, signal.SIGKILL, when, nth).returncode == -signal.SIGKILL
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


@pytest.mark.parametrize("nth", [3, 8])
def test_ctrl_c_is_told_kindly_and_loses_nothing(cli: CommandLine, undisturbed: dict[str, str], nth: int) -> None:
    stopped = signalled(cli, signal.SIGINT, "after", nth)
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert "run the same command again" in stopped.stderr
    with Workspace.open(cli.workspace).registry() as registry:
        photos, embedded = (registry.db.execute(sql).fetchone()[0] for sql in (_PHOTOS, _EMBEDDED))
    again = cli("run", "--user", "anna", "--json").json
    assert (again["downloads"], again["embedded"]) == (24 - photos, 24 - embedded)
    assert tree(cli.workspace / "facesets") == undisturbed


_PHOTOS = "SELECT count(*) FROM assets WHERE photo_id IS NOT NULL"
_EMBEDDED = "SELECT count(*) FROM embedded"
