"""Listing from Immich's own database, a real Postgres with pgvector: the same as the API tells, without asking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facesets.doctor import server as doctor
from facesets.errors import BadAnswer, MissingPermission, Unreachable, UsageError
from facesets.immich import Client, Person
from facesets.progress import Silent
from facesets.records import Asset as Listed
from facesets.records import Reason, User
from facesets.sources.binding import bind
from facesets.sources.immich import ImmichSource
from facesets.sources.immich_db import ImmichDbSource
from facesets.testing import Box, ImmichServer, Library, immich_server
from facesets.testing import User as Account
from tests.immich.photos import BIG, SMALL, photo
from tests.postgres import fill, reader, upgrade
from tests.staging.home import Home

psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def library() -> Library:
    """One photo of each kind that decides differently, and some that are hard to measure."""
    library = Library(seed=7)
    anna = library.user("anna")
    grandma = library.person(anna, "Grandma Ö.")
    external = library.external(anna)
    when = anna.created_at
    big = replace(BIG, person=grandma)
    library.photo(anna, photo(1), faces=[big, SMALL])
    library.photo(anna, photo(2, 300, 500, orientation=6), faces=[big])
    library.photo(anna, photo(3), faces=[SMALL])
    library.photo(anna, photo(4))
    library.photo(anna, photo(5), faces=[BIG], visibility="archive")
    library.photo(anna, photo(6), faces=[BIG], deleted_at=when)
    library.photo(anna, photo(7), faces=[BIG], deleted_at=when, is_offline=True)
    library.photo(anna, b"film", file_name="clip.mp4")
    library.photo(anna, b"half", file_name="live.mov", visibility="hidden")
    library.photo(anna, photo(8), library=external, file_name="thumbs/x-preview.jpeg", faces=[BIG])
    library.photo(anna, photo(1), library=external, file_name="copy.jpg", taken_at="2030-01-01T00:00:00.250Z", faces=[BIG])
    library.photo(anna, photo(9), faces=[replace(BIG, is_visible=False)])
    library.photo(anna, b"no picture at all", file_name="broken.jpg", faces=[Box(1, 1, 95, 95, frame=(0, 0))])
    library.photo(anna, photo(10), faces=[Box(-20, -20, 900, 900)], local_offset_hours=5.5)
    library.edit(library.photo(anna, photo(11), faces=[BIG]), "rotate", angle=90)
    library.stack(library.photo(anna, photo(13), faces=[BIG]), library.photo(anna, photo(14), faces=[BIG]))
    library.photo(library.user("bob"), photo(12), faces=[BIG])
    return library


@pytest.fixture
def anna(library: Library) -> Account:
    return next(iter(library.users.values()))


@pytest.fixture(params=["2.7 to 3.1", "3.2"])
def database(request: pytest.FixtureRequest, postgres: str, library: Library) -> str:
    """The library's own rows, in both forms of the schema."""
    fill(postgres, library)
    if request.param == "3.2":
        upgrade(postgres)
    return postgres


@pytest.fixture(params=["2.7.2", "3.1.0"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


def stage_from(database: str, home: Home, server: ImmichServer, user: Account) -> None:
    with Client(server.url + "/api", server.key_for(user)) as client, home.workspace.registry() as registry:
        bound = bind("anna", home.workspace.settings, registry, client, home.said)
        home._run(ImmichDbSource(ImmichSource(client, bound), database))


def told(home: Home, *, boxes: bool) -> dict[str, Listed]:
    """What the registry knows of each asset; the database does not tell the type of a file beyond its name."""
    blank = {} if boxes else {"boxes": None}
    return {row.asset.asset_id: replace(row.asset, mime_type="", **blank) for row in home.rows()}  # type: ignore[arg-type]


def test_the_database_tells_what_the_api_tells_and_ends_in_the_same(
    database: str, server: ImmichServer, anna: Account, tmp_path: Path
) -> None:
    by_api, by_database = Home.make(tmp_path / "api"), Home.make(tmp_path / "db")
    by_api.stage(server, anna)
    server.requests.clear()
    stage_from(database, by_database, server, anna)
    assert by_database.outcome() == by_api.outcome()
    boxes = server.dialect.faces_in_search  # 3.x is asked for the faces of those only that could matter
    assert told(by_database, boxes=boxes) == told(by_api, boxes=boxes)
    assert {Reason.STAGED, Reason.STACKED} <= by_database.counts().keys()
    for route in ("POST /api/search/metadata", "GET /api/faces", "GET /api/timeline/bucket"):
        assert server.count(route) == 0


def test_people_come_with_their_boxes(database: str, server: ImmichServer, anna: Account, tmp_path: Path) -> None:
    home = Home.make(tmp_path / "db")
    stage_from(database, home, server, anna)
    names = {box.person_name for row in home.rows() for box in row.asset.boxes or ()}
    assert names == {None, "Grandma Ö."}


def test_of_several_owners_people_in_a_group_the_photos_owners_is_named(
    postgres: str, library: Library, server: ImmichServer, anna: Account, tmp_path: Path
) -> None:
    fill(postgres, library)
    upgrade(postgres)
    bob = next(user for user in library.users.values() if user.name == "bob")
    with psycopg.connect(postgres) as db:
        db.execute(
            'INSERT INTO person ("ownerId", name, "personGroupId") SELECT %s, %s, id FROM person_group', (bob.id, "Bob's grandma")
        )
    home = Home.make(tmp_path / "db")
    stage_from(postgres, home, server, anna)
    assert {box.person_name for row in home.rows() for box in row.asset.boxes or ()} == {None, "Grandma Ö."}
    assert all(len({box.face_id for box in row.asset.boxes or ()}) == len(row.asset.boxes or ()) for row in home.rows())


def test_a_person_whom_another_owner_of_the_group_has_alone_is_somebody_without_a_name(
    database: str, library: Library, server: ImmichServer, anna: Account, tmp_path: Path
) -> None:
    bob = next(user for user in library.users.values() if user.name == "bob")
    with psycopg.connect(database) as db:
        db.execute('UPDATE person SET "ownerId" = %s', (bob.id,))
    home = Home.make(tmp_path / "db")
    stage_from(database, home, server, anna)
    (grandma,) = library.people
    whose = {(box.person_id, box.person_name) for row in home.rows() for box in row.asset.boxes or ()}
    assert whose == {(None, None), (grandma, None)}


def test_a_schema_without_what_is_needed_is_named(postgres: str, library: Library, anna: Account) -> None:
    fill(postgres, library)
    with psycopg.connect(postgres) as db:
        db.execute('ALTER TABLE asset_face RENAME "personId" TO whoever')
    finding = doctor.database(Client("http://127.0.0.1:1/api", ""), "anna", Person(anna.id, anna.name), postgres)
    assert "asset_face has neither" in finding.what


def test_a_second_run_decides_nothing_and_new_photos_are_found(
    database: str, server: ImmichServer, anna: Account, tmp_path: Path
) -> None:
    home = Home.make(tmp_path / "db")
    stage_from(database, home, server, anna)
    before = home.outcome()
    server.requests.clear()
    stage_from(database, home, server, anna)
    assert home.outcome() == before
    assert sum(server.requests.values()) <= 2
    with psycopg.connect(database) as db:
        db.execute("UPDATE asset SET visibility = 'locked' WHERE visibility = 'timeline' AND status = 'active'")
    stage_from(database, home, server, anna)
    assert Reason.STAGED not in home.counts()
    assert Reason.LOCKED in home.counts()


def test_nothing_can_be_written(database: str) -> None:
    from facesets.sources.immich_db import reading  # noqa: PLC0415 - the one place that opens a connection

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), reading(database) as db:
        db.execute("DELETE FROM asset_face")


def source(address: str, user_id: str) -> ImmichDbSource:
    with Client("http://127.0.0.1:9/api", "key") as client:
        return ImmichDbSource(ImmichSource(client, User("anna", user_id, "anna")), address)


def test_the_database_of_another_immich_is_refused(database: str) -> None:
    with pytest.raises(UsageError, match="another Immich"):
        list(source(database, "3fa85f64-5717-4562-b3fc-2c963f66afa6").listing(Silent()))


def test_a_database_that_is_not_there_or_not_immichs_is_said(database: str, anna: Account, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="immich_db"):
        list(source(f"postgresql://nobody:secret@/x?host={tmp_path}", anna.id).listing(Silent()))
    with psycopg.connect(database) as db:
        db.execute('ALTER TABLE asset DROP COLUMN "isEdited"')
    with pytest.raises(BadAnswer, match="isEdited"):
        list(source(database, anna.id).listing(Silent()))


def test_a_role_that_may_not_read_is_told_what_it_lacks(database: str, anna: Account) -> None:
    with pytest.raises(MissingPermission, match='GRANT SELECT ON "user" TO "visitor"'):
        list(source(reader(database), anna.id).listing(Silent()))
    with pytest.raises(MissingPermission, match='GRANT SELECT ON asset_exif TO "visitor"'):
        list(source(reader(database, '"user"', "asset"), anna.id).listing(Silent()))


def test_a_role_with_a_schema_of_its_own_sees_the_same(database: str, library: Library, anna: Account) -> None:
    url = reader(database, '"user"', "person")
    people = list(source(url, anna.id).people())
    with psycopg.connect(database) as db:
        db.execute("CREATE SCHEMA visitor AUTHORIZATION visitor")
    try:
        assert list(source(url, anna.id).people()) == people
        assert {person.person_id for person in people} == {one.id for one in library.people.values() if one.owner_id == anna.id}
    finally:
        with psycopg.connect(database) as db:
            db.execute("DROP SCHEMA visitor CASCADE")


def test_a_table_that_another_version_made_of_other_stuff_is_said(database: str, anna: Account) -> None:
    with psycopg.connect(database) as db:
        db.execute('ALTER TABLE asset_face ALTER COLUMN "isVisible" TYPE text')
    with pytest.raises(BadAnswer, match="Immich's database"):
        list(source(database, anna.id).listing(Silent()))


def test_the_doctor_says_whether_the_database_can_be_read(database: str, server: ImmichServer, anna: Account, tmp_path: Path) -> None:
    with Client(server.url + "/api", server.key_for(anna)) as client:
        owner = Person(anna.id, anna.name)
        found = doctor.database(client, "anna", owner, database)
        assert (found.level, found.facts["database_assets"]) == ("ok", 17)
        found = doctor.database(client, "anna", owner, f"postgresql://nobody@/x?host={tmp_path}")
        assert (found.level, "immich-database.md" in found.fix) == ("problem", True)
