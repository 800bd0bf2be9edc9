from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

from facesets import files, secrets
from facesets.errors import SettingsError, UsageError
from facesets.secrets import ScrubbingFormatter, api_key, database_problem, keep_session, scrub, session_token

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def no_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share on which every file is everybody's and chmod does nothing, which a test cannot mount: new files come out as 0777."""
    real: Any = tempfile.NamedTemporaryFile

    def everybodys(*args: Any, **kwargs: Any) -> IO[bytes]:
        made: IO[bytes] = real(*args, **kwargs)
        os.fchmod(made.fileno(), 0o777)
        return made

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", everybodys)


def test_a_users_own_key_wins_over_the_file_and_the_file_over_the_general_one(tmp_path: Path) -> None:
    everything = {"IMMICH_API_KEY": "general", "IMMICH_API_KEY_ANNA_LEE": "own"}
    write(tmp_path / "api-keys.toml", 'anna-lee = "filed"\n')
    assert api_key("anna-lee", tmp_path, everything) == "own"
    assert api_key("anna-lee", tmp_path, {"IMMICH_API_KEY": "general"}) == "filed"
    assert api_key("bert", tmp_path, {"IMMICH_API_KEY": "general"}) == "general"
    with pytest.raises(UsageError, match="IMMICH_API_KEY_BERT"):
        api_key("bert", tmp_path, {})


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "api-keys.toml", 'anna = "k"\n', 0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        api_key("anna", tmp_path, {})


def test_a_broken_key_file_never_shows_its_keys(tmp_path: Path) -> None:
    write(tmp_path / "api-keys.toml", "anna = topsecret\n")
    with pytest.raises(SettingsError) as caught:
        api_key("anna", tmp_path, {})
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@posix
@pytest.mark.usefixtures("no_modes")
def test_a_share_without_permissions_is_said_with_what_works_instead_and_not_chmod(tmp_path: Path) -> None:
    path = write(tmp_path / "api-keys.toml", 'anna = "k-anna"\n', 0o777)
    with pytest.raises(SettingsError, match="keeps no permissions") as caught:
        api_key("anna", tmp_path, {})
    assert "IMMICH_API_KEY_ANNA" in str(caught.value)
    assert "chmod 600" not in str(caught.value)
    assert api_key("anna", tmp_path, {"IMMICH_API_KEY_ANNA": "from-the-environment"}) == "from-the-environment"
    path.unlink()
    with pytest.raises(SettingsError, match="the login is not kept"):
        keep_session("anna", "a-token", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sessions_are_kept_and_taken_out_again_privately(tmp_path: Path) -> None:
    assert session_token("anna", tmp_path) is None
    path = keep_session("anna", "token-anna", tmp_path)
    keep_session("bert", "token-bert", tmp_path)
    assert files.is_private(path)
    keep_session("anna", None, tmp_path)
    assert (session_token("anna", tmp_path), session_token("bert", tmp_path)) == (None, "token-bert")


def test_what_was_read_as_a_secret_is_scrubbed_from_then_on(tmp_path: Path) -> None:
    write(tmp_path / "api-keys.toml", 'anna = "filed-key-of-anna"\n')
    assert "filed-key-of-anna" in scrub("no one has read filed-key-of-anna yet", {})
    api_key("anna", tmp_path, {})
    assert scrub("401 for filed-key-of-anna", {}) == "401 for ***"
    assert scrub("x-api-key: from-env", {"IMMICH_API_KEY_BERT": "from-env"}) == "x-api-key: ***"
    assert scrub("proxy http://me:pass/word@proxy:3128/ refused", {}) == "proxy http://me:***@proxy:3128/ refused"
    assert scrub("host=db password='se cret' user=me", {}) == "host=db password=*** user=me"
    assert scrub("http://server:2283/api", {}) == "http://server:2283/api"


def test_a_log_line_and_its_traceback_are_scrubbed() -> None:
    secrets.remember("key-in-a-traceback")
    try:
        int("key-in-a-traceback")
    except ValueError as err:
        record = logging.LogRecord("facesets", 10, "", 1, "sent %s", ("key-in-a-traceback",), (type(err), err, err.__traceback__))
    text = ScrubbingFormatter().format(record)
    assert "key-in-a-traceback" not in text
    assert text.count("***") == 3  # the message, the line of source, and the error


@pytest.mark.parametrize(
    "url",
    [
        "", "postgresql://reader@localhost/immich", "postgres://u:p%40ss@db:5432/immich?sslmode=require", "postgresql:///immich",
        "postgresql://u@[::1]:5432/immich", "postgresql://a:1,b:2/x", "postgresql://%2Fvar%2Frun/immich", "host=db user=me dbname=x",
        "host=db password='with blank' dbname=x",
    ],
)  # fmt: skip
def test_addresses_that_the_driver_takes_are_taken(url: str) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    conninfo.conninfo_to_dict(url)
    assert database_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hun@ter2@db/immich", "postgresql://u:hun/ter2@db/immich", "postgresql://u:hun:ter2@db/immich",
        "postgresql://u:hun#ter2@db/immich", "postgresql://u:hun?ter2@db/immich", "postgresql://u:hun%ter2@db/immich",
        "postgresql://u@db:hunter2/immich", "hunter2", "host=db password=hun ter2", "mysql://u:hunter2@db/x",
    ],
)  # fmt: skip
def test_a_malformed_database_address_is_told_without_a_part_of_it(url: str) -> None:
    problem = database_problem(url)
    assert problem
    assert "hun" not in problem
    assert "ter2" not in problem
