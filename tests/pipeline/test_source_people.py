"""Whom Immich knows, and whose each face is by what it says, stand in the registry: in each dialect, with a key or a login."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from facesets.records import SourcePerson
from facesets.registry import source_people
from facesets.testing import ImmichServer, Library, immich_server
from facesets.workspace import Workspace

from .world import CommandLine, add_photos, boxes, jpeg


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


@pytest.fixture
def library() -> Library:
    """Two people with six photos each, and two photos of both; Immich knows the first by name, and has hidden the second."""
    library = Library()
    anna = library.user("anna")
    add_photos(library, anna, [1], 6)
    add_photos(library, anna, [2], 6)
    add_photos(library, anna, [1, 2], 2, first=20)
    named = library.person(anna, "Grandma", birth_date="1931-02-28")
    hidden = library.person(anna, "", is_hidden=True)
    for asset in library.assets.values():
        people = {"p1": [named], "p2": [hidden], "p1-2": [named, hidden]}[asset.file_name.split("_")[0]]
        for face, person in zip(asset.faces, people, strict=True):
            face.person_id = person.id
    return library


def rows(cli: CommandLine, sql: str) -> list[tuple[Any, ...]]:
    with Workspace.open(cli.workspace).registry() as registry:
        return [tuple(row) for row in registry.db.execute(sql)]


def known(cli: CommandLine) -> list[SourcePerson]:
    with Workspace.open(cli.workspace).registry() as registry:
        (owner,) = registry.db.execute("SELECT user_id FROM users").fetchone()
        return source_people.select(registry, "anna", owner)


def persons(library: Library) -> list[SourcePerson]:
    found = (SourcePerson(p.owner_id, p.id, p.name, p.birth_date, p.is_hidden) for p in library.people.values())
    return sorted(found, key=lambda one: one.person_id)


# each measured face with the ids that its source has for it, the one more to the left first
OURS = (
    "SELECT a.file_name, f.source_face_id, f.source_person_id FROM faces AS f JOIN assets AS a ON a.photo_id = f.photo_id "
    "JOIN measurements AS m ON m.face_id = f.id ORDER BY 1, f.x1"
)


def theirs(library: Library) -> list[tuple[str, str, str | None]]:
    found = [(a.file_name, f.x1, f.id, f.person_id) for a in library.assets.values() for f in a.faces]
    return [(name, face_id, person_id) for name, _, face_id, person_id in sorted(found)]


def test_with_a_key(cli: CommandLine, library: Library) -> None:
    assert cli("run", "--user", "anna").code == 0
    assert known(cli) == persons(library)
    assert rows(cli, OURS) == theirs(library)
    grandma = next(person for person in library.people.values() if person.name)
    grandma.name, grandma.birth_date = "Oma", None
    assert cli("run", "--user", "anna").code == 0
    assert known(cli) == persons(library)


def test_a_person_who_is_no_more_goes_and_a_face_that_changes_hands_follows(
    cli: CommandLine, library: Library, server: ImmichServer
) -> None:
    assert cli("run", "--user", "anna").code == 0
    grandma, hidden = sorted(library.people.values(), key=lambda person: person.is_hidden)
    for asset in library.assets.values():
        for face in asset.faces:
            face.person_id = grandma.id
    del library.people[hidden.id]
    assert cli("run", "--user", "anna", "--full").code == 0
    assert known(cli) == persons(library)
    assert rows(cli, OURS) == theirs(library)


def test_a_key_that_may_not_see_people_is_a_note_and_the_run_goes_on(
    cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = next(iter(library.users.values()))
    permissions = ["asset.read", "asset.download", "asset.view", "asset.statistics", "asset.edit.get", "face.read", "user.read"]
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, permissions).secret)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert "The names of people could not be read" in answer.err
    assert "person.read" in answer.err
    assert len(answer.json["sets_new"]) == 2
    assert known(cli) == []


def test_how_a_photo_is_turned_in_its_file(cli: CommandLine, library: Library) -> None:
    upright, out, exif = Image.open(io.BytesIO(jpeg([3], 77))), io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=95, exif=exif)
    anna = next(iter(library.users.values()))
    turned = library.photo(anna, data=out.getvalue(), file_name="turned.jpg", faces=boxes([3]))
    assert cli("run", "--user", "anna").code == 0
    sql = (
        "SELECT a.file_name = 'turned.jpg', p.orientation, p.width, p.height, count(*) FROM photos AS p "
        "JOIN assets AS a ON a.photo_id = p.id GROUP BY 1, 2, 3, 4"
    )
    assert rows(cli, sql) == [(0, 1, *upright.size, 14), (1, 6, *upright.size, 1)]
    assert (turned.file_name, turned.faces[0].id, None) in rows(cli, OURS)
