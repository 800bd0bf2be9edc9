"""Pack immich-db without a database: vectors and boxes out of a real dump of it, on disk or from the server, by a key alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from facesets.records import Reason
from facesets.testing import Faults, ImmichServer, Library, User, immich_server
from facesets.testing import faults as fault
from facesets.workspace import Workspace
from tests.dumps import MODERN, SECRETS, pg_dump
from tests.postgres import connect

from .test_immich_db import (  # noqa: F401 - fixtures
    ORIGINAL,
    RUN,
    SETS,
    STRANGERS,
    Db,
    anna,
    another,
    db,
    library,
    of_person,
    photos_of,
    rows,
    server,
    twin,
    whole,
)
from .test_immich_db import cli as database_cli  # noqa: F401 - a fixture
from .test_killed import signalled
from .world import CommandLine, add_photos, tree

NAME = "immich-db-backup-20260301T020000-v3.1.0-pg18.1.sql.gz"
FACES = "GET /api/faces"
BACKUP = "GET /api/admin/database-backups/{filename}"


class Nightly:
    """Immich's nightly job: the database as it is, dumped into a folder and shown by the server."""

    def __init__(self, folder: Path, db: Db) -> None:
        self.folder, self.db = folder, db

    def dump(self, name: str = NAME, *, extra: str = "") -> Path:
        self.db.fill()
        with connect(self.db.url) as open_:
            open_.execute(SECRETS + extra)
        data = pg_dump(self.db.url)
        self.db.library.backups[name] = data
        (self.folder / name).write_bytes(data)
        return self.folder / name


@pytest.fixture
def nightly(tmp_path: Path, db: Db) -> Nightly:
    (tmp_path / "backups").mkdir()
    made = Nightly(tmp_path / "backups", db)
    made.dump()
    return made


@pytest.fixture
def cli(database_cli: CommandLine, nightly: Nightly, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """As with the database, with its dumps in place of it."""
    monkeypatch.delenv("IMMICH_DB_URL")
    monkeypatch.setenv("IMMICH_DUMP", str(nightly.folder))
    return database_cli


@pytest.mark.parametrize("extra", ["", MODERN], ids=["2.7 to 3.1", "3.2"])
def test_sets_are_the_same_by_database_by_dump_and_by_the_servers_own_backup(
    cli: CommandLine,
    another: Callable[[str], CommandLine],
    nightly: Nightly,
    server: ImmichServer,
    monkeypatch: pytest.MonkeyPatch,
    extra: str,
) -> None:
    nightly.dump(extra=extra)
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert (answer.json["sets_new"], answer.json["pack"]) == (SETS, "immich-db@buffalo_l")
    assert server.count(FACES) == 0
    assert answer.json["downloads"] == server.count(ORIGINAL) == len(photos_of(cli)) == 23
    assert answer.json["requests"] == sum(server.requests.values())
    assert answer.json["originals_spared"] == STRANGERS
    whole(cli, answer.json)
    assert not (cli.workspace / ".dump").exists()

    monkeypatch.setenv("IMMICH_DUMP", "server")
    streamed = another("streamed")
    server.requests.clear()
    answer = streamed(*RUN)
    assert (answer.code, server.count(BACKUP), server.count(FACES)) == (0, 1, 0), answer.err
    assert answer.json["requests"] == sum(server.requests.values())
    assert tree(streamed.workspace / "facesets") == tree(cli.workspace / "facesets")
    whole(streamed, answer.json)

    if not extra:
        monkeypatch.setenv("IMMICH_DB_URL", nightly.db.url)
        by_database = another("by-database")
        by_database(*RUN)
        assert tree(by_database.workspace / "facesets") == tree(cli.workspace / "facesets")


def test_it_goes_step_by_step_and_a_second_run_changes_nothing(cli: CommandLine, server: ImmichServer) -> None:
    for step in ("stage", "embed", "cluster", "write"):
        words = (step, "--json") if step == "write" else (step, "--user", "anna", "--json")
        answer = cli(*words)
        assert answer.code == 0, answer.err
        assert not (cli.workspace / ".dump").exists()
        assert server.count(ORIGINAL) == (23 if step == "write" else 0)
    before = tree(cli.workspace / "facesets")
    server.requests.clear()
    again = cli(*RUN).json
    assert (again["downloads"], again["embedded"], again["sets_new"], server.count(FACES)) == (0, 0, [], 0)
    assert tree(cli.workspace / "facesets") == before
    whole(cli, again)


def test_killed_while_the_dump_is_read_nothing_of_it_stays(cli: CommandLine, another: Callable[[str], CommandLine]) -> None:
    import signal  # noqa: PLC0415

    undisturbed = another("undisturbed")
    undisturbed(*RUN)
    killed = signalled(cli, signal.SIGKILL, "before", 3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert cli(*RUN).code == 0
    assert not (cli.workspace / ".dump").exists()
    assert tree(cli.workspace / "facesets") == tree(undisturbed.workspace / "facesets")


def test_what_was_published_since_the_dump_is_not_unsaid_by_it(
    cli: CommandLine, library: Library, anna: User, nightly: Nightly, server: ImmichServer
) -> None:
    mum, first = library.person(anna, "Mum"), of_person(library, 1)[0]
    for photo in of_person(library, 1)[1:]:
        photo.faces[0].person_id = mum.id
    nightly.dump()

    def whose() -> str | None:
        with Workspace.open(cli.workspace).registry() as registry:
            sql = "SELECT source_person_id FROM faces JOIN assets USING (photo_id) WHERE asset_id = ?"
            return str(registry.db.execute(sql, (first.id,)).fetchone()[0])

    assert (cli(*RUN).code, whose()) == (0, "None")
    assert cli("name", "faceset_001", "Susanne").code == 0
    assert cli("publish", "--names", "--faces", "--user", "anna", "--apply").code == 0
    assert (mum.name, first.faces[0].person_id) == ("Susanne", mum.id)
    server.requests.clear()
    assert cli(*RUN).code == 0
    assert whose() == mum.id
    assert server.count(FACES) <= 1  # its share of those that were written to
    assert "nothing to suggest" in cli("suggest").out
    assert "is called so there still" in cli("explain", "faceset_001").out


def test_asking_for_names_leaves_nothing_of_the_dump(cli: CommandLine, library: Library, anna: User, nightly: Nightly) -> None:
    mum = library.person(anna, "")
    for photo in of_person(library, 1):
        photo.faces[0].person_id = mum.id
    nightly.dump()
    assert cli(*RUN).code == 0
    mum.name = "Mum"  # since the dump
    assert cli("name", "--from-immich", "--at-least", "0.7", "--json").json["changes"]["named"] == {"faceset_001": "Mum"}
    library.keys[library.key_for("anna")].permissions = ("asset.read", "asset.download", "face.read", "user.read")
    assert cli("name", "--from-immich").code == 0
    assert not (cli.workspace / ".dump").exists()


def test_secrets_of_the_dump_are_nowhere_in_the_workspace(cli: CommandLine, nightly: Nightly) -> None:
    assert b"hash-of-a-password" in gzip.decompress((nightly.folder / NAME).read_bytes())
    assert cli("-v", *RUN).code == 0
    for path in cli.workspace.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"hash-of-a-password" not in data
            assert b"token-of-a-session" not in data


def test_photos_newer_than_the_dump_are_asked_for_and_this_is_said(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, nightly: Nightly
) -> None:
    add_photos(library, anna, [3], 2, first=40)
    changed = of_person(library, 100)[0]
    assert isinstance(changed.data, bytes)
    changed.data, changed.sha1 = changed.data + b"\0", b"\7" * 20  # replaced by its owner
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert "3 photos are newer than the dump of 2026-03-01 02:00" in answer.err
    assert "2 faces have no vector that can be used in the dump of 2026-03-01 02:00" in answer.err
    assert server.count(FACES) == 3
    assert answer.json["faces_by_reason"]["not_measured"] == 2
    assert answer.json["sets_new"] == SETS
    whole(cli, answer.json)
    server.requests.clear()
    assert cli(*RUN).json["sets_new"] == []
    nightly.dump(NAME.replace("0301", "0302"))
    again = cli(*RUN)
    assert "newer than the dump" not in again.err
    assert again.json["steps"]["cluster"]["already_covered"] == 2
    assert "not_measured" not in again.json["faces_by_reason"]


def test_a_face_that_comes_later_to_a_newer_photo_is_seen_also_where_the_dump_stays(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer
) -> None:
    cli.set("faces_within = 2")
    add_photos(library, anna, [3], 3, first=40)
    newer = of_person(library, 3)[-3:]
    late, (late.faces, more) = newer[0], (newer[0].faces[:0], newer[0].faces)

    def known() -> int:
        with Workspace.open(cli.workspace).registry() as registry:
            (boxes,) = registry.db.execute("SELECT boxes FROM assets WHERE asset_id = ?", (late.id,)).fetchone()
        return len(json.loads(boxes))

    assert (cli(*RUN).code, known()) == (0, 0)
    late.faces = more
    asked = [cli(*RUN).json["steps"]["stage"]["anna"]["faces_asked_again"] for _ in range(2)]
    assert known() == 1
    assert sum(asked) >= 3
    newer[1].faces, late.faces = newer[1].faces[:0], [*more, *newer[1].faces]  # one that is measured has another face
    server.requests.clear()
    assert (cli(*RUN, "--full").code, known(), server.count(FACES)) == (0, 2, 3)  # and none of those that the dump has


def test_a_newer_photo_whose_faces_cannot_be_asked_for_holds_up_the_plan_and_nothing_else(
    cli: CommandLine, library: Library, anna: User, faults: Faults
) -> None:
    add_photos(library, anna, [3], 1, first=40)
    faults.add(fault.status(503), FACES)
    cli.set("attempts = 1")
    answer = cli(*RUN)
    assert (answer.code, answer.json["retryable"], answer.json["assets_by_reason"]["faces_error"]) == (3, 1, 1), answer.err
    whole(cli, answer.json)
    faults.clear()
    answer = cli(*RUN)
    assert (answer.code, answer.json["sets_new"], answer.json["retryable"]) == (0, SETS, 0), answer.err
    whole(cli, answer.json)


def test_an_old_dump_is_refused_with_both_figures_and_nothing_of_it_is_taken(cli: CommandLine, library: Library) -> None:
    for victim in of_person(library, 3)[:2]:
        del library.assets[victim.id]
    answer = cli("run", "--user", "anna")
    assert answer.code == 4
    assert (
        "of the 35 photos and videos that the dump of 2026-03-01 02:00 has of 'anna', only 33 are in the library today (94.3%)"
        in answer.line
    )
    assert "--accept-old" in answer.line
    assert (rows(cli), (cli.workspace / ".dump").exists()) == ({}, False)
    answer = cli(*RUN, "--accept-old")
    assert (answer.code, answer.json["sets_new"]) == (0, SETS), answer.err
    assert "it is used all the same" in answer.err
    whole(cli, answer.json)


def test_what_lies_in_the_trash_since_makes_no_dump_old(cli: CommandLine, library: Library, anna: User) -> None:
    victim = of_person(library, 3)[0]
    victim.deleted_at = anna.created_at
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert rows(cli)[victim.id] is Reason.TRASHED


def test_the_dump_of_another_immich_is_refused(cli: CommandLine, nightly: Nightly, db: Db, anna: User) -> None:
    data = gzip.decompress(nightly.dump().read_bytes())
    (nightly.folder / NAME).write_bytes(gzip.compress(data.replace(anna.id.encode(), b"99999999" + anna.id[8:].encode())))
    answer = cli("run", "--user", "anna")
    assert answer.code == 2
    assert f"does not know 'anna' ({anna.id})" in answer.line
    assert "99999999" in answer.line
    assert rows(cli) == {}


def test_of_another_owners_photos_nothing_comes(cli: CommandLine, library: Library, nightly: Nightly) -> None:
    bob = library.user("bob")
    add_photos(library, bob, [1], 7, first=60)
    nightly.dump()
    answer = cli(*RUN)
    assert answer.json["faces_by_state"] == {"in_set": 25, "left_out": STRANGERS}
    assert answer.json["listed"] == 23 + STRANGERS


@pytest.mark.parametrize(
    ("spoilt", "words", "code"),
    [
        (lambda data: data[: len(data) // 2], "is cut off", 1),
        (lambda data: b"", "is cut off", 1),
        (lambda data: gzip.compress(gzip.decompress(data).replace(b"COPY public.asset ", b"COPY public.assets ")), "no table asset", 1),
        (lambda data: gzip.compress(gzip.decompress(data).replace(b'"isVisible"', b'"visible"')), "has no column isVisible", 1),
    ],
)
def test_a_dump_that_cannot_be_used_is_said_and_nothing_is_half_taken(
    cli: CommandLine, nightly: Nightly, spoilt: Callable[[bytes], bytes], words: str, code: int
) -> None:
    path = nightly.folder / NAME
    path.write_bytes(spoilt(path.read_bytes()))
    answer = cli("run", "--user", "anna")
    assert (answer.code, words in answer.line, NAME in answer.line) == (code, True, True), answer.err
    assert (rows(cli), (cli.workspace / ".dump").exists()) == ({}, False)
    nightly.dump()
    assert cli(*RUN).json["sets_new"] == SETS


def test_without_a_database_and_without_a_dump_it_is_said_what_to_do(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_DUMP")
    answer = cli("run", "--user", "anna")
    assert (answer.code, "IMMICH_DUMP=server" in answer.line) == (2, True)


# -- from the server


@pytest.fixture
def streamed(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("IMMICH_DUMP", "server")
    return cli


def test_a_connection_that_breaks_is_taken_up_again_and_nothing_is_read_twice(
    streamed: CommandLine, another: Callable[[str], CommandLine], faults: Faults
) -> None:
    undisturbed = another("undisturbed")
    undisturbed(*RUN)
    faults.add(fault.truncated(0.5), BACKUP, times=2)
    answer = streamed(*RUN)
    assert answer.code == 0, answer.err
    assert tree(streamed.workspace / "facesets") == tree(undisturbed.workspace / "facesets")
    whole(streamed, answer.json)


def test_a_key_that_may_not_is_told_what_to_tick(
    streamed: CommandLine, library: Library, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = ["asset.read", "asset.download", "face.read", "user.read"]
    for granted, lacking in ((reading, "maintenance"), ([*reading, "maintenance"], "backup.download")):
        monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, granted).secret)
        answer = streamed("run", "--user", "anna")
        assert (answer.code, f"lacks the permission {lacking}" in answer.line) == (2, True), answer.err
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, [*reading, "maintenance", "backup.download"]).secret)
    assert streamed(*RUN).json["sets_new"] == SETS


def test_somebody_who_is_no_administrator_needs_the_key_of_one(
    streamed: CommandLine, library: Library, nightly: Nightly, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = library.user("bob")
    add_photos(library, bob, [5], 6)
    nightly.dump()
    monkeypatch.delenv("IMMICH_API_KEY")
    monkeypatch.setenv("IMMICH_API_KEY_BOB", library.key_for(bob))
    answer = streamed("run", "--user", "bob")
    assert (answer.code, "are for administrators" in answer.line) == (2, True), answer.err
    monkeypatch.setenv("IMMICH_API_KEY_ANNA", library.key_for(anna))
    answer = streamed("run", "--user", "bob", "--json")
    assert (answer.code, answer.json["sets_new"]) == (0, ["faceset_001"]), answer.err


def test_a_server_without_a_backup_and_one_that_has_none_to_give_are_said(
    streamed: CommandLine, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.backups = {"uploaded-by-hand.sql.gz": b"", "../../etc/passwd.sql": b""}
    assert "has no backup of its database yet" in streamed("run", "--user", "anna").line
    with immich_server(library, "2.4.1") as older:
        monkeypatch.setenv("IMMICH_URL", older.url)
        assert "from 2.5 on" in streamed("run", "--user", "anna").line


def test_the_doctor_names_the_dump_that_would_be_read(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def said() -> str:
        return json.dumps(cli("doctor", "--user", "anna", "--json").json)

    assert f"Immich's dump {NAME}" in said()
    monkeypatch.setenv("IMMICH_DUMP", "server")
    assert f"Immich's dump {NAME}" in said()
    monkeypatch.setenv("IMMICH_DUMP", str(tmp_path / "nowhere"))
    assert "there is no" in said()


def test_with_a_dump_boxes_of_3x_come_without_a_request_for_each_photo_whatever_the_pack(
    cli: CommandLine, server: ImmichServer, another: Callable[[str], CommandLine], pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = cli(*RUN, "--pack", pack).json
    assert (server.count(FACES), summary["sets_new"]) == (0, SETS)
    monkeypatch.delenv("IMMICH_DUMP")
    asked = another("asked")
    assert asked(*RUN, "--pack", pack).json["sets_new"] == SETS
    assert server.count(FACES) == 23 + STRANGERS
    assert tree(asked.workspace / "facesets") == tree(cli.workspace / "facesets")
    with Workspace.open(cli.workspace).registry() as one, Workspace.open(asked.workspace).registry() as two:
        sql = "SELECT asset_id, boxes FROM assets ORDER BY asset_id"
        assert list(map(tuple, one.db.execute(sql))) == list(map(tuple, two.db.execute(sql)))
