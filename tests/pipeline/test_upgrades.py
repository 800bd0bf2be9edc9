"""A server that is upgraded from 2.7 to 3.1 to 3.2, between runs and in the middle of one: the same sets, and nothing fetched twice."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from facesets.testing import Faults, ImmichServer, Library
from facesets.testing import faults as fault
from facesets.testing.immich.dialects import dialect_for
from tests.postgres import upgrade

from ..dumps import MODERN
from .test_immich_db import Db, anna, another, db, twin  # noqa: F401 - fixtures
from .test_immich_db import cli as database_cli  # noqa: F401 - a fixture
from .test_immich_dump import Nightly, nightly  # noqa: F401 - fixtures
from .world import CommandLine, add_photos, tree

ORIGINAL, SEARCH, FACES = "GET /api/assets/{id}/original", "POST /api/search/metadata", "GET /api/faces"
RUN = ("run", "--user", "anna", "--json")
VERSIONS = ("2.7.2", "3.1.0", "3.2.2")


def become(server: ImmichServer, version: str) -> None:
    server.dialect = dialect_for(version)


def through_all(cli: CommandLine, library: Library, server: ImmichServer, upgraded: Callable[[str], None]) -> None:
    """A run on each version, with a new person's photos each time; after the first one only what is new is fetched."""
    owner = next(iter(library.users.values()))
    people = 3
    for version in VERSIONS:
        become(server, version)
        if version != VERSIONS[0]:
            people += 1
            add_photos(library, owner, [people], 6, first=100 * people)
        upgraded(version)
        for again in (False, True):
            before = tree(cli.workspace / "facesets")
            server.requests.clear()
            answer = cli(*RUN)
            assert answer.code == 0, (version, answer.err)
            assert answer.json["listed"] == len(library.assets) == sum(answer.json["assets_by_state"].values())
            counted = answer.json["steps"]["stage"]["anna"]["reconciliation"]
            assert counted["agrees"]
            new = [f"faceset_00{n}" for n in range(1, 4)] if version == VERSIONS[0] else [f"faceset_{people:03}"]
            assert answer.json["sets_new"] == ([] if again else new)
            after = tree(cli.workspace / "facesets")
            assert {path: after[path] for path in before if path != "manifest.json"} == {
                path: digest for path, digest in before.items() if path != "manifest.json"
            }
            if again or version != VERSIONS[0]:
                assert server.count(ORIGINAL) == (0 if again else 6)


def test_with_a_key(cli: CommandLine, library: Library, server: ImmichServer) -> None:
    through_all(cli, library, server, lambda _: None)


def test_with_a_login(cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch) -> None:
    user = next(iter(library.users.values()))
    monkeypatch.setattr("sys.stdin", io.StringIO(user.password + "\n"))
    assert cli("login", "--user", "anna", "--email", user.email, "--password-stdin").code == 0
    through_all(cli, library, server, lambda _: None)


def test_with_the_database(database_cli: CommandLine, library: Library, server: ImmichServer, db: Db) -> None:
    def upgraded(version: str) -> None:
        db.fill()
        if version == "3.2.2":
            upgrade(db.url)

    through_all(database_cli, library, server, upgraded)


def test_with_its_dumps(
    database_cli: CommandLine,
    library: Library,
    server: ImmichServer,
    nightly: Nightly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IMMICH_DB_URL")
    monkeypatch.setenv("IMMICH_DUMP", str(nightly.folder))

    def upgraded(version: str) -> None:
        day = VERSIONS.index(version) + 1
        name = f"immich-db-backup-2026040{day}T020000-v{version}-pg18.1.sql.gz"
        nightly.dump(name, extra=MODERN if version == "3.2.2" else "")

    through_all(database_cli, library, server, upgraded)


@pytest.mark.parametrize(("before", "after"), [("2.7.2", "3.1.0"), ("3.1.0", "3.2.2"), ("2.7.2", "3.2.2")])
@pytest.mark.parametrize("route", [SEARCH, ORIGINAL, "GET /api/timeline/bucket"])
def test_in_the_middle_of_a_run(
    cli: CommandLine, library: Library, server: ImmichServer, faults: Faults, before: str, after: str, route: str
) -> None:
    cli.set("page_size = 5")
    become(server, before)

    def upgrade_now() -> None:
        become(server, after)
        server.restart(0.2)

    faults.add(fault.hook("upgraded", upgrade_now), route, times=1)
    answer = cli(*RUN)
    for _ in range(3):
        if answer.code == 0:
            break
        answer = cli(*RUN)
    assert answer.code == 0, answer.err
    answer = cli(*RUN)
    assert answer.json["listed"] == 24 == sum(answer.json["assets_by_state"].values())
    assert answer.json["steps"]["stage"]["anna"]["reconciliation"]["agrees"]
    assert [path.name for path in sorted((cli.workspace / "facesets").glob("faceset_*"))] == [f"faceset_00{n}" for n in (1, 2, 3)]
    assert server.count(ORIGINAL) <= 24 + 8  # what was under way when it went down


def test_a_run_with_another_version_asks_no_photo_twice_for_its_faces(cli: CommandLine, library: Library, server: ImmichServer) -> None:
    become(server, "2.7.2")
    assert cli(*RUN).code == 0
    become(server, "3.1.0")
    server.requests.clear()
    assert cli(*RUN).code == 0
    assert server.count(FACES) <= 8  # its share, as they are known by what 2.7 told
