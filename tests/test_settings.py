from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from facesets.errors import SettingsError
from facesets.identity.gates import Gates
from facesets.settings import SECTIONS, ImmichDumpSettings, Settings, documented, import_users, labels, load, takes, template


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
        ("x = " + "[" * 100_000, None, None, "not TOML"),
        ('[imich]\nurl = ""\n', 1, "[imich]", "unknown section"),
        ("\n[stage]\nworkers = 4\nworker = 8\n", 4, "[stage] worker", "unknown key"),
        ('[stage]\nworkers = "8"\n', 2, "[stage] workers", "must be a whole number"),
        ("[cluster]\nclassic = 1\n", 2, "[cluster] classic", "must be true or false"),
        ("[stage]\nworkers = -3\n", 2, "[stage] workers", "from 1 to 64, not -3"),
        ('[stage]\nexclude = "**/x"\n', 2, "[stage] exclude", "must be a list of texts"),
        ('[users]\n"../etc" = "id"\n', 2, "[users] ../etc", "a label is"),
        ("[users]\nanna = 5\n", 2, "[users] anna", "must be the user's id"),
        ("[stage]\nworkers = 0\n", 2, "[stage] workers", "from 1 to 64, not 0"),
        ("[stage]\npage_size = 1001\n", 2, "[stage] page_size", "from 1 to 1,000, not 1001"),
        ("[stage]\nworkers = true\n", 2, "[stage] workers", "must be a whole number from 1 to 64, not true"),
        ("[embed]\nworkers = -1\n", 2, "[embed] workers", "from 0 to 256, not -1"),
        ("[immich]\ntimeout = 0\n", 2, "[immich] timeout", "above 0 and up to 3,600, not 0"),
        ("[immich]\ntimeout = inf\n", 2, "[immich] timeout", "not inf"),
        ("[immich]\nbandwidth = nan\n", 2, "[immich] bandwidth", "not nan"),
        ("[gates]\nmin_det_score = nan\n", 2, "[gates] min_det_score", "a number from 0 to 1, not nan"),
        ("[export]\nsize = -64\n", 2, "[export] size", "from 32 to 4,096, not -64"),
        ("[export]\nmargin = inf\n", 2, "[export] margin", "not inf"),
        ("[cluster]\nmatch = -1.0\n", 2, "[cluster] match", 'a number from 0 to 2 or "pack", not -1.0'),
        ('[cluster]\nmatch = "auto"\n', 2, "[cluster] match", 'or "pack", not "auto"'),
        ("stage.workers = 0\n", 1, "[stage] workers", "not 0"),
        ("[paths]\nmap = { a = 1 }\n", 2, "[paths] map", "must be a table of texts"),
        ("[stage]\nwrokers = 4\n", 2, "[stage] wrokers", "did you mean workers"),
        ("[exprot]\nsize = 4\n", 1, "[exprot]", "did you mean export"),
        ("[worker]\nzzz = 4\n", 2, "[worker] zzz", "there are: command"),
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
    with pytest.raises(SettingsError, match="is not UTF-8"):
        load(tmp_path / "f.toml", {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml", {})


def test_the_gates_defaults_are_those_of_the_identity_room() -> None:
    assert Gates(**asdict(Settings().gates)) == Gates()


def test_users_come_from_a_json_file(tmp_path: Path) -> None:
    assert import_users(write(tmp_path / "users.json", '{"anna": "id-1"}')) == {"anna": "id-1"}
    for text in ("[]", '{"anna": 1}', '{"A B": "x"}', "{"):
        with pytest.raises(SettingsError):
            import_users(write(tmp_path / "users.json", text))


def test_a_section_of_sources_is_read_by_its_whole_name(tmp_path: Path) -> None:
    path = write(tmp_path / "f.toml", '[immich]\narchived = true\n\n[sources.immich_db]\nurl = "postgresql://reader@db/immich"\n')
    assert load(path, {}).immich_db.url == "postgresql://reader@db/immich"
    assert load(path, {"IMMICH_DB_URL": "postgresql://other@db/immich"}).immich_db.url == "postgresql://other@db/immich"
    dump = write(tmp_path / "h.toml", '[sources.immich_dump]\nfile = "/backups"\naccept_old = true\n')
    assert load(dump, {}).immich_dump == ImmichDumpSettings("/backups", accept_old=True)
    assert load(dump, {"IMMICH_DUMP": "server"}).immich_dump == ImmichDumpSettings("server", accept_old=True)
    with pytest.raises(SettingsError, match=r"line 2, \[sources.immich_db\] uri: unknown key"):
        load(write(tmp_path / "g.toml", '[sources.immich_db]\nuri = "x"\n'), {})
    with pytest.raises(SettingsError, match=r"\[sources.photoprism\]: unknown section"):
        load(write(tmp_path / "h.toml", "[sources.photoprism]\n"), {})
    with pytest.raises(SettingsError, match="sources"):
        load(write(tmp_path / "i.toml", "sources = 1\n"), {})


def test_home_and_variables_are_filled_in_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELS", str(tmp_path / "models"))
    text = """
        [paths]
        facesets = "~/sets"
        map = { "$HOME/photos/" = "~:/x" }
        [caches]
        read = ["${HOME}/old.npz", "plain.npz"]
        [immich]
        ca_file = "~/ca.pem"
        [embed]
        pack = "$MODELS/edge"
    """
    settings = load(write(tmp_path / "f.toml", text), {})
    home = str(tmp_path / "home")
    assert settings.paths.facesets == f"{home}/sets"
    assert settings.paths.map == {f"{home}/photos/": "~:/x"}, "the other machine's path is its own"
    assert settings.caches.read == (f"{home}/old.npz", "plain.npz")
    assert settings.immich.ca_file == f"{home}/ca.pem"
    assert settings.embed.pack == str(tmp_path / "models" / "edge")


def test_a_home_that_nobody_knows_is_refused_and_no_folder_named_tilde_is_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "f.toml", '[paths]\nfacesets = "~no-such-user-here/sets"\n')
    with pytest.raises(SettingsError, match=r"line 2, \[paths\] facesets: .*home folder"):
        load(path, {})


@pytest.mark.parametrize("value", ["$NO_SUCH_VARIABLE/sets", "${NO_SUCH_VARIABLE}/sets"])
def test_a_variable_that_is_not_set_is_refused_and_no_folder_of_its_name_is_meant(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2, \[paths\] facesets: .*NO_SUCH_VARIABLE\}? is not set"):
        load(write(tmp_path / "f.toml", f'[paths]\nfacesets = "{value}"\n'), {})
    shares = load(write(tmp_path / "g.toml", "[paths]\nfacesets = 'S:/c$/photos$'\n"), {})
    assert shares.paths.facesets == "S:/c$/photos$"


def test_a_path_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2, \[paths\] facesets: a path holds no zero byte"):
        load(write(tmp_path / "f.toml", '[paths]\nfacesets = "a\\u0000b"\n'), {})


def test_settings_that_an_editor_of_windows_saved_are_read_or_said(tmp_path: Path) -> None:
    text = "[stage]\nmin_face_short = 77  # für\n"
    (tmp_path / "f.toml").write_bytes(text.encode("utf-8-sig"))
    assert load(tmp_path / "f.toml", {}).stage.min_face_short == 77
    (tmp_path / "g.toml").write_bytes(text.encode("cp1252"))
    with pytest.raises(SettingsError, match="line 2: byte 0xfc is not UTF-8: save the file in your editor as UTF-8"):
        load(tmp_path / "g.toml", {})
    (tmp_path / "h.toml").write_bytes(text.encode("utf-16"))
    with pytest.raises(SettingsError, match="line 1: byte 0xff is not UTF-8"):
        load(tmp_path / "h.toml", {})


@pytest.mark.parametrize("address", ["postgresql://u:pa@ss@db/immich", "host=db password=pass word"])
def test_a_malformed_database_address_is_refused_without_a_word_of_it(tmp_path: Path, address: str) -> None:
    path = write(tmp_path / "f.toml", f'[sources.immich_db]\nurl = "{address}"\n')
    with pytest.raises(SettingsError, match=r"line 2, \[sources.immich_db\] url") as caught:
        load(path, {})
    with pytest.raises(SettingsError, match="IMMICH_DB_URL") as by_environment:
        load(write(tmp_path / "g.toml", ""), {"IMMICH_DB_URL": address})
    for err in (caught.value, by_environment.value):
        assert not {"pa@", "ss@", "pass", "word"} & set(str(err).replace("password", "").split())
        assert "pa@ss" not in str(err)


def test_a_database_password_is_in_no_repr_and_no_refusal(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "f.toml", ""), {"IMMICH_DB_URL": "postgresql://u:topsecret@db/immich"})
    assert settings.immich_db.url == "postgresql://u:topsecret@db/immich"
    assert "topsecret" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path / "g.toml", '[sources.immich_db]\nurl = ["topsecret"]\n'), {})
    assert "topsecret" not in str(caught.value)


def test_every_setting_says_what_it_takes() -> None:
    said = {(section, key): takes(section, key) for section in SECTIONS for key, _, _ in documented(section)}
    assert said["stage", "workers"] == "a whole number from 1 to 64"
    assert said["cluster", "match"] == 'a number from 0 to 2 or "pack"'
    numbers = [text for text in said.values() if "number" in text]
    assert len(numbers) >= 20
    assert all(" to " in text for text in numbers), "no number without a range"


def test_everybody_with_an_entry_a_key_or_a_variable_is_known(tmp_path: Path) -> None:
    write(tmp_path / "api-keys.toml", 'bert = "k-bert"\ndefault = "k-all"\n')
    environ = {"IMMICH_API_KEY_ANNA_LEE": "k-anna", "IMMICH_API_KEY_CARL": "k-carl"}
    assert labels(Settings(users={"anna-lee": "id"}), tmp_path, environ) == {"anna-lee", "bert", "carl"}
