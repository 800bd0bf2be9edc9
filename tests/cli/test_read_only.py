"""A workspace that cannot be written, in a snapshot or on a read-only disk, can be looked at, and is left as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pipeline.conftest import cli, faults, library, pack, server  # noqa: F401 - the same small world
from tests.pipeline.test_field import AS_ANYBODY
from tests.pipeline.world import CommandLine, tree

_MOUNTED = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.fixture
def snapshot(cli: CommandLine) -> Iterator[Path]:
    """A copy of a workspace with sets, where others may enter."""
    assert cli("run", "--user", "anna").code == 0
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        copy = Path(name) / "w"
        shutil.copytree(cli.workspace, copy)
        yield copy
        for path in [copy, *copy.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)


def look(words: list[str], snapshot: Path) -> None:
    """Each verb that reads, once."""
    before = kept(snapshot)
    for verb in (["status"], ["list", "assets"], ["list", "faces"], ["list", "sets"], ["explain", "faceset_001"], ["verify"]):
        ran = subprocess.run([*words, "-C", str(snapshot), *verb, "--json"], capture_output=True, text=True, check=False, cwd="/")
        assert ran.returncode == 0, (verb, ran.stderr)
        assert ran.stdout.strip(), verb
        assert ran.stderr == "", verb
    assert kept(snapshot) == before


def kept(snapshot: Path) -> dict[str, str]:
    """All but the files in which SQLite shares its memory, which say nothing."""
    return {path: digest for path, digest in tree(snapshot).items() if not path.endswith((".sqlite-shm", ".sqlite-wal"))}


def test_one_whose_permissions_let_nobody_write(snapshot: Path) -> None:
    for path in [*snapshot.rglob("*"), snapshot]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    words = [*AS_ANYBODY, sys.executable, "-m", "facesets"]
    look(words, snapshot)
    ran = subprocess.run([*words, "-C", str(snapshot), "run", "--user", "anna"],
                         capture_output=True, text=True, check=False, cwd="/")  # fmt: skip
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


def test_one_on_a_disk_that_is_full(snapshot: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        shutil.copytree(snapshot, disk / "w")
        with suppress(OSError), (disk / "films").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        look([sys.executable, "-m", "facesets"], disk / "w")
        named = subprocess.run(
            [sys.executable, "-m", "facesets", "-C", str(disk / "w"), "name", "faceset_001", "Ann"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert named.returncode == 1
        assert "disk full" in named.stderr or "the disk is full" in named.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


def test_one_on_a_disk_that_is_mounted_read_only(snapshot: Path) -> None:
    if os.name != "posix" or not shutil.which("unshare"):
        pytest.skip("no mounts of our own on this system")
    words = ["unshare", "-m", "sh", "-c", _MOUNTED, "sh", str(snapshot)]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount anything")
    refused = subprocess.run([*words, "touch", str(snapshot / "new")], capture_output=True, text=True, check=False)
    assert refused.returncode != 0, "it is not read-only"
    look([*words, sys.executable, "-m", "facesets"], snapshot)
