"""The split workflow: another machine embeds, its cache comes home, and the sets are those that one machine would have made."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facesets.exchange.cache import load_cache
from facesets.exchange.queue import read_queue
from facesets.models.load import load_pack
from facesets.testing import Library
from facesets.testing.immich_ml import immich_ml_server

from .world import CommandLine, add_photos, jpeg, tree

FACESETS = [sys.executable, "-m", "facesets"]


_HERE: dict[str, str] = {}  # the library is the same in each test


@pytest.fixture
def here(cli: CommandLine, tmp_path: Path) -> dict[str, str]:
    """The sets that this machine alone makes."""
    if _HERE:
        return _HERE
    whole = CommandLine(tmp_path / "whole", cli.capsys)
    whole("init")
    (whole.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
    assert whole("run", "--user", "anna").code == 0
    _HERE.update(tree(whole.workspace / "facesets"))
    return _HERE


def worker(cli: CommandLine, pack: Path, *, before: str = "") -> None:
    """[worker] command: this very program on a queue. ``before`` is shell that runs first."""
    words = [*FACESETS, "embed", "--queue", "{queue}", "--out", "{out}", "--pack", str(pack), "--workers", "1"]
    command = shlex.join(["sh", "-c", f'{before}"$@"', "worker", *words])
    cli.set(f"command = {json.dumps(command)}")


def test_the_worker_needs_no_workspace_no_network_and_nothing_of_posix(
    cli: CommandLine, pack: Path, here: dict[str, str], tmp_path: Path
) -> None:
    assert cli("stage", "--user", "anna").code == 0
    (tmp_path / "elsewhere").mkdir()
    (cli.workspace / "photos").rename(tmp_path / "elsewhere" / "photos")  # where the other machine sees them
    (tmp_path / "windows").mkdir()  # what Python runs first, in this process and in those that decode photos
    (tmp_path / "windows" / "sitecustomize.py").write_text(
        """
import os, signal, socket, sys
import cv2, filelock, numpy, onnx, onnxruntime, pillow_heif, platformdirs, rich.progress, urllib3, PIL.Image  # theirs may ask
for name in ("fork", "fchmod", "fchown", "chown", "getuid", "geteuid", "uname", "statvfs", "sysconf", "nice", "killpg", "setsid",
             "sched_getaffinity", "mkfifo", "posix_fadvise", "sendfile", "pread", "memfd_create", "getloadavg"):
    if hasattr(os, name):
        delattr(os, name)
del signal.SIGKILL, signal.SIGHUP, signal.SIGALRM
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
def no_network(*args, **kwargs):
    raise OSError("no network on this machine")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
print(os.getpid(), file=open(os.environ["STARTED"], "a"))
"""
    )
    out = tmp_path / "elsewhere" / "out.npz"
    arguments = ["embed", "--queue", cli.workspace / "queue" / "anna.jsonl", "--out", out, "--pack", pack, "--json"]
    arguments += ["--map", f"{cli.workspace.as_posix()}/={tmp_path.as_posix()}/elsewhere/"]
    done = subprocess.run(
        [*FACESETS, *map(str, arguments)], cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "windows"), *sys.path]), "STARTED": str(tmp_path / "started")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "started").read_text().split()) > 1  # decoders, too, had nothing of POSIX's
    assert json.loads(done.stdout)["new_faces"] == 26

    (tmp_path / "elsewhere" / "photos").rename(cli.workspace / "photos")
    (taken,) = cli("cache", "import", out, "--json").json
    assert (taken["photos"], taken["faces"], taken["unknown"]) == (24, 26, 0)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["embedded"] == 0
    assert tree(cli.workspace / "facesets") == here
    (again,) = cli("cache", "import", out, "--json").json
    assert (again["photos"], again["already"]) == (0, 24)


def test_run_calls_the_other_machine_and_takes_its_cache_in(cli: CommandLine, pack: Path, here: dict[str, str]) -> None:
    worker(cli, pack, before='env | grep -q IMMICH_API_KEY && exit 9; echo "GPU: a fine one"; ')
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["embedded"] == 24
    assert tree(cli.workspace / "facesets") == here
    assert cli("verify").code == 0
    assert "worker: GPU: a fine one" in (cli.workspace / "logs" / "run-00001.log").read_text()
    assert cli("run", "--user", "anna", "--json").json["embedded"] == 0


def test_next_month_the_worker_gets_what_is_new_and_nothing_else(cli: CommandLine, pack: Path, library: Library) -> None:
    worker(cli, pack)
    cli("run", "--user", "anna")
    add_photos(library, next(iter(library.users.values())), [1], 3, first=40)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.json["embedded"] == 3
    assert len(read_queue(cli.workspace / "queue" / "anna.worker.jsonl").entries) == 3
    assert answer.json["steps"]["cluster"]["already_covered"] == 3


def test_a_worker_that_fails_is_named_and_the_next_run_goes_on(cli: CommandLine, pack: Path, here: dict[str, str]) -> None:
    worker(cli, pack, before="echo CUDA went away; exit 7; ")
    answer = cli("run", "--user", "anna")
    assert answer.code == 1
    assert "exit code 7 (CUDA went away)" in answer.err
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("echo CUDA went away; exit 7; ", ""))
    assert cli("run", "--user", "anna").code == 0
    assert tree(cli.workspace / "facesets") == here


def test_killed_while_the_worker_works_it_goes_on_where_both_were(cli: CommandLine, pack: Path, here: dict[str, str]) -> None:
    worker(cli, pack)
    out = cli.workspace / "caches" / "anna.worker.npz"
    journal = out.with_name(out.name + ".journal")
    running = subprocess.Popen(
        [*FACESETS, "-C", str(cli.workspace), "run", "--user", "anna"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while not (journal.exists() and journal.stat().st_size > 500) and not out.exists():
        assert running.poll() is None
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert tree(cli.workspace / "facesets") == here


@pytest.mark.parametrize(
    ("command", "problem"),
    [("embed.sh {queue}", "names no {out}"), ("embed.sh {out}", "names no {queue}"), ("'{queue} {out}", "No closing quotation"),
     ("no-such-program {queue} {out}", "cannot be started"), ("true {queue} {out}", "left no")],
)  # fmt: skip
def test_a_worker_command_that_cannot_work_is_said(cli: CommandLine, command: str, problem: str) -> None:
    cli.set(f"command = {json.dumps(command)}")
    answer = cli("run", "--user", "anna")
    assert answer.code in (1, 2)
    assert problem in answer.err


def test_photos_the_worker_could_not_reach_are_left_for_the_next_run(cli: CommandLine, pack: Path) -> None:
    cli("stage", "--user", "anna")
    victim = sorted((cli.workspace / "photos").rglob("*.jpg"))[0]
    worker(cli, pack, before=f"mv {shlex.quote(str(victim))} {shlex.quote(str(victim))}.away; ")
    answer = cli("embed", "--user", "anna", "--json")
    assert answer.json["retryable"] == 1
    row = next(row for row in cli("list", "assets", "--json").json if row["state"] == "retry")
    assert row["reason"] == "embed_error"


def test_unreadable_photos_come_home_as_such(cli: CommandLine, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(jpeg([1], 1))
    (folder / "half.jpg").write_bytes(jpeg([1], 2)[:3000])
    worker(cli, pack)
    summary = cli("run", "--user", "folder", "--folder", folder, "--json").json
    assert summary["assets_by_reason"] == {"embedded": 1, "truncated": 1}
    assert summary["steps"]["embed"]["load_errors"] == 1


def test_vectors_without_their_model_still_make_sets_and_are_never_mixed(
    cli: CommandLine, pack: Path, here: dict[str, str], tmp_path: Path
) -> None:
    """A machine without the model: clustering and crops need vectors and photos only."""
    assert cli("stage", "--user", "anna").code == 0
    moved = tmp_path / "gpu" / "netz"
    moved.parent.mkdir()
    moved.symlink_to(pack)
    out = tmp_path / "out.npz"
    assert cli("embed", "--queue", cli.workspace / "queue" / "anna.jsonl", "--out", out, "--pack", moved).code == 0
    moved.unlink()
    cli("cache", "import", out)
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace(f'pack = "{pack}"', 'pack = "auto"'))
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert "its vectors are here" in answer.err
    assert answer.json["pack"] == load_cache(out).model
    assert len(answer.json["sets_new"]) == 3


def test_the_servers_own_machine_learning_makes_the_same_people(cli: CommandLine, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_MACHINE_LEARNING_URL", raising=False)
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace(f'pack = "{pack}"', 'pack = "immich-ml"'))
    with immich_ml_server(load_pack(pack)) as one, immich_ml_server(load_pack(pack)) as two:
        cli.set(f'immich_ml = ["{one.url}", "{two.url}"]')
        answer = cli("run", "--user", "anna", "--json")
        assert answer.code == 0, answer.err
        assert min(one.requests["/predict"], two.requests["/predict"]) > 4
    assert answer.json["pack"] == "immich-ml@buffalo_l"
    assert answer.json["sets_new"] == ["faceset_001", "faceset_002", "faceset_003"]
    assert answer.json["steps"]["embed"]["new_faces"] == 26
    gone = cli("run", "--user", "anna")  # nothing to embed, but the services are away: its vectors are enough
    assert gone.code == 0, gone.err
    assert "its vectors are here" in gone.err
