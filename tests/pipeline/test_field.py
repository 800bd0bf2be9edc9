"""Situations that people reported, met by the command line as a whole."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Fault, Faults, ImmichServer, Library, immich_server
from facesets.testing import faults as fault
from facesets.testing.immich.transport import Request, Response

from ..decoders import lend
from .world import CommandLine, add_photos, boxes, configure, jpeg, tree

ORIGINAL = "GET /api/assets/{id}/original"
embedding, folder_source = import_module("facesets.faces.embed"), import_module("facesets.sources.folder")  # doors lead to functions
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people in seven photos each."""
    root = tmp_path / "pictures"
    root.mkdir()
    for person in (1, 2):
        for n in range(7):
            (root / f"{person}_{n}.jpg").write_bytes(jpeg([person], 1000 * person + n))
    return root


@pytest.fixture
def box(
    tmp_path: Path, pack: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """A workspace for a folder: no Immich is known."""
    lend(decoders, monkeypatch)
    monkeypatch.delenv("IMMICH_URL", raising=False)
    cli = CommandLine(tmp_path / "box", capsys)
    assert cli("init").code == 0
    configure(cli.workspace, pack)
    return cli


def reasons(cli: CommandLine) -> dict[str, str]:
    return {row["path"]: row["reason"] for row in cli("list", "assets", "--json").json}


def sets_of(cli: CommandLine) -> set[str]:
    return {path.split("/")[0] for path in tree(cli.workspace / "facesets")} - {"manifest.json"}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
def test_one_unreadable_file_holds_up_no_set_and_is_told_in_words_of_a_folder(box: CommandLine, folder: Path) -> None:
    (folder / "closed.jpg").write_bytes(jpeg([1], 77))
    (folder / "closed.jpg").chmod(0)
    command = [*AS_ANYBODY, sys.executable, "-m", "facesets", "-C", str(box.workspace), "run", "--user", "box", "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert sets_of(box) == {"faceset_001", "faceset_002"}
    (row,) = box("list", "assets", "--reason", "no_access", "--json").json
    assert (row["path"], row["detail"]) == ("closed.jpg", "cannot be read: permission denied")
    (folder / "closed.jpg").chmod(0o600)
    assert box("run", "--user", "box", "--folder", folder).code == 0
    assert reasons(box)["closed.jpg"] == "embedded"


@pytest.mark.parametrize(("room", "name", "error"), [(folder_source, "digest_file", errno.EIO), (embedding, "read", errno.EACCES)])
def test_a_disk_that_fails_under_a_photo_in_mid_run_costs_that_photo_alone(
    room: ModuleType, name: str, error: int, box: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "failing.jpg").write_bytes(jpeg([1], 77))
    real = getattr(room, name)

    def failing(path: Path) -> object:
        if path.name == "failing.jpg":
            raise OSError(error, os.strerror(error), str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(room, name, failing)
        answer = box("run", "--user", "box", "--folder", folder)
    assert answer.code == 0, answer.err
    assert sets_of(box) == {"faceset_001", "faceset_002"}
    (row,) = box("list", "assets", "--reason", "no_access", "--json").json
    assert (row["path"], row["detail"]) == ("failing.jpg", f"cannot be read: {os.strerror(error).lower()}")
    assert box("run", "--user", "box", "--folder", folder).code == 0
    assert reasons(box)["failing.jpg"] == "embedded"


def test_a_disk_that_fails_while_a_set_is_written_is_said_and_the_next_run_goes_on(
    box: CommandLine, folder: Path, tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = CommandLine(tmp_path / "calm", capsys)
    assert calm("init").code == 0
    configure(calm.workspace, pack)
    assert calm("run", "--user", "box", "--folder", folder).code == 0
    fsync, left = os.fsync, itertools.count(12, -1)

    def failing(handle: int) -> None:
        if next(left) < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("facesets.files.os.fsync", failing)
        answer = box("run", "--user", "box", "--folder", folder)
    assert answer.code == 1
    assert "input/output error. Check it, then run the same command again" in answer.line
    assert box("run", "--user", "box", "--folder", folder).code == 0
    assert tree(box.workspace / "facesets") == tree(calm.workspace / "facesets")


def test_a_file_that_grows_while_it_is_looked_at_waits_for_the_next_run(
    box: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embedding.read

    def growing(path: Path) -> object:
        if path.name == "1_0.jpg":
            with path.open("ab") as file:
                file.write(b"more")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "read", growing)
        assert box("run", "--user", "box", "--folder", folder).code == 3
    assert box("run", "--user", "box", "--folder", folder).code == 0
    assert sets_of(box) == {"faceset_001", "faceset_002"}


def test_logs_that_their_owner_cleared_away_are_begun_anew(box: CommandLine, folder: Path) -> None:
    shutil.rmtree(box.workspace / "logs")
    assert box("stage", "--user", "box", "--folder", folder).code == 0
    assert [path.name for path in (box.workspace / "logs").iterdir()] == ["run-00001.log"]


def test_an_empty_folder_that_had_photos_is_refused_and_nothing_taken_for_deleted(box: CommandLine, folder: Path) -> None:
    assert box("run", "--user", "box", "--folder", folder).code == 0
    before, sets = reasons(box), tree(box.workspace / "facesets")
    for path in folder.iterdir():
        path.unlink()
    (folder / ".nomedia").touch()
    answer = box("run", "--user", "box", "--folder", folder)
    assert answer.code == 4
    assert "14 files that were listed before are missing: is its disk mounted?" in answer.line
    assert {path: reason for path, reason in reasons(box).items() if path != ".nomedia"} == before
    assert box("run", "--user", "box", "--folder", folder, "--accept-missing").code == 0
    assert tree(box.workspace / "facesets") == sets


def test_sets_below_the_photo_folder_and_the_workspace_itself_are_never_photos(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMMICH_URL", raising=False)
    cli = CommandLine(tmp_path / "w", capsys)
    assert cli("init").code == 0
    configure(cli.workspace, pack)
    cli.set(f'facesets = "{folder / "sets"}"')
    for _ in range(2):
        assert cli("run", "--user", "box", "--folder", folder).code == 0
    assert len(reasons(cli)) == 14
    own = CommandLine(tmp_path / "own", capsys)
    assert own("init").code == 0
    configure(own.workspace, pack)
    for path in folder.glob("*.jpg"):
        path.rename(own.workspace / path.name)
    monkeypatch.chdir(own.workspace)
    for _ in range(2):
        assert own("run", "--user", "box", "--folder", ".").code == 0
        photos = [path for path, reason in reasons(own).items() if reason != "not_image"]
        assert sorted(photos) == sorted(f"{person}_{n}.jpg" for person in (1, 2) for n in range(7))
    assert own("run", "--user", "box", "--folder", own.workspace / "facesets").code == 2


@pytest.mark.parametrize("version", ["2.7.2", "3.1.0", "3.2.2"])
def test_an_asset_dated_beyond_the_year_9999_is_listed(
    version: str, library: Library, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a real server has it: the month is "20221-01-01", and Postgres fails on what is no date."""

    def text(old: bytes, new: bytes) -> Fault:
        return Fault("text", change=lambda response, _: replace(response, body=response.body.replace(old, new)))

    def bucket(request: Request) -> Response | None:
        if not re.fullmatch(r"\d{4,5}-\d\d-\d\d", request.query.get("timeBucket", "")):
            return Response(500, {"Content-Type": "application/json"}, b'{"message":"Internal server error","statusCode":500}')
        if request.query["timeBucket"] == "20221-01-01":
            request.query["timeBucket"] = "2019-12-01"
        return None

    library.photo(next(iter(library.users.values())), jpeg([1], 4711), taken_at="2019-12-14T15:30:00Z", faces=boxes([1]))
    trouble = Faults()
    for route in ("POST /api/search/metadata", "GET /api/assets/{id}"):
        trouble.add(text(b"2019-12-14T", b"+020221-12-14T"), route)
    trouble.add(text(b'"2019-12-01"', b'"20221-01-01"'), "GET /api/timeline/buckets")
    trouble.add(Fault("postgres", answer=bucket), "GET /api/timeline/bucket")
    with immich_server(library, version, faults=trouble) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        for _ in range(2):
            answer = cli("stage", "--user", "anna", "--json")
            assert answer.code == 0, answer.err
            counted = answer.json["steps"]["stage"]["anna"]["reconciliation"]
            assert (counted["agrees"], counted["own"]) == (True, len(library.assets))
        assert "staged" in {row["reason"] for row in cli("list", "assets", "--json").json}


def challenge(_: object) -> Response:
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
    return Response(403, {"Content-Type": "text/html; charset=UTF-8", "Server": "cloudflare"}, page)


def test_originals_that_an_access_check_holds_back_are_a_problem_and_not_an_all_clear(
    server: ImmichServer, faults: Faults, cli: CommandLine
) -> None:
    faults.add(Fault("page", answer=challenge), ORIGINAL)
    answer = cli("doctor", "--user", "anna")
    assert answer.code == 1
    assert "no original can be had" in answer.out
    assert "Just a moment..." in answer.out
    cli.set("attempts = 1")
    answer = cli("stage", "--user", "anna")
    assert answer.code == 3
    assert "could not be fetched or looked through yet" in answer.err or "stopped answering" in answer.err


def test_an_access_check_before_immich_is_named_with_what_to_do(server: ImmichServer, faults: Faults, cli: CommandLine) -> None:
    faults.add(Fault("page", answer=challenge))
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    for part in ("Just a moment...", "cloudflare", "403", "/api"):
        assert part in answer.line


def test_a_server_that_goes_away_in_mid_run_is_exit_code_3(server: ImmichServer, faults: Faults, cli: CommandLine) -> None:
    cli.set("attempts = 1")
    faults.add(fault.dropped(), "POST /api/search/metadata")
    answer = cli("run", "--user", "anna")
    assert answer.code == 3
    assert "run the same command again" in answer.line


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_server_that_is_gone_when_the_next_user_is_asked_is_exit_code_3(
    asked: int, server: ImmichServer, library: Library, faults: Faults, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = library.user("bert")
    monkeypatch.setenv("IMMICH_API_KEY_BERT", server.key_for(bert))
    cli.set("attempts = 1")
    versions = itertools.count()

    def gone(_: Request) -> None:
        if next(versions) == asked:
            faults.add(fault.dropped())

    faults.add(Fault("gone", answer=gone), "GET /api/server/version")
    answer = cli("stage", "--user", "anna", "--user", "bert")
    assert answer.code == 3
    assert answer.line.endswith("What came is kept: run the same command again later")


def test_all_that_a_key_lacks_is_named_at_once(
    server: ImmichServer, library: Library, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = next(iter(library.users.values()))
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, ["asset.read", "user.read"]).secret)
    answer = cli("run", "--user", "anna")
    assert answer.code == 2
    assert "lacks the permissions asset.download, face.read" in answer.line


def test_each_request_is_shown_where_it_is_asked_for_and_no_key_with_it(server: ImmichServer, cli: CommandLine) -> None:
    answer = cli("-vv", "stage", "--user", "anna")
    assert len(re.findall(r"(GET|POST) http://\S+: \d{3} in \d+ ms", answer.err)) >= sum(server.requests.values())
    assert server.key_for("anna") not in answer.err


def test_with_several_users_every_request_counts(
    server: ImmichServer, library: Library, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = library.user("bert")
    add_photos(library, bert, [3], 2, first=40)
    monkeypatch.setenv("IMMICH_API_KEY_BERT", server.key_for(bert))
    answer = cli("stage", "--user", "anna", "--user", "bert", "--json")
    assert answer.json["requests"] == sum(server.requests.values())
