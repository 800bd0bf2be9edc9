"""facesets login: a token in a private file, used instead of a key."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.testing import ImmichServer, Library, immich_server
from tests.pipeline.world import CommandLine


@pytest.fixture
def family() -> Library:
    library = Library()
    library.user("anna")
    library.user("bob").password = "bob's"
    return library


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def cli(
    request: pytest.FixtureRequest, family: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    with immich_server(family, request.param) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.delenv("IMMICH_API_KEY", raising=False)
        made = CommandLine(tmp_path / "w", capsys)
        made.server = server  # type: ignore[attr-defined]
        made("init")
        yield made


def log_in(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, user: str = "anna", password: str = "password") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    return cli("login", "--user", user, "--email", f"{user}@example.test", "--password-stdin").code


def server_of(cli: CommandLine) -> ImmichServer:
    server = cli.server  # type: ignore[attr-defined]
    assert isinstance(server, ImmichServer)
    return server


def test_a_login_needs_no_key_and_is_kept_privately(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("stage", "--user", "anna").code == 2  # no key
    assert log_in(cli, monkeypatch) == 0
    path = cli.workspace / "sessions.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "password" not in path.read_text().replace("a password.", "")
    answer = cli("-vv", "stage", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    token = path.read_text().split('"')[1]
    assert token not in answer.out + answer.err
    assert [p for p in cli.workspace.rglob("*") if p.is_file() and p != path and token.encode() in p.read_bytes()] == []
    assert server_of(cli).count("POST /api/sync/stream") == 1
    path.chmod(0o644)
    assert cli("stage", "--user", "anna").code == 2


def test_a_wrong_password_is_said_and_nothing_kept(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_in(cli, monkeypatch, password="guess") == 2
    assert not (cli.workspace / "sessions.toml").exists()


def test_somebody_elses_login_is_refused_and_ended(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_in(cli, monkeypatch) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("bob's\n"))
    answer = cli("login", "--user", "anna", "--email", "bob@example.test", "--password-stdin")
    assert answer.code == 2
    assert "bob" in answer.err
    assert server_of(cli).count("POST /api/auth/logout") == 1
    assert cli("stage", "--user", "anna").code == 0


def test_logging_out_ends_the_session(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(cli, monkeypatch)
    assert cli("login", "--user", "anna", "--logout", "--json").json["ended"]
    assert server_of(cli).count("POST /api/auth/logout") == 1
    assert cli("stage", "--user", "anna").code == 2
    assert cli("login", "--user", "anna", "--logout").code == 2


def test_a_login_that_has_ended_gives_way_to_the_key(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(cli, monkeypatch)
    path = cli.workspace / "sessions.toml"
    path.write_text(path.read_text().replace('anna = "', 'anna = "x'))
    answer = cli("stage", "--user", "anna")
    assert answer.code == 2
    assert "has ended" in answer.err
    monkeypatch.setenv("IMMICH_API_KEY", server_of(cli).key_for("anna"))
    assert cli("stage", "--user", "anna").code == 0


def test_without_a_terminal_nothing_is_asked_for(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("password\n"))
    for words in (["--email", "anna@example.test"], ["--password-stdin"], []):
        answer = cli("login", "--user", "anna", *words)
        assert answer.code == 2
        assert "no terminal to ask at" in answer.line
    assert server_of(cli).count("POST /api/auth/login") == 0
