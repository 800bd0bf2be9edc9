"""Whatever happens ends in one line and a documented exit code; nobody is shown a traceback."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from facesets.errors import FacesetsError
from facesets.exchange import Cache, save_cache
from facesets.files import is_private
from facesets.workspace import Workspace
from tests.pipeline.world import CommandLine

posix = pytest.mark.skipif(os.name != "posix", reason="modes, signals and devices are a POSIX matter")


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    cli = CommandLine(tmp_path / "w", capsys)
    assert cli("init").code == 0
    return cli


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache.npz"
    save_cache(path, Cache("m@1", np.eye(512, dtype=np.float32), [{"path": f"/p{i}", "sha256": f"{i:064x}"} for i in range(512)]))
    return path


def call(*words: str | Path, before: tuple[str, ...] = (), **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "facesets", *map(str, words)]
    return subprocess.run(command, check=False, **{"capture_output": True, "text": True, "timeout": 120} | kwargs)


def one_line(text: str) -> str:
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("facesets: "))
    return line


@pytest.fixture
def unprivileged() -> tuple[str, ...]:
    """What is put before a command so that permissions count: for root, who passes over them, its right to do so is taken away."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root passes over permissions, and setpriv is not here to take that away")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")


@posix
def test_a_folder_that_may_not_be_written_to_is_said_by_init(tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    (tmp_path / "others").mkdir(mode=0o500)
    done = call("init", tmp_path / "others" / "w", before=unprivileged)
    assert done.returncode == 1
    assert "no permission" in one_line(done.stderr)
    assert "others" in done.stderr
    done = call("init", tmp_path / "others", before=unprivileged)  # its owner makes it writable for itself
    assert done.returncode == 0, done.stderr


@posix
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda w: w.chmod(0o500), ".lock"),
        (lambda w: (w / ".lock").touch(0o000), ".lock"),
        (lambda w: (w / "logs").chmod(0o500), "logs"),
        (lambda w: (w / "facesets.toml").chmod(0o000), "facesets.toml"),
        (lambda w: w.chmod(0o000), "w"),
    ],
    ids=["root", "lock", "logs", "settings", "unreadable"],
)
def test_a_workspace_without_permission_is_said_and_named(
    cli: CommandLine, tmp_path: Path, unprivileged: tuple[str, ...], spoil: Callable[[Path], None], named: str
) -> None:
    (tmp_path / "photos").mkdir()
    spoil(cli.workspace)
    done = call("-C", cli.workspace, "run", "--user", "anna", "--folder", tmp_path / "photos", "--json", before=unprivileged)
    cli.workspace.chmod(0o700)
    assert done.returncode in (1, 2)
    line = one_line(done.stderr)
    assert "ermission" in line
    assert named in line
    assert json.loads(done.stdout) == {"error": line.removeprefix("facesets: "), "exit_code": done.returncode}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_while_a_cache_is_written_is_said_and_nothing_is_left(cache: Path, tiny_disk: Path) -> None:
    done = call("cache", "merge", tiny_disk / "out.npz", cache)
    assert done.returncode == 1
    assert "out.npz: the disk is full" in one_line(done.stderr)
    assert list(tiny_disk.iterdir()) == []


@posix
def test_a_limit_on_the_size_of_files_is_said_and_nothing_is_left(cache: Path, tmp_path: Path) -> None:
    done = call("cache", "merge", tmp_path / "out.npz", cache, before=("sh", "-c", 'ulimit -f 200; exec "$@"', "sh"))
    assert done.returncode == 1
    assert "out.npz: the file is larger than" in one_line(done.stderr)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache.npz"]


def npy(array: npt.ArrayLike) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


WHOLE = {
    "schema.npy": npy("v2"), "model.npy": npy("m@1"), "embeddings.npy": npy(np.ones((1, 1), np.float32)),
    "meta.npy": npy(np.frombuffer(b"[{}]", np.uint8)),
}  # fmt: skip
FOREIGN = {
    "no array": {"schema": b"v2", "model": b"m", "embeddings": b"x", "meta": b"[]"},
    "another tool's": {"weights.npy": npy([1.0])},
    "a header that is none": WHOLE | {"model.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': foo(}   \n"},
    "cut short": WHOLE | {"embeddings.npy": npy(np.ones((9, 9), np.float32))[:150]},
    "larger than any memory": WHOLE | {"embeddings.npy": npy(np.ones((1, 1), np.float32)).replace(b"(1, 1)", b"(99999999999, 1)")},
    "nested without end": WHOLE | {"meta.npy": npy(np.frombuffer(b"[" * 100_000, np.uint8))},
    "no table": WHOLE | {"embeddings.npy": npy(np.float32(1))},
}


@pytest.mark.parametrize("verb", ["info", "convert"])
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_cache_is_named_and_is_no_fault_of_ours(cli: CommandLine, tmp_path: Path, files: dict[str, bytes], verb: str) -> None:
    path = tmp_path / "foreign.npz"
    with zipfile.ZipFile(path, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    rest: list[str | Path] = [tmp_path / "out.npz", "--model", "m@1"] if verb == "convert" else []
    answer = cli("cache", verb, path, *rest)
    assert answer.code == 1
    line = one_line(answer.err)
    assert "foreign.npz" in line
    assert "fault in facesets" not in line
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("where", ["environment", "settings"])
def test_a_malformed_database_address_shows_no_part_of_its_password(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    address = "postgresql://reader:first@second:third/fourth@db/immich"
    if where == "environment":
        monkeypatch.setenv("IMMICH_DB_URL", address)
    else:
        (cli.workspace / "facesets.toml").write_text(f'[sources.immich_db]\nurl = "{address}"\n')
    answer = cli("-vv", "run", "--user", "anna", "--json")
    assert answer.code == 2
    assert "%40" in one_line(answer.err)
    for part in ("first", "second", "third", "fourth"):
        assert part not in answer.out + answer.err


@posix
@pytest.mark.parametrize("module", ["click", "facesets.cli", "facesets.cli.run", "numpy", "facesets.pipeline", "facesets.workspace"])
def test_ctrl_c_while_the_program_loads_ends_it_in_one_line(module: str, tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["facesets", "-C", {str(tmp_path)!r}, "run", "--user", "anna"]
from facesets.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130
    assert "interrupted" in one_line(done.stderr)


@posix
def test_a_job_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from facesets.__main__ import main\n"
    code += "try: main()\nfinally: assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_name_cannot_steer_the_terminal_or_turn_its_lines_round(cache: Path, tmp_path: Path) -> None:
    odd = cache.rename(tmp_path / "a\u202egpj\x1b[2J.npz")
    text, document, error = call("cache", "info", odd), call("cache", "info", odd, "--json"), call("-C", odd, "status")
    for said in (text.stdout, document.stdout, error.stderr):
        assert r"a\u202egpj\u001b[2J.npz" in said
        assert not {"\u202e", "\x1b"} & {*said}
    assert any(str(odd) == value for value in json.loads(document.stdout)[0].values()), "in JSON it is the same text all the same"


def test_a_name_that_the_terminal_cannot_show_is_escaped(cache: Path, tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "é.npz")
    cache.rename(tmp_path / name)
    for encoding, shown in (("cp1252", r"e\u0301.npz"), ("utf-8", name)):
        done = call("cache", "info", tmp_path / name, env=os.environ | {"PYTHONIOENCODING": encoding}, text=False)
        assert done.returncode == 0, done.stderr
        assert shown.encode(encoding) in done.stdout  # type: ignore[operator]


@posix
def test_a_reader_that_has_gone_ends_the_answer_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([sys.executable, "-m", "facesets", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@posix
def test_an_answer_that_the_disk_does_not_take_is_an_error(cache: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "facesets", "cache", "info", cache], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "the disk is full" in one_line(done.stderr)


@posix
def test_a_closed_stdout_is_no_fault(cache: Path) -> None:
    done = call("cache", "info", cache, before=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (done.returncode, done.stderr) == (0, "")


@posix
@pytest.mark.parametrize("what", ["assets", "sets"])
def test_a_list_that_nobody_can_read_is_no_fault(cli: CommandLine, what: str) -> None:
    for closed in (">&-", "<&- >&-"):
        done = call("-C", cli.workspace, "list", what, before=("sh", "-c", f'exec "$@" {closed}', "sh"))
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["rum"], ["run", "--colour"], ["list"], ["list", "people-and-pets"], ["cache", "inof", "x"]])
def test_a_wrong_call_is_answered_in_json_too(cli: CommandLine, words: list[str]) -> None:
    plain = cli(*words)
    assert plain.code == 2
    assert plain.out == ""
    answer = cli(*words, "--json")
    assert answer.code == 2
    assert answer.json["exit_code"] == 2
    assert " ".join(answer.json["error"].split()) in " ".join(answer.err.split())


def test_a_mistyped_verb_or_option_says_what_was_meant(cli: CommandLine) -> None:
    assert "'status'" in cli("statsu").err
    assert "--folder" in cli("run", "--foldr", "x").err
    assert "facesets -C DIR VERB" in cli("status", "-C", "elsewhere").err


def test_an_option_on_the_wrong_side_of_the_verb_is_told_its_place(cli: CommandLine) -> None:
    for words, said in (
        (["--json", "status"], "What a verb takes stands behind it: facesets VERB --json ..."),
        (["--user", "anna", "run"], "What a verb takes stands behind it: facesets VERB --user ..."),
        (["status", "-C", "family"], "It stands before the verb: facesets -C DIR VERB ..."),
        (["status", "-v"], "It stands before the verb: facesets -v VERB ..."),
    ):
        done = call(*words)
        assert done.returncode == 2
        assert done.stderr.rstrip().endswith(said)
        assert "mean" not in done.stderr
    assert "Did you mean '--version'?" in call("--vresion").stderr


def test_what_nobody_foresaw_is_one_line_and_a_private_log_with_the_traceback(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"with key {os.environ['IMMICH_API_KEY']}\nsecond line")

    monkeypatch.setenv("IMMICH_API_KEY", "secret-of-anna")
    monkeypatch.setattr(Workspace, "open", broken)
    answer = cli("status", "--json")
    assert answer.code == 1
    (log,) = (cli.workspace / "logs").iterdir()
    line = one_line(answer.err)
    assert "ZeroDivisionError" in line
    assert "report" in line
    assert str(log) in line
    assert answer.json == {"error": line.removeprefix("facesets: "), "exit_code": 1}
    text = log.read_text()
    assert "Traceback" in text
    assert "in broken" in text
    assert "status --json" in text
    assert "secret-of-anna" not in text + answer.err + answer.out
    assert is_private(log)

    monkeypatch.setattr("facesets.cli.crash.user_log_path", lambda *_, **__: tmp_path / "state")
    cli.workspace = tmp_path / "nowhere"
    assert str(tmp_path / "state") in one_line(cli("status").err), "where there is no workspace, the user's own folder of logs"
    assert not cli.workspace.exists()


@pytest.mark.parametrize(("flags", "seen"), [([], set()), (["-v"], {"info"}), (["-vv"], {"info", "debug"})])
def test_more_is_said_when_asked_for(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, flags: list[str], seen: set[str]) -> None:
    def speaking(*_: object) -> None:
        log = logging.getLogger("facesets.immich")
        log.debug("a debug line")
        log.info("an info line")
        log.info("an info note", extra={"shown": True})
        log.warning("a short wait", extra={"told": False})
        log.warning("a long wait\u202e", extra={"told": True})
        raise FacesetsError("enough")

    monkeypatch.setattr(Workspace, "open", speaking)
    err = cli(*flags, "status").err
    assert {level for level in ("info", "debug") if f" {level} line" in err} == seen
    assert "note" not in err, "it stands there already"
    assert ("a short wait" in err) == bool(flags)
    assert "a long wait\\u202e\n" in err, "nobody sits before a screen that says nothing for minutes"
    assert logging.getLogger("facesets").level == logging.NOTSET


def test_the_help_shows_the_verbs_in_groups_and_loads_none(cli: CommandLine) -> None:
    text = cli("--help").out
    groups = [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Options", "Start", "Run", "Look", "People", "Hand on", "Keep safe"]


def test_nothing_but_the_guard_is_loaded_before_ctrl_c_is_answered_for() -> None:
    """Each module that is would be a time in which a Ctrl-C is a traceback."""
    code = "import sys; before = {*sys.modules}; import facesets.__main__; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} - {"_signal"} == {"facesets", "facesets.__main__", "facesets.interrupt"}


def test_too_little_memory_is_said_and_is_no_fault_of_ours(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Workspace, "open", full)
    answer = cli("status")
    assert (answer.code, answer.err) == (1, one_line(answer.err) + "\n")
    assert "not enough memory" in answer.err
    assert "report" not in answer.err
