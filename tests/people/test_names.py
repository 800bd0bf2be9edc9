"""Names: by hand, as Immich has them, in manifest and lists, and nowhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets import people
from facesets.errors import NotFound, UsageError
from facesets.photos.decoder_pool import DecoderPool
from facesets.registry import people as rows
from facesets.testing import Box, Library, immich_server

from ..decoders import lend
from ..pipeline.world import PLACES, SIDE, CommandLine, configure, jpeg
from .home import ONE, THREE, TWO, Home


@pytest.mark.parametrize(
    "name", ["Zoë / ../../etc", "x" * 500, "\u202eanna\u200f", "👵🏽", "O'Neil; DROP TABLE people", "-rf", "faceset_002 "],
    ids=["slash", "long", "right to left", "emoji", "quotes", "dash", "like a set"],
)  # fmt: skip
def test_any_name_is_data_and_never_a_path(home: Home, name: str) -> None:
    paths = set(home.tree())
    people.name(home.workspace, home.registry, ONE, name)
    home.write()
    assert set(home.tree()) == paths
    assert json.loads((home.root / "manifest.json").read_text())["facesets"][0]["person"] == name.strip()
    listed = home.cli("list", "people")
    assert listed.code == 0
    assert "\u202e" not in listed.out
    assert {row["name"] for row in json.loads(home.cli("list", "people", "--json").out)} == {name.strip(), None}


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\x00b", "x" * 1001, "\ud800"])
def test_what_is_no_name_is_refused_in_plain_words(home: Home, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        people.name(home.workspace, home.registry, ONE, name)


def test_a_set_is_meant_by_its_name_its_number_or_its_person(home: Home) -> None:
    people.name(home.workspace, home.registry, "2", "Berta")
    for text in ("berta", "Berta", TWO, "2", "002"):
        assert people.name(home.workspace, home.registry, text, "Berta").decision is None
    people.name(home.workspace, home.registry, THREE, "BERTA")
    with pytest.raises(UsageError, match="2 people are called 'berta': faceset_002, faceset_003"):
        people.ignore(home.workspace, home.registry, "berta")
    with pytest.raises(NotFound, match="no set or person is called 'faceset_077'"):
        people.ignore(home.workspace, home.registry, "faceset_077")


def test_lists_and_stories_show_names(home: Home) -> None:
    people.name(home.workspace, home.registry, ONE, "Anna")
    assert "Anna" in home.cli("list", "sets").out
    assert "Anna" in home.cli("explain", ONE).out
    assert home.cli("explain", "anna", "--json").json["set"] == ONE
    assert home.cli("status", "--json").json["people_named"] == 1


@pytest.fixture
def named(
    tmp_path: Path, pack: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """A library whose faces Immich has named: Anna all over, Berta in 6 of 7, a third of two minds; after a run."""
    library = Library()
    anna = library.user("anna")
    who = {name: library.person(anna, name, birth_date="1990-02-03" if name == "Anna" else None) for name in ("Anna", "Berta", "Cleo")}
    names = {1: ["Anna"] * 7, 2: ["Berta"] * 6 + ["Cleo"], 3: ["Cleo"] * 3 + ["Anna"] * 4}
    (x, y), *_ = PLACES
    for person, called in names.items():
        for n, name in enumerate(called):
            box = Box(x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2, who[name])
            taken = f"2020-{person:02d}-{2 + 3 * n:02d}T12:00:00+00:00"
            library.photo(anna, jpeg([person], 1000 * person + n), file_name=f"p{person}_{n}.jpg", taken_at=taken, faces=[box])
    lend(decoders, monkeypatch)
    cli = CommandLine(tmp_path / "w", capsys)
    with immich_server(library) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        cli("init")
        configure(cli.workspace, pack)
        assert cli("run", "--user", "anna").code == 0
        yield cli


def test_clear_names_of_immich_are_taken_at_once_and_conflicts_are_listed(named: CommandLine) -> None:
    tried = named("name", "--from-immich", "--dry-run", "--json").json
    done = named("name", "--from-immich", "--json").json
    assert done["changes"] == tried["changes"]
    assert sorted(done["changes"]["named"].values()) == ["Anna", "Berta"]
    (conflict,) = done["changes"]["conflicts"].values()
    assert "Anna 57%" in conflict
    assert {row["name"] for row in named("list", "people", "--json").json} == {"Anna", "Berta", None}
    assert named("undo").code == 0
    assert {row["name"] for row in named("list", "people", "--json").json} == {None}
    strict = named("name", "--from-immich", "--at-least", ".9", "--json").json
    assert list(strict["changes"]["named"].values()) == ["Anna"]
    assert named("name", "--from-immich", "--at-least", "0.2").code == 2


def test_a_set_that_is_called_otherwise_here_is_a_conflict(named: CommandLine) -> None:
    called = {row["name"] for row in named("name", "--from-immich", "--json").json["changes"]["named"].items() if False}
    assert called == set()
    assert named("name", "Anna", "Grandma").code == 0
    conflicts = named("name", "--from-immich", "--json").json["changes"]["conflicts"]
    assert any("it is called Grandma here, and Anna there" in why for why in conflicts.values())


def test_names_stay_as_the_last_run_saw_them_where_immich_is_away(named: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_URL", "http://127.0.0.1:9")
    done = named("name", "--from-immich", "--json")
    assert done.code == 0
    assert "names are as the last run saw them" in done.err
    assert sorted(done.json["changes"]["named"].values()) == ["Anna", "Berta"]


def test_a_birth_date_comes_with_the_name(named: CommandLine) -> None:
    from facesets.workspace import Workspace  # noqa: PLC0415

    named("name", "--from-immich")
    with Workspace.open(named.workspace).registry() as registry:
        assert rows.births(registry) == {"Anna": "1990-02-03"}
    shutil.rmtree(named.workspace / "facesets")
