"""Immich's people are the same whichever way they come: by the API, out of the database, out of a dump, before 3.2 and since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facesets.errors import MissingPermission
from facesets.immich import Client
from facesets.photos import DecoderPool
from facesets.records import SourcePerson, User
from facesets.registry import assets
from facesets.sources.folder import FolderSource
from facesets.sources.immich import ImmichSource
from facesets.sources.immich_db import ImmichDbSource
from facesets.sources.immich_dump_source import ImmichDumpSource
from facesets.testing import ImmichServer, Library, immich_server
from facesets.workspace import Workspace
from tests.dumps import MODERN, pg_dump
from tests.immich.photos import BIG, SMALL, photo
from tests.postgres import connect, fill


@pytest.fixture
def library() -> Library:
    library = Library(seed=7)
    anna = library.user("anna")
    grandma = library.person(anna, "Grandma Ö.\t\\N", birth_date="1931-02-28")
    hidden = library.person(anna, "", is_hidden=True)
    for n in range(3):
        library.photo(anna, photo(n), faces=[replace(BIG, person=grandma), replace(SMALL, person=hidden)])
    bob = library.user("bob")
    library.photo(bob, photo(9), faces=[replace(BIG, person=library.person(bob, "Somebody of Bob's"))])
    return library


@pytest.fixture
def user(library: Library) -> User:
    return User("anna", next(iter(library.users)), "anna")


@pytest.fixture
def expected(library: Library, user: User) -> set[SourcePerson]:
    return {
        SourcePerson(p.owner_id, p.id, p.name, p.birth_date, p.is_hidden) for p in library.people.values() if p.owner_id == user.user_id
    }


@pytest.fixture(params=["2.7.2", "3.1.0"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


def test_by_the_api(server: ImmichServer, user: User, expected: set[SourcePerson]) -> None:
    with Client(server.url + "/api", server.key_for(user.user_id)) as client:
        assert set(ImmichSource(client, user).people()) == expected


@pytest.mark.slow
def test_by_the_api_in_several_pages(server: ImmichServer, library: Library, user: User) -> None:
    owner = library.users[user.user_id]
    for n in range(1100):
        library.photo(owner, b"x", file_name=f"{n}.jpg", faces=[replace(BIG, person=library.person(owner, f"person {n}"))])
    with Client(server.url + "/api", server.key_for(user.user_id)) as client:
        found = list(ImmichSource(client, user).people())
    assert len(found) == len({one.person_id for one in found}) == 1102


def test_a_key_that_may_not_see_people_is_told_so(server: ImmichServer, library: Library, user: User) -> None:
    key = library.key(library.users[user.user_id], ["asset.read"])
    with Client(server.url + "/api", key.secret) as client, pytest.raises(MissingPermission, match=r"person\.read"):
        list(ImmichSource(client, user).people())


@pytest.mark.parametrize("form", ["", MODERN], ids=["2.7 to 3.1", "3.2"])
def test_out_of_the_database_and_out_of_a_dump_of_it(
    postgres: str, library: Library, server: ImmichServer, user: User, expected: set[SourcePerson], tmp_path: Path, form: str
) -> None:
    fill(postgres, library)
    with connect(postgres) as db:
        db.execute(form)
    dump = tmp_path / "dump.sql.gz"
    dump.write_bytes(pg_dump(postgres))
    workspace = Workspace.init(tmp_path / "w")
    settings = replace(workspace.settings, immich_dump=replace(workspace.settings.immich_dump, file=str(dump)))
    workspace = replace(workspace, settings=settings)
    key = library.key(library.users[user.user_id], ["asset.read"]).secret
    with Client(server.url + "/api", key) as client, workspace.registry() as registry:
        with registry.transaction():
            assets.bind_user(registry, user)
        api = ImmichSource(client, user)
        assert set(ImmichDbSource(api, postgres).people()) == expected
        assert set(ImmichDumpSource(api, workspace, registry).people()) == expected


def test_a_folder_knows_nobody(tmp_path: Path, user: User) -> None:
    assert list(FolderSource(tmp_path, user, DecoderPool()).people()) == []
