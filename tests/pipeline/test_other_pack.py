"""Without originals: photos that an earlier run left here stop no download, and another pack gets its photos again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facesets.faces import concurrent
from facesets.testing import Library
from tests.migrations.worlds import packs

from .test_originals import originals
from .world import CommandLine, add_photos


def test_more_queued_photos_than_may_wait_stop_no_download(cli: CommandLine, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.set("keep_originals = false")
    assert cli("stage", "--user", "anna").code == 0  # all are queued, and none is embedded
    assert len(originals(cli)) == 24
    add_photos(library, next(iter(library.users.values())), [9], 6, first=40)
    monkeypatch.setattr(concurrent, "_MOST", 2)

    def wait(self: concurrent.ConcurrentEmbed) -> None:
        assert self._few.wait(60), "downloads wait for photos that nobody embeds"
        self.check()

    monkeypatch.setattr(concurrent.ConcurrentEmbed, "wait", wait)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["downloads"], answer.json["embedded"]) == (6, 30)
    assert len(answer.json["sets_new"]) == 4
    assert originals(cli) == []


@pytest.fixture
def two_packs(tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    return packs(tmp_path)


def test_another_pack_has_the_photos_fetched_again(cli: CommandLine, two_packs: Path) -> None:
    cli.set("keep_originals = false")
    before = cli("run", "--user", "anna", "--json").json
    for embed_alone in (True, False):
        if embed_alone:  # which fetches nothing
            answer = cli("embed", "--user", "anna", "--pack", two_packs / "other", "--json")
            assert "24 originals are not here any more" in answer.err
            assert "facesets run fetches them again" in answer.err
        else:
            answer = cli("run", "--user", "anna", "--pack", two_packs / "other", "--json")
            assert (answer.json["downloads"], answer.json["embedded"]) == (24, 24)
            assert answer.json["sets_new"] == []  # the same people, known by the same faces
        assert answer.code == 0, answer.err
        assert cli("status", "--json").json["assets_by_state"] == before["assets_by_state"] == {"done": 24}
    assert originals(cli) == []
    assert cli("verify").code == 0
    again = cli("run", "--user", "anna", "--pack", two_packs / "other", "--json").json
    assert (again["downloads"], again["embedded"], again["sets_new"]) == (0, 0, [])


def test_a_folder_that_was_given_once_is_found_again(cli: CommandLine, library: Library, tmp_path: Path, pack: Path) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace(f'pack = "{pack}"', 'pack = "auto"'))
    folder = tmp_path / "models" / "netz"
    shutil.copytree(pack, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        assert cli("run", "--user", "anna", "--pack", "netz").code == 0  # relative: it is found from anywhere
    add_photos(library, next(iter(library.users.values())), [9], 6, first=40)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["embedded"], len(answer.json["sets_new"])) == (6, 1)


def test_a_folder_with_other_weights_by_now_is_not_taken_for_it(
    cli: CommandLine, library: Library, tmp_path: Path, pack: Path, two_packs: Path
) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace(f'pack = "{pack}"', 'pack = "auto"'))
    folder = tmp_path / "models" / "netz"
    shutil.copytree(two_packs / "other", folder)
    assert cli("run", "--user", "anna", "--pack", folder).code == 0
    shutil.rmtree(folder)
    shutil.copytree(pack, folder)
    add_photos(library, next(iter(library.users.values())), [9], 6, first=40)
    answer = cli("run", "--user", "anna")
    assert answer.code == 2
    assert 'pack = "FOLDER"  under [embed] in facesets.toml' in answer.line
    assert f"not in {folder} any more" in answer.err
