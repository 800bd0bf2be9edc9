"""What README, tutorials and how-tos tell people to type is run here, page by page and in order, against a small Immich."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facesets.cli import main
from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Library, User, immich_server

from .decoders import lend
from .people.conftest import pack  # noqa: F401 - the same twin pack
from .pipeline.world import add_photos, boxes, configure, jpeg
from .test_docs import ROOT, calls

HOW_TO = ROOT / "docs" / "how-to"
FOLDER, IMMICH = ROOT / "docs" / "tutorial" / "folder.md", ROOT / "docs" / "tutorial" / "first-run.md"
BESIDE = {"digikam": "sidecars go beside photos, so there must be a folder of them"}  # pages read after the folder's tutorial, and why

# Calls that are not run, by how they begin, and why
NOT_RUN = {
    "demo": "tests/test_demo.py runs it, and CI as the README has it",
    "-C facesets-demo": "is about the demo",
    "run --user anna --pack immich-db": "needs a database or a dump: tests/pipeline/test_immich_db.py",
    "embed --queue": "on another machine, with a pack that is not ours: tests/pipeline/test_remote_worker.py",
    "cache import": "what the other machine made: tests/pipeline/test_remote_worker.py",
    "bench providers": "measures for a while: tests/cli/test_bench.py",
    "export --to frigate-api": "needs a Frigate that knows the same faces: tests/targets/test_frigate.py",
    "export --to lora": "needs photos that are large enough: tests/targets/test_originals.py",
    "export Anna --to lora": "the same",
    "-C family review": "answers until it is stopped: tests/review/test_pages.py",
    "export faceset_026_era_2010-2018 --to fsz": "needs photos of real faces: tests/targets/test_formats.py",
    "export --to fsz": "needs photos of real faces: tests/targets/test_formats.py",
    "export --to reactor": "needs InsightFace and its pack: tests/targets/test_formats.py",
}
STANDS_FOR = {  # what is not here, and what is typed in its place
    "/media/frigate/clips/faces": "frigate",
    "12": "4",  # a decision: the fourth is the first of the page itself
}


@dataclass
class World:
    """A home, and the library of an Immich that answers."""

    home: Path
    library: Library
    anna: User


@dataclass
class Reader:
    """Somebody who types what a page says, one call after the other."""

    home: Path
    capsys: pytest.CaptureFixture[str]

    def types(self, page: Path, after: Callable[[Sequence[str]], None] = lambda _: None) -> list[tuple[str, str]]:
        """The calls of ``page`` that were run, each with what it said; each must end with exit code 0."""
        said = []
        for words in calls(page):
            line = " ".join(words)
            if any(line.startswith(beginning) for beginning in NOT_RUN):
                continue
            self.capsys.readouterr()
            with pytest.raises(SystemExit) as stopped:
                main([STANDS_FOR.get(word, os.path.expanduser(word)) for word in words])  # noqa: PTH111 - as a shell does it
            text = self.capsys.readouterr()
            assert stopped.value.code == 0, (page.name, line, text.err)
            said.append((line, text.out))
            after(words)
        return said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, decoders: DecoderPool) -> Iterator[World]:
    """A home with photos, and an Immich that two of its people have keys for, for as long as these tests run."""
    home = tmp_path_factory.mktemp("home")
    pictures = home / "Pictures" / "2020"
    pictures.mkdir(parents=True)
    library = Library()
    anna, ben = library.user("anna"), library.user("ben")
    for person in (1, 2, 3, 4, 5):
        add_photos(library, anna, [person], 8 if person == 2 else 6)
    add_photos(library, ben, [1], 1, first=50)
    first = datetime(2020, 3, 1, tzinfo=UTC)
    library.photo(anna, data=jpeg([6], 1), file_name="IMG_2041.jpg", taken_at=first, faces=boxes([6]))
    for person in (11, 12):
        for n in range(6):
            (pictures / f"p{person}_{n}.jpg").write_bytes(jpeg([person], 1000 * person + n))
    with pytest.MonkeyPatch.context() as patched, immich_server(library) as server:
        lend(decoders, patched)
        patched.setattr("webbrowser.open", lambda _: True)
        patched.setenv("HOME", str(home))
        patched.setenv("USERPROFILE", str(home))
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("IMMICH_API_KEY", server.key_for("anna"))
        patched.setenv("IMMICH_API_KEY_BEN", server.key_for("ben"))
        yield World(home, library, anna)


@pytest.fixture
def reader(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return Reader(world.home, capsys)


def _entering(pack: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """What a reader does after ``facesets init family``: ``cd family``; and the tests' pack, which the page has not."""

    def after(words: Sequence[str]) -> None:
        if words[:2] == ["init", "family"]:
            configure(Path("family"), pack)
            monkeypatch.chdir("family")

    return after


def test_the_folders_tutorial_ends_with_named_people_in_an_export(
    reader: Reader, pack: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    said = dict(reader.types(FOLDER, _entering(pack, monkeypatch)))
    assert {"init family", "run --user anna --folder ~/Pictures", "name faceset_002 Berta"} <= said.keys()
    assert "facesets run --user NAME --folder ~/Pictures" in said["init family"]
    assert len(list(Path("sidecars").rglob("*.xmp"))) == 12
    assert b"Berta" in b"".join(path.read_bytes() for path in Path("sidecars").rglob("*.xmp"))
    assert sorted(path.name for path in Path("frigate-faces").iterdir() if path.is_dir()) == ["Anna", "Berta"]


def test_what_the_page_on_python_shows_runs_as_it_stands(
    reader: Reader, pack: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(reader.home))
    _quietly(Path("family"), "init")
    configure(Path("family"), pack)
    blocks = re.findall(r"^```python\n(.*?)^```", (HOW_TO / "python.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    reader.capsys.readouterr()
    for block in blocks:
        exec(block, {})
    said = reader.capsys.readouterr().out.splitlines()
    assert said[0] == "2 new sets; nothing is left to do"
    assert said[2:] == ["[0 0 0 0 0 1 1 1 1 1 2 2 2 2 2 3 3 3 3 3]"]
    assert len(list(Path("sidecars").rglob("*.xmp"))) == 6


def test_four_commands_each_said_by_the_one_before_lead_from_a_folder_to_an_export(
    reader: Reader, pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Nothing here is known but ``facesets init family``; names are filled in where the output asks for them."""
    monkeypatch.setenv("HOME", str(reader.home))
    page = Path("page.md")
    said = ""
    for begins in ("init family", "run --user NAME --folder", "name faceset_001", "export --to"):
        line = begins if begins == "init family" else _suggested(said, begins)
        page.write_text(f"```sh\nfacesets {line.replace('NAME', 'anna')}\n```\n")
        ((_, said),) = Reader(reader.home, capsys).types(page.absolute(), _entering(pack, monkeypatch))
        page = page.absolute()
    assert len(list(Path("sidecars").rglob("*.xmp"))) == 6


def _suggested(said: str, begins: str) -> str:
    """The call in ``said`` that begins so, as it stands there, without what it is for."""
    lines = [line.partition("facesets ")[2] for line in said.splitlines() if f"facesets {begins}" in line]
    assert lines, (begins, said)
    return lines[0].partition("   ")[0]


def test_the_immich_tutorial_ends_with_named_people_in_an_export(
    reader: Reader, pack: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    said = dict(reader.types(IMMICH, _entering(pack, monkeypatch)))
    assert "5 new sets" in said["run --user anna"]
    assert [path.name for path in Path("frigate-faces").iterdir() if path.is_dir()] == ["Anna"]


@pytest.fixture(scope="module")
def after_a_run(tmp_path_factory: pytest.TempPathFactory, world: World, pack: Path) -> dict[str, Path]:
    """Workspaces where how-tos begin: of an Immich, and of a folder; two people have their names, and one was recognised since."""
    made = {}
    for kind, words in (("immich", ["--user", "anna"]), ("folder", ["--user", "anna", "--folder", str(world.home / "Pictures")])):
        root = tmp_path_factory.mktemp(kind) / "family"
        _quietly(root, "init")
        configure(root, pack)
        _quietly(root, "run", *words)
        _quietly(root, "name", "1", "Anna")
        _quietly(root, "name", "2", "Clara")
        _quietly(root, "confirm", "2")
        made[kind] = root
    add_photos(world.library, world.anna, [2], 2, first=40)  # the largest set is theirs
    _quietly(made["immich"], "run", "--user", "anna")
    return made


def _quietly(root: Path, *words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["-C", str(root), *words])
    assert stopped.value.code == 0


@pytest.mark.parametrize("page", sorted(page for page in HOW_TO.glob("*.md") if calls(page)), ids=lambda page: page.stem)
def test_what_a_how_to_says_can_be_typed_as_it_stands(
    page: Path, reader: Reader, after_a_run: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = reader.home / "family"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(after_a_run["folder" if page.stem in BESIDE else "immich"], root)
    monkeypatch.chdir(root)
    reader.types(page)


def test_each_call_that_is_not_run_is_still_on_a_page_and_its_reason_names_a_test_that_is_there() -> None:
    lines = [" ".join(call) for page in [FOLDER, IMMICH, *HOW_TO.glob("*.md")] for call in calls(page)]
    assert [beginning for beginning in NOT_RUN if not any(line.startswith(beginning) for line in lines)] == []
    tests = [word for reason in NOT_RUN.values() for word in reason.split() if word.startswith("tests/")]
    assert [name for name in tests if not (ROOT / name).is_file()] == []
