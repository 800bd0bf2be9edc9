"""Bad input ends in one clear line and the documented exit code, and loses nothing."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.registry import backups
from facesets.testing import ImmichServer, Library, immich_server
from tests.pipeline.world import CommandLine, add_photos, tree


@pytest.fixture
def library() -> Library:
    library = Library()
    add_photos(library, library.user("anna"), [1], 2)
    add_photos(library, library.user("bert"), [2], 2)
    return library


@pytest.fixture
def server(library: Library) -> Iterator[ImmichServer]:
    with immich_server(library) as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path, server: ImmichServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("IMMICH_URL", server.url)
    monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
    cli = CommandLine(tmp_path / "w", capsys)
    assert cli("init").code == 0
    return cli


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("facesets: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def test_a_url_where_nobody_answers(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("IMMICH_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    cli.set("attempts = 1")
    answer = cli("stage", "--user", "anna")
    assert answer.code == 1
    assert "127.0.0.1" in one_line(answer.err)


def test_no_url_at_all(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_URL")
    (cli.workspace / "facesets.toml").write_text("")
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    assert "IMMICH_URL" in one_line(answer.err)


def test_a_wrong_key(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", "nonsense-key")
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    assert "key" in one_line(answer.err)
    assert "nonsense-key" not in answer.err


def test_a_key_without_a_permission_names_it(cli: CommandLine, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = next(iter(library.users.values()))
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, permissions=["user.read", "asset.read", "face.read"]).secret)
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    assert "asset.download" in one_line(answer.err)


def test_somebody_elses_key_names_both_and_says_what_to_do(
    cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("stage", "--user", "anna").code == 0
    monkeypatch.setenv("IMMICH_API_KEY", server.key_for("bert"))
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    anna, bert = library.users.values()
    told = one_line(answer.err)
    assert anna.id in told
    assert bert.id in told
    assert "IMMICH_API_KEY_ANNA" in told


def test_a_label_is_bound_at_first_use_and_this_is_said(cli: CommandLine, library: Library) -> None:
    answer = cli("stage", "--user", "anna")
    assert next(iter(library.users.values())).id in answer.err
    assert "anna" in answer.err


def test_a_server_that_is_not_immich(cli: CommandLine, server: ImmichServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.server  # noqa: PLC0415 - any other web server will do
    import threading  # noqa: PLC0415

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>nginx</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("IMMICH_URL", f"http://127.0.0.1:{web.server_address[1]}")
        answer = cli("stage", "--user", "anna")
        web.shutdown()
    assert answer.code == 2
    assert "Immich" in one_line(answer.err)


@pytest.mark.parametrize("command", [["status"], ["run", "--user", "a"], ["list", "faces"], ["verify"], ["explain", "x"]])
def test_a_folder_that_is_no_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    answer = CommandLine(tmp_path, capsys)(*command)
    assert answer.code == 2
    assert "facesets init" in one_line(answer.err)
    assert not list(tmp_path.iterdir())


def test_settings_are_told_with_file_line_and_key(cli: CommandLine) -> None:
    (cli.workspace / "facesets.toml").write_text("[stage]\nwrokers = 3\n")
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 2
    for part in ("facesets.toml, line 2", "[stage] wrokers"):
        assert part in one_line(answer.err)
    assert answer.json["exit_code"] == 2


def test_no_user_a_bad_label_and_an_unknown_pack(cli: CommandLine) -> None:
    assert "--user" in one_line(cli("run").err)
    assert cli("run", "--user", "../etc").code == 2
    answer = cli("embed", "--pack", "no-such-pack")
    assert answer.code == 2
    assert "no-such-pack" in one_line(answer.err)


def test_an_unknown_verb_or_option_is_a_usage_error(cli: CommandLine) -> None:
    assert cli("rum").code == 2
    assert cli("run", "--colour").code == 2


def test_two_runs_in_one_workspace_refuse_each_other(cli: CommandLine) -> None:
    from facesets.workspace import Workspace  # noqa: PLC0415 - held here only

    with Workspace.open(cli.workspace).lock():
        answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 5
    assert "in use" in one_line(answer.err)


def test_a_corrupt_manifest_stops_the_run_and_stays_as_it_is(cli: CommandLine) -> None:
    facesets = cli.workspace / "facesets"
    facesets.mkdir()
    (facesets / "manifest.json").write_text('{"facesets": [')
    before = tree(facesets)
    answer = cli("cluster", "--pack", "open")
    assert answer.code == 1
    assert "manifest.json" in one_line(answer.err)
    assert tree(facesets) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_file_of_ours_is_named_and_not_waited_for(cli: CommandLine, tmp_path: Path) -> None:
    (cli.workspace / "facesets").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in one_line(cli("cache", "info", str(tmp_path / "pipe")).err)
    assert "not a regular file" in one_line(cli("cache", "convert", str(tmp_path / "pipe"), str(tmp_path / "out.npz")).err)
    os.mkfifo(cli.workspace / "facesets" / "manifest.json")
    answer = cli("run", "--user", "anna")
    assert answer.code == 1
    assert "manifest.json: cannot be read: It is not a regular file" in one_line(answer.err)
    assert (cli.workspace / "facesets" / "manifest.json").is_fifo()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_report_or_a_log_is_replaced_by_it(cli: CommandLine) -> None:
    page, log = cli.workspace / "reports" / "latest.html", cli.workspace / "logs" / "run-00001.log"
    for path in (page, log):
        os.mkfifo(path)  # nobody is at its other end: opening it as usual would wait for ever
    assert cli("report").code == 0
    assert page.is_file()
    assert cli("write").code == 0
    assert log.is_file()


def test_the_summary_names_the_folder_of_sets_that_the_settings_name(cli: CommandLine, tmp_path: Path) -> None:
    cli.set(f'facesets = "{tmp_path}/mine"')
    answer = cli("stage", "--user", "anna")
    assert f"{tmp_path}/mine ([paths] facesets = " in answer.err  # it is new, and said so
    assert f"Sets:   {tmp_path}/mine\n" in answer.out


def test_a_corrupt_cache_of_another_run_is_named(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "old.npz").write_bytes(b"PK\x03\x04 broken")
    cli.set(f"read = [{json.dumps(str(tmp_path / 'old.npz'))}]")
    answer = cli("stage", "--user", "anna")
    assert answer.code == 1
    assert "old.npz" in one_line(answer.err)


def test_a_damaged_registry_is_told_and_left_as_it_is(cli: CommandLine) -> None:
    path = cli.workspace / "registry.sqlite"
    path.write_bytes(b"junk" * 4000)
    answer = cli("status")
    assert answer.code == 1
    assert "registry.sqlite" in one_line(answer.err)
    assert path.read_bytes() == b"junk" * 4000


@pytest.mark.parametrize("lost", ["is empty", "is gone"])
def test_a_registry_that_is_lost_is_not_begun_anew_where_backups_are(cli: CommandLine, lost: str) -> None:
    assert cli("status").code == 0
    path = cli.workspace / "registry.sqlite"
    before = path.read_bytes()
    backup = backups.make(path)
    path.write_bytes(b"")
    if lost == "is gone":
        path.unlink()
    for verb in (["status"], ["cluster"], ["run", "--user", "anna"], ["list", "sets"], ["accept", "faceset_001"]):
        answer = cli(*verb)
        assert answer.code == 1
        assert lost in one_line(answer.err)
        assert "facesets restore" in answer.err
    assert path.exists() is (lost == "is empty")
    assert not path.exists() or path.read_bytes() == b""
    assert cli("restore", backup.stem.removeprefix("registry-")).code == 0
    assert len(path.read_bytes()) == len(before)
    assert cli("status").code == 0


def test_a_registry_that_never_was_is_made_and_sets_that_are_there_keep_their_numbers(cli: CommandLine) -> None:
    (cli.workspace / "registry.sqlite").unlink()
    faces = cli.workspace / "facesets" / "faceset_007" / "faces"
    faces.mkdir(parents=True)
    (faces / "1.png").write_bytes(b"a face")
    answer = cli("status")
    assert (answer.code, "the first run makes it" in one_line(answer.err)) == (1, True), answer.err
    assert cli("write").code == 0
    assert cli("status").code == 0
    assert (faces / "1.png").read_bytes() == b"a face"


def test_an_unknown_id_says_where_to_look(cli: CommandLine) -> None:
    answer = cli("explain", "faceset_999")
    assert answer.code == 1
    assert "facesets list" in one_line(answer.err)
