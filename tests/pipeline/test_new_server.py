"""A server at another address goes on; one that was set up anew, where users and photos have other ids, is asked about, and what is
known carries over by content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facesets.testing import ImmichServer, Library, immich_server
from facesets.testing import User as Account
from facesets.workspace import Workspace

from .world import CommandLine, add_photos, boxes, jpeg, tree

ORIGINAL, FACES = "GET /api/assets/{id}/original", "GET /api/faces"
RUN = ("run", "--user", "anna", "--json")


def filled(seed: int, *, missing: int = 0) -> tuple[Library, Account]:
    """The same photos under the ids of this seed: two people, a photo without a face, and a file of an external library."""
    library = Library(seed)
    library.user("root")
    anna = library.user("anna")
    add_photos(library, anna, [1], 6)
    add_photos(library, anna, [2], 6 - missing)
    library.photo(anna, jpeg([], 7), file_name="nobody.jpg")
    library.photo(anna, jpeg([1], 1900), file_name="filed.jpg", library=library.external(anna), faces=boxes([1]))
    library.person(anna, "Grandma")
    for asset in library.assets.values():
        for face in asset.faces[:1] if asset.file_name.startswith("p1") else []:
            face.person_id = next(iter(library.people))
    return library, anna


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library() -> Library:
    return filled(1)[0]


@pytest.fixture
def server(library: Library, version: str) -> Iterator[ImmichServer]:
    with immich_server(library, version) as running:
        yield running


Moved = Callable[[Library, str], ImmichServer]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch, version: str) -> Iterator[Moved]:
    """Have another server answer from now on, with the key of somebody there."""
    held: list[Any] = []

    def to(library: Library, name: str) -> ImmichServer:
        held.append(immich_server(library, version))
        running: ImmichServer = held[-1].__enter__()
        monkeypatch.setenv("IMMICH_URL", running.url)
        monkeypatch.setenv("IMMICH_API_KEY", library.key_for(name))
        return running

    yield to
    for one in held:
        one.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def of_anna(library: Library, monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", library.key_for("anna"))


def rows(workspace: Path, sql: str) -> list[tuple[Any, ...]]:
    with Workspace.open(workspace).registry() as registry:
        return [tuple(row) for row in registry.db.execute(sql)]


def members(cli: CommandLine) -> list[dict[str, Any]]:
    return [one for one in cli("list", "faces", "--json").json if (one["set"], one["reason"]) == ("faceset_002", "member")]


WHOSE = "SELECT user_id FROM users"
SOURCE_FACES = "SELECT source_face_id FROM faces WHERE source_face_id IS NOT NULL"


def faces_of(library: Library) -> set[str]:
    return {face.id for asset in library.assets.values() for face in asset.faces}


def test_another_address_of_the_same_server_goes_on(cli: CommandLine, library: Library, server: ImmichServer, move: Moved) -> None:
    assert cli(*RUN).code == 0
    before = tree(cli.workspace / "facesets")
    there = move(library, "anna")
    answer = cli(*RUN)
    assert (answer.code, answer.json["downloads"], answer.json["sets_new"]) == (0, 0, []), answer.err
    assert sum(there.requests.values()) < 40
    assert tree(cli.workspace / "facesets") == before


def test_a_server_set_up_anew_is_asked_about_and_then_everything_carries_over(
    cli: CommandLine, server: ImmichServer, library: Library, move: Moved
) -> None:
    assert cli(*RUN).json["sets_new"] == ["faceset_001", "faceset_002"]
    assert cli("name", "faceset_001", "Oma").code == 0
    assert cli("reject", members(cli)[0]["face_id"]).code == 0
    assert cli(*RUN).code == 0  # which looks at the rejected face
    before, known = tree(cli.workspace / "facesets"), rows(cli.workspace, "SELECT act, count(*) FROM decisions GROUP BY act")
    standings = Counter(rows(cli.workspace, "SELECT standing, person_id FROM memberships"))
    photos = tree(cli.workspace / "photos")

    anew, anna = filled(2)
    there = move(anew, "anna")
    asked = cli(*RUN)
    assert asked.code == 2
    for words in ("14 of the 14 photos known here", anna.id, "--new-server", "set up anew?"):
        assert words in asked.line
    assert rows(cli.workspace, WHOSE) == [(next(u.id for u in library.users.values() if u.name == "anna"),)]

    there.requests.clear()
    answer = cli(*RUN, "--new-server")
    assert answer.code == 0, answer.err
    assert (answer.json["downloads"], there.count(ORIGINAL), answer.json["sets_new"], answer.json["embedded"]) == (0, 0, [], 0)
    assert answer.json["listed"] == 14 == sum(answer.json["assets_by_state"].values())
    assert answer.json["gone"] == 0
    assert "14 of the 14 photos" in answer.err
    assert tree(cli.workspace / "facesets") == before
    assert tree(cli.workspace / "photos") == photos
    assert rows(cli.workspace, WHOSE) == [(anna.id,)]
    assert rows(cli.workspace, "SELECT act, count(*) FROM decisions GROUP BY act") == known
    assert Counter(rows(cli.workspace, "SELECT standing, person_id FROM memberships")) == standings
    assert {row[0] for row in rows(cli.workspace, SOURCE_FACES)} == faces_of(anew)  # none of the old server's
    payloads = "".join(row[0] for row in rows(cli.workspace, "SELECT payload FROM decisions"))
    assert not any(asset in payloads for asset in library.assets)
    assert any(asset in payloads for asset in anew.assets)
    assert cli("verify").code == 0

    there.requests.clear()
    answer = cli(*RUN)
    assert (answer.code, answer.json["downloads"], answer.json["sets_new"]) == (0, 0, []), answer.err
    assert sum(there.requests.values()) < 40
    assert tree(cli.workspace / "facesets") == before


def test_photos_that_are_not_there_again_are_gone_and_new_ones_come(cli: CommandLine, move: Moved) -> None:
    assert cli(*RUN).code == 0
    before = tree(cli.workspace / "facesets")
    anew, anna = filled(2, missing=2)
    add_photos(anew, anna, [3], 5, first=50)
    move(anew, "anna")
    answer = cli(*RUN, "--new-server")
    assert answer.code == 0, answer.err
    assert (answer.json["downloads"], answer.json["gone"], answer.json["sets_new"]) == (5, 2, ["faceset_003"])
    assert answer.json["listed"] == 17 == sum(answer.json["assets_by_state"].values())
    after = tree(cli.workspace / "facesets")
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: digest for name, digest in before.items() if name != "manifest.json"
    }


def test_a_decision_follows_its_photo_to_the_new_server_and_to_other_bytes(cli: CommandLine, move: Moved) -> None:
    assert cli(*RUN).code == 0
    assert cli("reject", members(cli)[0]["face_id"]).code == 0
    anew, _ = filled(2)
    move(anew, "anna")
    assert cli(*RUN, "--new-server").code == 0
    (name,) = rows(
        cli.workspace,
        "SELECT a.file_name FROM decisions AS d JOIN assets AS a ON instr(d.payload, a.asset_id) > 0 WHERE d.act = 'reject'",
    )[0]
    (asset,) = (one for one in anew.assets.values() if one.file_name == name)
    data = asset.data + b"\xff\xfe\0\x04tag" if isinstance(asset.data, bytes) else b""  # as a tag written into the file
    assert data
    asset.data, asset.size, asset.sha1, asset.updated_at = data, len(data), hashlib.sha1(data).digest(), anew.now()
    assert cli(*RUN).code == 0
    assert asset.id not in {one["asset_id"] for one in members(cli)}


def test_somebody_elses_library_is_refused_whatever_is_said(cli: CommandLine, move: Moved) -> None:
    assert cli(*RUN).code == 0
    other = Library(9)
    bob = other.user("bob")
    add_photos(other, bob, [4], 6)
    add_photos(other, bob, [1], 2)  # a few that both have
    move(other, "bob")
    before = rows(cli.workspace, "SELECT * FROM assets ORDER BY id")
    answer = cli(*RUN)
    assert (answer.code, "--new-server" in answer.line, "2 of the 14 photos" in answer.line) == (2, False, True)
    answer = cli(*RUN, "--new-server")
    assert (answer.code, "Only 2 of the 14 photos" in answer.line) == (4, True)
    assert rows(cli.workspace, "SELECT * FROM assets ORDER BY id") == before


def test_somebody_else_of_the_same_server_is_no_new_server(cli: CommandLine, library: Library, move: Moved) -> None:
    assert cli(*RUN).code == 0
    move(library, "root")
    answer = cli(*RUN, "--new-server")
    assert (answer.code, "belongs to 'root'" in answer.line, "set up anew" in answer.line) == (2, True, False)


def test_settings_that_name_the_old_id_are_to_be_corrected_first(cli: CommandLine, library: Library, move: Moved) -> None:
    old = next(u.id for u in library.users.values() if u.name == "anna")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("[users]", f'[users]\nanna = "{old}"\n', 1))
    assert cli(*RUN).code == 0
    anew, anna = filled(2)
    move(anew, "anna")
    answer = cli(*RUN, "--new-server")
    assert (answer.code, f'anna = "{anna.id}"' in answer.line) == (2, True)
    settings.write_text(settings.read_text().replace(old, anna.id))
    assert cli(*RUN).code == 2
    assert cli(*RUN, "--new-server").code == 0


def test_several_people_carry_over_also_where_one_is_shown_the_others_photos(
    cli: CommandLine, library: Library, move: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_bob(made: Library) -> Library:
        bob, anna = made.user("bob"), next(u for u in made.users.values() if u.name == "anna")
        add_photos(made, bob, [5], 6)
        made.partner(anna, bob, in_timeline=True)
        return made

    def keys(made: Library) -> None:
        monkeypatch.delenv("IMMICH_API_KEY", raising=False)
        for name in ("anna", "bob"):
            monkeypatch.setenv(f"IMMICH_API_KEY_{name.upper()}", made.key_for(name))

    both = ("run", "--user", "bob", "--user", "anna", "--json")
    keys(with_bob(library))
    answer = cli(*both)
    assert answer.code == 0, answer.err
    before, listed = tree(cli.workspace / "facesets"), answer.json["listed"]
    anew = with_bob(filled(2)[0])
    move(anew, "anna")
    keys(anew)
    answer = cli(*both, "--new-server")
    assert (answer.code, answer.json["downloads"], answer.json["sets_new"]) == (0, 0, []), answer.err
    assert answer.json["listed"] == listed == sum(answer.json["assets_by_state"].values())
    assert tree(cli.workspace / "facesets") == before
