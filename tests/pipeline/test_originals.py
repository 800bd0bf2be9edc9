"""Embedding while downloading, and doing without originals: the sets are those that any other way makes, to the byte."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facesets.errors import FacesetsError
from facesets.faces import concurrent, crop_store
from facesets.faces.job import embedding
from facesets.files import replace_file
from facesets.testing import Faults, Library
from facesets.testing import faults as fault

from .world import CommandLine, add_photos, jpeg, tree

ORIGINAL = "GET /api/assets/{id}/original"
_WITH_ORIGINALS: dict[str, str] = {}  # the library is the same in each test


@pytest.fixture
def with_originals(cli: CommandLine, tmp_path: Path) -> dict[str, str]:
    """The sets that are made step by step, with all originals at hand."""
    if not _WITH_ORIGINALS:
        whole = CommandLine(tmp_path / "whole", cli.capsys)
        whole("init")
        (whole.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
        for step in ("stage", "embed", "cluster", "write"):
            assert whole(step, *(() if step == "write" else ("--user", "anna"))).code == 0
        _WITH_ORIGINALS.update(tree(whole.workspace / "facesets"))
    return _WITH_ORIGINALS


def originals(cli: CommandLine) -> list[Path]:
    return [path for path in (cli.workspace / "photos").rglob("*") if path.is_file()]


def counted(registry: Path, sql: str) -> int:
    with sqlite3.connect(f"file:{registry}?mode=ro", uri=True) as db:
        return int(db.execute(sql).fetchone()[0])


def test_photos_are_embedded_while_others_are_still_on_their_way(
    cli: CommandLine, faults: Faults, with_originals: dict[str, str]
) -> None:
    faults.add(fault.slow(0.3), ORIGINAL)
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# workers = 8", "workers = 2"))
    running = subprocess.Popen([sys.executable, "-m", "facesets", "-C", str(cli.workspace), "run", "--user", "anna"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    registry, embedded, waiting = cli.workspace / "registry.sqlite", 0, 0
    while running.poll() is None and not embedded:
        try:
            embedded = counted(registry, "SELECT count(*) FROM embedded")
            waiting = counted(registry, "SELECT count(*) FROM assets WHERE reason = 'listed'")
        except sqlite3.OperationalError:
            pass  # the schema is being made
        time.sleep(0.005)
    assert embedded
    assert waiting
    assert running.wait() == 0
    assert tree(cli.workspace / "facesets") == with_originals


def test_without_originals_the_sets_are_the_same_to_the_byte(
    cli: CommandLine, library: Library, with_originals: dict[str, str]
) -> None:
    cli.set("keep_originals = false")
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert originals(cli) == []
    assert tree(cli.workspace / "facesets") == with_originals
    assert (answer.json["downloads"], answer.json["embedded"]) == (24, 24)
    assert cli("verify").code == 0

    again = cli("run", "--user", "anna", "--json").json
    assert (again["downloads"], again["embedded"], again["sets_new"]) == (0, 0, [])
    add_photos(library, next(iter(library.users.values())), [9], 6, first=40)  # a stranger so far, seen once before
    later = cli("run", "--user", "anna", "--json").json
    assert (later["downloads"], later["sets_new"]) == (6, ["faceset_004"])
    assert len(list((cli.workspace / "facesets" / "faceset_004" / "faces").iterdir())) == 7
    assert originals(cli) == []


@pytest.mark.parametrize("embedded", [1, 12])
def test_killed_without_originals_it_ends_as_if_undisturbed(
    cli: CommandLine, faults: Faults, with_originals: dict[str, str], embedded: int
) -> None:
    cli.set("keep_originals = false")
    faults.add(fault.slow(0.1), ORIGINAL)
    running = subprocess.Popen([sys.executable, "-m", "facesets", "-C", str(cli.workspace), "run", "--user", "anna"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while running.poll() is None:
        try:
            if counted(cli.workspace / "registry.sqlite", "SELECT count(*) FROM embedded") >= embedded:
                break
        except sqlite3.OperationalError:
            pass
        time.sleep(0.002)
    assert running.poll() is None, "it was through before it could be killed"
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert tree(cli.workspace / "facesets") == with_originals
    assert originals(cli) == []


def test_originals_that_are_here_already_go_once_their_crops_are_cut(cli: CommandLine, with_originals: dict[str, str]) -> None:
    for step in ("stage", "embed"):
        cli(step, "--user", "anna")
    assert len(originals(cli)) == 24
    cli.set("keep_originals = false")
    assert cli("run", "--user", "anna").code == 0
    assert originals(cli) == []
    assert tree(cli.workspace / "facesets") == with_originals


def test_crops_of_another_size_fetch_the_photos_again(cli: CommandLine, library: Library) -> None:
    cli.set("keep_originals = false")
    cli("run", "--user", "anna")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(re.sub(r"^(# )?size = .*$", "size = 40", settings.read_text(), flags=re.MULTILINE))
    add_photos(library, next(iter(library.users.values())), [9], 6, first=40)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["downloads"] == 6 + 1  # one of the ninth person was here before
    assert answer.json["sets_new"] == ["faceset_004"]
    again = cli("run", "--user", "anna", "--json")
    assert (again.code, again.json["downloads"], again.json["sets_new"]) == (0, 0, [])
    assert cli("verify").code == 0
    assert again.json["listed"] == sum(again.json["assets_by_state"].values())
    assert "pending" not in again.json["assets_by_state"]


def test_a_folders_own_photos_are_never_removed(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}.jpg").write_bytes(jpeg([1], n))
    before = tree(folder)
    cli.set("keep_originals = false")
    assert cli("run", "--user", "folder", "--folder", folder, "--json").json["sets_new"] == ["faceset_001"]
    assert tree(folder) == before


def test_downloads_wait_while_many_originals_lie_here_unembedded(
    cli: CommandLine, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.add(fault.slow(0.05), ORIGINAL)
    cli.set("keep_originals = false")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# workers = 8", "workers = 1"))
    monkeypatch.setattr(concurrent, "_MOST", 2)
    monkeypatch.setattr(concurrent, "_ROUND", 2)
    real, most = embedding, [0]

    def slow(*args: Any) -> Iterator[Any]:
        for result in real(*args):
            most[0] = max(most[0], len(originals(cli)))
            time.sleep(0.15)
            yield result

    monkeypatch.setattr(concurrent, "embedding", slow)
    assert cli("run", "--user", "anna").code == 0
    assert 2 < most[0] < 16  # two may wait, two are at work, and a window of eight downloads is under way


def test_what_ends_the_embedding_ends_the_run_and_nothing_is_lost(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, with_originals: dict[str, str]
) -> None:
    cli.set("keep_originals = false")
    real, calls = replace_file, [0]

    def full_disk(path: Path, data: bytes) -> None:
        calls[0] += 1
        if calls[0] >= 5:  # and it stays full: photos at hand when the listing ends are the embed step's, which meets it too
            raise OSError(28, "No space left on device")
        real(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(crop_store, "replace_file", full_disk)
        answer = cli("run", "--user", "anna")
    assert answer.code == FacesetsError.exit_code
    assert "the disk is full. Free some space" in answer.err
    assert cli("run", "--user", "anna").code == 0
    assert tree(cli.workspace / "facesets") == with_originals
