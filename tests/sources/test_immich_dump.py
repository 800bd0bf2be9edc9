"""What a dump of Immich's database says of our users: in both forms, in any order, of nobody else, and all of it or nothing."""

from __future__ import annotations

import gzip
import itertools
import os
import sqlite3
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facesets.errors import BadAnswer, FacesetsError, UsageError
from facesets.progress import Silent
from facesets.records import User
from facesets.registry import assets
from facesets.sources import immich_vectors
from facesets.sources.dump_files import open_dump
from facesets.sources.dump_store import FOLDER, DumpStore
from facesets.sources.immich_dump import read_dump
from facesets.sources.immich_dump_source import DumpVectors, check_owner, discard_dump, dumped
from facesets.testing import Library
from facesets.workspace import Workspace
from tests.dumps import COLUMNS, END, MODERN, SECRETS, STRANGER, USER, copy, pg_dump, rows, uid, written
from tests.immich.photos import BIG, SMALL, photo
from tests.postgres import connect, fill

ANNA = User("anna", USER, "Anna")
READ_SEVERAL_TIMES = ["face_search", "asset_face", "asset", "person", "user", "system_metadata"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DumpStore]:
    with DumpStore.create(tmp_path / "store") as made:
        yield made


def read(store: DumpStore, data: bytes, *owners: str) -> int:
    """Put a dump into the store; returns how often it was read."""
    times = itertools.count()

    def each(consume: Callable[[Iterator[bytes]], tuple[set[str], set[str]]]) -> tuple[set[str], set[str]]:
        next(times)
        return consume(iter([data]))

    read_dump(each, store, owners or [USER])
    return next(times)


def everything(store: DumpStore) -> object:
    wanted = {uid(1, n): None for n in range(9)}
    vectors = {face: vector.tolist() for face, vector in store.vectors([uid(2, n) for n in range(9)]).items()}
    return store.boxes(USER, wanted), vectors, store.count(USER), store.fact("users"), store.fact("model")


def everywhere(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# -- what is read


def test_faces_people_and_vectors_of_our_own_photos_are_read(store: DumpStore) -> None:
    assert read(store, written(rows())) == 1
    found = store.boxes(USER, {uid(1, 0): None, uid(1, 1): f"{1:040x}", uid(1, 2): "f" * 40, uid(1, 7): None})
    assert set(found) == {uid(1, 0), uid(1, 1)}  # of another content, and unknown: ask the server
    (box,) = found[uid(1, 1)]
    assert (box.x1, box.y1, box.x2, box.y2, box.image_width, box.image_height) == (11, 20, 310, 320, 1440, 1080)
    assert (box.face_id, box.person_id, box.person_name) == (uid(2, 1), uid(4, 0), "Anna")
    vector = store.vectors([uid(2, 1), uid(2, 8)])[uid(2, 1)]
    assert vector.tolist() == np.array([1, 0.5, -1e-05], np.float32).tolist()
    assert store.count(USER) == (3, 3, 3)


@pytest.mark.parametrize(
    "order", [list(COLUMNS), READ_SEVERAL_TIMES, ["asset_face", "face_search", "user", "system_metadata", "asset", "person"]]
)
def test_tables_may_come_in_any_order(tmp_path: Path, order: list[str]) -> None:
    with DumpStore.create(tmp_path / "a") as plain, DumpStore.create(tmp_path / "b") as other:
        read(plain, written(rows()))
        assert read(other, written(rows(), order)) <= 3
        assert everything(other) == everything(plain)


def test_faces_that_immich_hides_or_has_deleted_are_none(store: DumpStore) -> None:
    tables = rows(4)
    tables["asset_face"][0][-1] = "f"
    tables["asset_face"][1][-2] = "2026-01-01 00:00:00+00"
    tables["face_search"].pop(2)
    read(store, written(tables))
    assert [len(boxes) for boxes in store.boxes(USER, {uid(1, n): None for n in range(4)}).values()] == [0, 0, 1, 1]
    assert set(store.vectors([uid(2, n) for n in range(4)])) == {uid(2, 3)}
    assert store.count(USER) == (4, 2, 1)


def test_what_the_api_would_not_list_does_not_count(store: DumpStore) -> None:
    tables = rows(4)
    tables["asset"][0][3], tables["asset"][1][4], tables["asset"][2][5] = "locked", "deleted", "2026-01-01 00:00:00+00"
    read(store, written(tables))
    assert store.count(USER)[0] == 2
    assert store.known(USER, [uid(1, n) for n in range(9)]) == 2


def test_nothing_of_others_is_kept(store: DumpStore, tmp_path: Path) -> None:
    ours, theirs = rows(3), rows(3, owner=STRANGER, first=5)
    theirs["person"] = [[uid(4, 9), STRANGER, "Somebody else", None, "f"]]
    theirs["asset_face"][0][2] = uid(4, 9)
    theirs["user"] = [[STRANGER, "stranger@example.test", None]]
    for table in theirs:
        ours[table] += theirs[table]
    ours["face_search"].append([uid(2, 99), "[1.25,2]"])  # of no face at all
    ours["system_metadata"] = [["smtp", '{"password": "secret"}'], ["system-config", '{"oauth": {"clientSecret": "secret"}}']]
    read(store, written(ours, READ_SEVERAL_TIMES))
    assert store.vectors([uid(2, 5), uid(2, 99)]) == {}
    assert store.boxes(USER, {uid(1, 5): None}) == store.boxes(STRANGER, {uid(1, 5): None}) == {}
    kept = everywhere(tmp_path / "store")
    for word in (b"Somebody", b"stranger@", b"secret", uid(1, 5).encode(), uid(2, 5).encode(), uid(4, 9).encode(), b"example"):
        assert word not in kept
    assert np.array([1.25, 2], np.float32).tobytes() not in kept
    assert len((tmp_path / "store" / "vectors").read_bytes()) == 3 * 3 * 4


@pytest.mark.parametrize(
    ("value", "model"), [("{}", None), (r'{"machineLearning": {"facialRecognition": {"modelName": "antelopev2"}}}', "antelopev2")]
)
def test_the_model_is_the_one_in_immichs_settings(store: DumpStore, value: str, model: str | None) -> None:
    tables = rows()
    tables["system_metadata"] = [["system-config", value]]
    read(store, written(tables))
    configured = DumpVectors(store).configured()
    assert (configured.model, configured.seen) == (model or "buffalo_l", True)


def test_without_immichs_settings_the_model_is_a_guess(store: DumpStore) -> None:
    tables = rows()
    del tables["system_metadata"]
    read(store, written(tables))
    assert DumpVectors(store).configured().seen is False


@pytest.mark.slow
def test_memory_does_not_grow_with_the_faces(tmp_path: Path) -> None:
    def dump(count: int) -> Iterator[bytes]:
        for table in ("user", "person", "asset", "asset_face", "face_search"):
            yield f'COPY public."{table}" ({", ".join(COLUMNS[table])}) FROM stdin;\n'.encode()
            for first in range(0, 1 if table in ("user", "person") else count, 500):
                lines = copy(table, COLUMNS[table], rows(500 if count > 1 else 1, first=first)[table]).split(b"\n", 1)[1]
                yield lines[: lines.rindex(b"\\.")]
            yield b"\\.\n\n"
        yield END

    def peak(count: int) -> int:
        with DumpStore.create(tmp_path / str(count)) as store:
            tracemalloc.start()
            try:
                read_dump(lambda consume: consume(dump(count)), store, [USER])
                assert store.count(USER) == (count, count, count)
                for first in range(0, count, 1000):
                    assert len(store.vectors([uid(2, n) for n in range(first, first + 1000)])) == 1000
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert peak(20_000) < peak(5_000) + (1 << 20)  # 15,000 faces kept as objects would be 5 MB and more


# -- what is refused


def modern(tables: dict[str, list[list[str | None]]]) -> bytes:
    tables["person"] = [row[1:] + row[:1] for row in tables["person"]]
    face = tuple("personGroupId" if name == "personId" else name for name in COLUMNS["asset_face"])
    return written(tables, asset_face=face, person=("ownerId", "name", "birthDate", "isHidden", "personGroupId"))


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    with DumpStore.create(tmp_path / "a") as before, DumpStore.create(tmp_path / "b") as since:
        read(before, written(rows()))
        tables = rows()
        tables["person"].append([uid(4, 0), STRANGER, "Grandma to another member of the cluster", None, "f"])
        read(since, modern(tables))
        assert everything(since) == everything(before)


def test_a_person_whom_another_user_has_alone_is_somebody_without_a_name(store: DumpStore) -> None:
    tables = rows(1)
    tables["person"][0][1] = STRANGER
    read(store, modern(tables))
    ((box,),) = store.boxes(USER, {uid(1, 0): None}).values()
    assert (box.person_id, box.person_name) == (uid(4, 0), None)


@pytest.mark.parametrize("table", ["user", "person", "asset", "asset_face", "face_search"])
def test_a_dump_without_one_of_the_tables_names_it(store: DumpStore, table: str) -> None:
    tables = rows()
    del tables[table]
    with pytest.raises(BadAnswer, match=f"no table {table}"):
        read(store, written(tables))


@pytest.mark.parametrize("table", ["user", "person", "asset", "asset_face", "face_search"])
def test_a_column_that_is_missing_is_named(store: DumpStore, table: str) -> None:
    for name in COLUMNS[table]:
        if name in ("email", "deletedAt") and table in ("user", "asset") and not (table == "user" and name == "deletedAt"):
            continue
        columns = tuple("other" if one == name else one for one in COLUMNS[table])
        with pytest.raises(BadAnswer, match=f"table {table} has no column {name}"):
            read(store, written(rows(), **{table: columns}))
    assert store.count(USER) == (0, 0, 0)


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        ("asset", ["1; DROP TABLE asset", USER, "", "timeline", "active", None], "is no id"),
        ("asset", [None, USER, "", "timeline", "active", None], "is no id"),
        ("asset", [uid(1, 0), USER, "", "timeline", "active", None], "an id is there twice"),
        ("asset_face", [uid(2, 50), uid(1, 0), None, "1e3", "1", "1", "1", "1", "1", None, "t"], "no whole number"),
        ("asset_face", [uid(2, 50), uid(1, 0), None, "9" * 30, "1", "1", "1", "1", "1", None, "t"], "no whole number"),
        ("asset_face", [uid(2, 50), uid(1, 0), None, None, "1", "1", "1", "1", "1", None, "t"], "no whole number"),
        ("asset_face", [uid(2, 0), uid(1, 0), None, "1", "1", "1", "1", "1", "1", None, "t"], "an id is there twice"),
        ("person", ["../../x", USER, "", None, "f"], "is no id"),
        ("face_search", [uid(2, 0), "1,2"], "no list of numbers"),
        ("face_search", [uid(2, 0), "[1,2,x]"], "no list of numbers"),
        ("face_search", [uid(2, 0), "[]"], "no list of numbers"),
        ("face_search", ["", "[1]"], "is no id"),
        ("system_metadata", ["system-config", "{"], "no JSON"),
    ],
)
def test_rows_that_no_immich_wrote_are_refused_and_nothing_is_half_taken(
    store: DumpStore, tmp_path: Path, table: str, row: list[str | None], words: str
) -> None:
    tables = rows()
    tables[table] = [*tables[table], row]
    with pytest.raises(BadAnswer, match=words):
        read(store, written(tables))
    assert store.count(USER) == (0, 0, 0)
    assert (tmp_path / "store" / "vectors").read_bytes() == b""
    read(store, written(rows()))
    assert store.count(USER) == (3, 3, 3)


def test_numbers_that_are_none_reach_who_judges_vectors(store: DumpStore) -> None:
    tables = rows()
    tables["face_search"] = [[uid(2, 0), "[nan,1e50,0]"], [uid(2, 1), "[" + ",".join(["0"] * 9000) + "]"], [uid(2, 2), None]]
    read(store, written(tables))
    found = store.vectors([uid(2, n) for n in range(3)])
    assert {face: len(vector) for face, vector in found.items()} == {uid(2, 0): 3, uid(2, 1): 9000}


def test_a_reading_that_broke_off_leaves_nothing_behind_when_it_is_tried_again(store: DumpStore, tmp_path: Path) -> None:
    data, tries = written(rows(), READ_SEVERAL_TIMES), list[int]()

    def each(consume: Callable[[Iterator[bytes]], tuple[set[str], set[str]]]) -> tuple[set[str], set[str]]:
        tries.append(len(tries))
        for end in range(0, len(data), 97):  # as a connection that breaks again and again
            with pytest.raises(BadAnswer, match=r"cut off|fields"):
                consume(iter([data[:end]]))
        return consume(iter([data]))

    read_dump(each, store, [USER])
    with DumpStore.create(tmp_path / "b") as other:
        read(other, data)
        assert everything(store) == everything(other)
    assert (tmp_path / "store" / "vectors").stat().st_size == 3 * 3 * 4


def test_a_dump_of_another_immich_is_known_by_its_user_ids(store: DumpStore) -> None:
    tables = rows()
    tables["user"] = [[uid(9, n), "x", None] for n in range(5)]
    read(store, written(tables))
    store.set_fact("name", "d.sql.gz")
    with pytest.raises(UsageError, match=f"does not know 'Anna'.*another Immich.*{uid(9, 0)}"):
        check_owner(store, ANNA)


def test_a_dump_that_knows_others_of_us_is_older_than_an_account_that_it_does_not_know(store: DumpStore) -> None:
    read(store, written(rows()))
    store.set_fact("name", "d.sql.gz")
    store.set_fact("made_at", "2026-03-01 02:00")
    with pytest.raises(UsageError, match=r"does not know 'Ben'.*made on 2026-03-01 02:00, before that account") as refused:
        check_owner(store, User("ben", uid(9, 1), "Ben"))
    assert "another Immich" not in str(refused.value)


def test_a_user_who_was_deleted_is_known_no_longer(store: DumpStore) -> None:
    tables = rows()
    tables["user"] = [[USER, "x", "2026-01-01 00:00:00+00"]]
    read(store, written(tables))
    store.set_fact("name", "d.sql.gz")
    with pytest.raises(UsageError, match="does not know"):
        check_owner(store, ANNA)


# -- real dumps


@pytest.fixture
def library() -> Library:
    library = Library(seed=7)
    anna = library.user("anna")
    odd = library.person(anna, "Grandma\tÖ.\\N \n\"'", birth_date="1931-02-28", is_hidden=True)
    library.photo(anna, photo(1), faces=[replace(BIG, person=odd), SMALL])
    library.photo(anna, photo(2), faces=[replace(BIG, is_visible=False)])
    library.photo(anna, photo(4), file_name="C:\\new\\table\t.jpg")
    library.photo(library.user("bob"), photo(3), faces=[BIG])
    return library


@pytest.mark.parametrize("form", ["2.7 to 3.1", "3.2"])
def test_a_real_dump_says_what_the_database_says_to_the_last_bit(postgres: str, library: Library, store: DumpStore, form: str) -> None:
    rng = np.random.default_rng(1)
    ids = [face.id for asset in library.assets.values() for face in asset.faces]
    kept = {face: (rng.standard_normal(512) * 10.0 ** rng.integers(-30, 30, 512)).astype(np.float32) for face in ids}
    fill(postgres, library, kept, model="antelopev2")
    anna = next(iter(library.users.values()))
    with connect(postgres) as db:
        db.execute(SECRETS + (MODERN if form == "3.2" else ""))
    assert read(store, pg_dump(postgres), anna.id) == 1
    with immich_vectors.vectors(postgres) as database:
        asked = [*ids, uid(2, 0)]
        there = {face: vector for face, vector in database.of(asked).items() if face in ids[:2]}
        here = store.vectors(asked)
        assert {face: vector.tobytes() for face, vector in here.items()} == {face: vector.tobytes() for face, vector in there.items()}
        assert DumpVectors(store).configured() == database.configured()
        assert DumpVectors(store).count(User("anna", anna.id)) == database.count(User("anna", anna.id)) == (2, 2)
    found = store.boxes(anna.id, {asset.id: asset.sha1.hex() for asset in library.assets.values()})
    assert [len(found[asset.id]) for asset in library.assets.values() if asset.owner_id == anna.id] == [2, 0, 0]
    assert {box.person_name for boxes in found.values() for box in boxes} == {"Grandma\tÖ.\\N \n\"'", None}
    assert store.fact("version") == "3.1.0"


def test_a_real_dump_that_is_cut_off_says_so(postgres: str, library: Library, store: DumpStore) -> None:
    fill(postgres, library)
    data = pg_dump(postgres)
    for end in (0, 10, len(data) // 2, len(data) - 4):
        with pytest.raises(BadAnswer, match="cut off"):
            read(store, data[:end])


# -- where it lies


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.init(tmp_path / "w")
    with made.registry() as registry, registry.transaction():
        assets.bind_user(registry, ANNA)
    return made


def named(workspace: Workspace, file: object) -> Workspace:
    settings = workspace.settings
    return replace(workspace, settings=replace(settings, immich_dump=replace(settings.immich_dump, file=str(file))))


def test_the_newest_of_a_folder_is_read(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    names = [
        "immich-db-backup-20260101T020000-v2.7.2-pg14.19.sql.gz",
        "immich-db-backup-20260301T020000-v3.1.0-pg14.19.sql.gz",
        "immich-db-backup-20260302T020000-v3.1.0-pg14.19.sql.gz.tmp",
        "immich-db-backup-1700000000000.sql.gz",
        "notes.txt",
        ".hidden.sql",
    ]
    for age, name in enumerate(names):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (2e9 - age, 2e9 - age))  # copied in any order
    with open_dump(workspace, str(folder)) as dump:
        assert (dump.name, dump.made_at, dump.size) == (names[1], "2026-03-01 02:00", 1)
    (folder / "mine.sql").write_bytes(b"x")
    os.utime(folder / "mine.sql", (2e9, 2e9))
    with open_dump(workspace, str(folder)) as dump:
        assert dump.name == "mine.sql"  # which tells its age by its date alone
    with open_dump(workspace, str(tmp_path)) as dump:
        assert dump.name == "mine.sql"  # the upload location, which holds that folder


def test_a_folder_without_a_dump_and_a_file_that_is_not_there_are_said(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.sql.gz.tmp").touch()
    with pytest.raises(UsageError, match=r"holds no dump \(1 unfinished"), open_dump(workspace, str(tmp_path / "empty")):
        pass
    with pytest.raises(UsageError, match=r"there is no .*nothing\.sql"), open_dump(workspace, str(tmp_path / "nothing.sql")):
        pass
    os.mkfifo(tmp_path / "pipe.sql")
    with pytest.raises(UsageError, match="neither a file nor a folder"), open_dump(workspace, str(tmp_path / "pipe.sql")):
        pass
    for odd in ("n" * 300, "a\0b", "x.sql"):
        (tmp_path / "x.sql").unlink(missing_ok=True)
        (tmp_path / "x.sql").symlink_to("x.sql")
        with pytest.raises(UsageError, match="it cannot be read"), open_dump(workspace, str(tmp_path / odd)):
            pass


def test_a_dump_that_is_replaced_between_two_readings_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_bytes(written(rows(), READ_SEVERAL_TIMES))
    with open_dump(workspace, str(path)) as dump:
        assert dump.each(lambda pieces: sum(map(len, pieces))) == dump.size
        path.write_bytes(written(rows(2), READ_SEVERAL_TIMES))
        with pytest.raises(BadAnswer, match="another file took its place"):
            dump.each(list)


def test_what_is_kept_of_a_dump_is_private_read_once_and_removed(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "dump.sql.gz"
    path.write_bytes(gzip.compress(written(rows())))
    with workspace.registry() as registry:
        for _ in range(2):
            with dumped(named(workspace, path), registry, Silent()) as store:
                assert store.count(USER) == (3, 3, 3)
            path.unlink(missing_ok=True)
        folder = workspace.root / FOLDER
        assert [stat.S_IMODE(one.stat().st_mode) for one in [folder, *sorted(folder.iterdir())]] == [0o700, 0o600, 0o600]
        discard_dump(workspace)
        assert not folder.exists()
        with pytest.raises(UsageError, match="there is no"), dumped(named(workspace, path), registry, Silent()):
            pass


@pytest.mark.parametrize("data", [b"", written(rows())[: -len(END)], b"PGDMP....", gzip.compress(written(rows()))[:-9]])
def test_a_dump_that_cannot_be_read_is_named_and_leaves_nothing(workspace: Workspace, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump.sql"
    path.write_bytes(data)
    with workspace.registry() as registry:
        with pytest.raises(BadAnswer, match=r"the dump dump\.sql cannot be used: "), dumped(named(workspace, path), registry, Silent()):
            pass
        assert not (workspace.root / FOLDER).exists()
        path.write_bytes(written(rows()))
        with dumped(named(workspace, path), registry, Silent()) as store:
            assert store.count(USER) == (3, 3, 3)


def test_somebody_bound_since_has_the_dump_read_again(workspace: Workspace, tmp_path: Path) -> None:
    path, tables, bobs = tmp_path / "dump.sql", rows(3), rows(2, owner=STRANGER, first=5)
    for table in ("asset", "asset_face", "face_search"):
        tables[table] += bobs[table]
    path.write_bytes(written(tables))
    with workspace.registry() as registry:
        with dumped(named(workspace, path), registry, Silent()) as store:
            assert store.count(STRANGER) == (0, 0, 0)
        with registry.transaction():
            assets.bind_user(registry, User("bob", STRANGER, "Bob"))
        with dumped(named(workspace, path), registry, Silent()) as store:
            assert (store.count(USER), store.count(STRANGER)) == ((3, 3, 3), (2, 2, 2))


def test_a_full_disk_is_said_and_leaves_nothing(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dump.sql"
    path.write_bytes(written(rows()))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with workspace.registry() as registry, monkeypatch.context() as patched:
        patched.setattr(DumpStore, "add_faces", full)
        with pytest.raises(FacesetsError, match="disk is full"), dumped(named(workspace, path), registry, Silent()):
            pass
    assert not (workspace.root / FOLDER).exists()


# -- dumps of other makers


def elsewhere(data: bytes, schema: str) -> bytes:
    """The same tables in another schema."""
    return data.replace(b'COPY public."', f'COPY {schema}."'.encode())


def of_strangers() -> dict[str, list[list[str | None]]]:
    """Another Immich's tables."""
    tables = rows(2, owner=STRANGER, first=70)
    return {**tables, "user": [[STRANGER, "bob@example.test", None]], "person": [[uid(4, 7), STRANGER, "Bob", None, "f"]]}


def body(tables: dict[str, list[list[str | None]]]) -> bytes:
    return written(tables).removesuffix(END)


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("other", [of_strangers(), {"asset": of_strangers()["asset"]}])
def test_of_several_schemas_the_one_that_knows_our_users_is_read(
    store: DumpStore, tmp_path: Path, ours_first: bool, other: dict[str, list[list[str | None]]]
) -> None:
    ours, others = body(rows()), elsewhere(body(other), "copy_of_before")
    read(store, b"".join((ours, others) if ours_first else (others, ours)) + END)
    with DumpStore.create(tmp_path / "alone") as alone:
        read(alone, written(rows()))
        assert everything(store) == everything(alone)
    assert store.count(STRANGER) == (0, 0, 0)


def test_of_a_cluster_the_database_that_knows_our_users_is_read(store: DumpStore, tmp_path: Path) -> None:
    databases = [b"\\connect template1\n\n", b"\\connect immich_old\n\n" + body(of_strangers()), b"\\connect immich\n\n" + body(rows())]
    cluster = b"--\n-- PostgreSQL database cluster dump\n--\n\n" + b"".join(one + END for one in databases)
    cluster += b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"
    read(store, cluster.replace(b"\n", b"\r\n"))  # as Immich's own guide had it made: docker exec -t
    with DumpStore.create(tmp_path / "alone") as alone:
        read(alone, written(rows()))
        assert everything(store) == everything(alone)


def test_where_no_database_knows_our_users_it_is_said_whose_it_is(store: DumpStore) -> None:
    read(store, body(of_strangers()) + elsewhere(body({**of_strangers(), "user": []}), "other") + END)
    assert store.fact("users") == []
    assert store.count(STRANGER) == (0, 0, 0)


def test_columns_that_are_new_or_stand_elsewhere_do_no_harm(store: DumpStore, tmp_path: Path) -> None:
    tables = rows()
    columns = {name: ("of 3.3", *reversed(COLUMNS[name]), "also (new)") for name in tables}
    newer: dict[str, list[list[str | None]]] = {
        name: [["x", *reversed(row), None] for row in of_table] for name, of_table in tables.items()
    }
    read(store, written(newer, **columns))
    with DumpStore.create(tmp_path / "alone") as alone:
        read(alone, written(rows()))
        assert everything(store) == everything(alone)


def test_a_dump_of_insert_statements_is_told_from_another_programs(store: DumpStore) -> None:
    made = b"".join(f"INSERT INTO public.{name} VALUES ('...');\n".encode() for name in ("asset", "asset_face"))
    with pytest.raises(BadAnswer, match="without --inserts"):
        read(store, made + END)
