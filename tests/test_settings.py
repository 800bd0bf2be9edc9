from __future__ import annotations

import os
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from facesets.errors import SettingsError, UsageError
from facesets.identity import Gates
from facesets.settings import SECTIONS, Settings, api_key, documented, import_users, load, template


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_template_says_every_setting_and_reads_back_as_the_defaults(tmp_path: Path) -> None:
    text = template()
    assert load(write(tmp_path / "facesets.toml", text), {}) == Settings()
    for section in SECTIONS:
        for key, _, sentence in documented(section):
            assert f"# {key} = " in text
            assert sentence in text


def test_uncommenting_every_default_changes_nothing(tmp_path: Path) -> None:
    lines = [line[2:] if " = " in line and line.startswith("# ") else line for line in template().splitlines()]
    meant = [line for line in lines if not line.startswith("#")]
    text = "\n".join(line for line in meant if line.startswith("[") or line.split(" = ")[0].isidentifier())
    assert tomllib.loads(text)
    assert load(write(tmp_path / "facesets.toml", text), {}) == Settings()


def test_url_and_users_stand_in_a_new_template(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "f.toml", template(url="https://photos.example", users={"anna": "id-1"})), {})
    assert settings.immich.url == "https://photos.example"
    assert settings.users == {"anna": "id-1"}


def test_the_environment_names_the_server(tmp_path: Path) -> None:
    path = write(tmp_path / "f.toml", '[immich]\nurl = "https://a"\n')
    assert load(path, {"IMMICH_URL": "https://b"}).immich.url == "https://b"


@pytest.mark.parametrize(
    ("text", "line", "key", "told"),
    [
        ("[immich\n", 1, None, "not TOML"),
        ('[imich]\nurl = ""\n', 1, "[imich]", "unknown section"),
        ("\n[stage]\nworkers = 4\nworker = 8\n", 4, "[stage] worker", "unknown key"),
        ('[stage]\nworkers = "8"\n', 2, "[stage] workers", "must be a whole number"),
        ("[cluster]\nclassic = 1\n", 2, "[cluster] classic", "must be true or false"),
        ("[stage]\nworkers = -3\n", 2, "[stage] workers", "must not be negative"),
        ('[stage]\nexclude = "**/x"\n', 2, "[stage] exclude", "must be a list of texts"),
        ('[users]\n"../etc" = "id"\n', 2, "[users] ../etc", "a label is"),
        ("[users]\nanna = 5\n", 2, "[users] anna", "must be the user's id"),
    ],
)
def test_wrong_settings_are_told_with_file_line_and_key(tmp_path: Path, text: str, line: int, key: str | None, told: str) -> None:
    path = write(tmp_path / "facesets.toml", text)
    with pytest.raises(SettingsError, match=told) as caught:
        load(path, {})
    assert (caught.value.path, caught.value.line, caught.value.key) == (path, line, key)
    assert caught.value.exit_code == 2


def test_settings_that_are_not_text_or_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "f.toml", {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml", {})


def test_the_gates_defaults_are_those_of_the_identity_room() -> None:
    assert Gates(**asdict(Settings().gates)) == Gates()


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


def test_users_come_from_a_json_file(tmp_path: Path) -> None:
    assert import_users(write(tmp_path / "users.json", '{"anna": "id-1"}')) == {"anna": "id-1"}
    for text in ("[]", '{"anna": 1}', '{"A B": "x"}', "{"):
        with pytest.raises(SettingsError):
            import_users(write(tmp_path / "users.json", text))


def test_a_section_of_sources_is_read_by_its_whole_name(tmp_path: Path) -> None:
    path = write(tmp_path / "f.toml", '[immich]\narchived = true\n\n[sources.immich_db]\nurl = "postgresql://reader@db/immich"\n')
    assert load(path, {}).immich_db.url == "postgresql://reader@db/immich"
    assert load(path, {"IMMICH_DB_URL": "postgresql://other@db/immich"}).immich_db.url == "postgresql://other@db/immich"
    with pytest.raises(SettingsError, match=r"line 2, \[sources.immich_db\] uri: unknown key"):
        load(write(tmp_path / "g.toml", '[sources.immich_db]\nuri = "x"\n'), {})
    with pytest.raises(SettingsError, match=r"\[sources.photoprism\]: unknown section"):
        load(write(tmp_path / "h.toml", "[sources.photoprism]\n"), {})
    with pytest.raises(SettingsError, match="sources"):
        load(write(tmp_path / "i.toml", "sources = 1\n"), {})
