"""Pack immich-db: Immich's own vectors, from a real Postgres; the bytes of sets' members alone, over real HTTP."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesets.changes import member_photos
from facesets.models.detection import same_face
from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.photos.decode import decode
from facesets.records import Reason
from facesets.registry import assets, faces
from facesets.testing import Box, Faults, ImmichServer, Library, User, immich_server
from facesets.testing import faults as fault
from facesets.testing.immich.records import Asset
from facesets.workspace import Workspace
from tests.postgres import connect, fill, put_vector, reader

from .test_killed import signalled
from .test_killed_and_changed import copied_at_each_commit
from .world import CommandLine, add_photos, boxes, jpeg, put, tree

ORIGINAL = "GET /api/assets/{id}/original"
RUN = ("run", "--user", "anna", "--json")
SETS = ["faceset_001", "faceset_002", "faceset_003"]
STRANGERS = 12


@pytest.fixture
def library() -> Library:
    """As for the other packs, with more strangers: three people with sets, and photos that no set wants."""
    library = Library()
    anna = library.user("anna")
    for person in (1, 2, 3):
        add_photos(library, anna, [person], 7)
    add_photos(library, anna, [1, 2], 2, first=20)
    for stranger in range(100, 100 + STRANGERS):
        add_photos(library, anna, [stranger], 1)
    return library


@pytest.fixture
def server(library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, "3.1.0", faults=faults) as running:
        yield running


@pytest.fixture
def anna(library: Library) -> User:
    return next(user for user in library.users.values() if user.name == "anna")


@pytest.fixture(scope="session")
def twin(pack: Path) -> Pack:
    """What Immich runs here."""
    return load_pack(pack)


_SEEN: dict[bytes, Any] = {}  # what the twin, of which there is one, sees in a photo: most tests here have the same ones


@functools.cache
def _rotation() -> np.ndarray[Any, Any]:
    return np.linalg.qr(np.random.default_rng(3).standard_normal((512, 512)))[0]


class Db:
    """Immich's database beside the library; ``turn`` is another model: every vector turned by the same random rotation."""

    def __init__(self, url: str, library: Library, twin: Pack) -> None:
        self.url, self.library, self.twin = url, library, twin

    def vectors(self, *, turn: bool = False) -> dict[str, np.ndarray[Any, Any]]:
        """Of all faces, not of unit length."""
        found, spin = {}, _rotation() if turn else None
        for asset in self.library.assets.values():
            if asset.type != "IMAGE" or not asset.faces:
                continue
            picture = asset.preview or asset.data
            assert isinstance(picture, bytes)
            seen, vectors = self._look(picture)
            for face in asset.faces:
                width, height = asset.size_upright or (1, 1)
                across, down = width / face.image_width, height / face.image_height
                box = (face.x1 * across, face.y1 * down, face.x2 * across, face.y2 * down)
                at = next((i for i, one in enumerate(seen) if same_face(one.box, box)), None)
                if at is not None and face.has_vector:
                    found[face.id] = 17.5 * (vectors[at] if spin is None else vectors[at] @ spin)
        return found

    def _look(self, data: bytes) -> Any:
        if data not in _SEEN:
            photo = decode(data)
            seen = self.twin.detect(photo.rgb)
            points = np.array([one.landmarks for one in seen], np.float64).reshape(-1, 5, 2)
            _SEEN[data] = seen, self.twin.embed(photo.rgb, points).vectors.astype(np.float64)
        return _SEEN[data]

    def fill(self, *, model: str | None = None, turn: bool = False) -> None:
        """Make it that of the library as it is now."""
        fill(self.url, self.library, self.vectors(turn=turn), model=model)


@pytest.fixture
def db(postgres: str, library: Library, twin: Pack) -> Db:
    made = Db(postgres, library, twin)
    made.fill()
    return made


@pytest.fixture
def cli(cli: CommandLine, db: Db, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """With the database in place of a model; the twin lies where InsightFace keeps buffalo_l, as on a machine that has it."""
    home = tmp_path / "home"
    (home / ".insightface" / "models").mkdir(parents=True)
    (home / ".insightface" / "models" / "buffalo_l").symlink_to(pack)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("IMMICH_DB_URL", db.url)
    text = (cli.workspace / "facesets.toml").read_text()
    (cli.workspace / "facesets.toml").write_text(text.replace(f'pack = "{pack}"', 'pack = "immich-db"'))
    return cli


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any model pack."""
    from facesets.errors import PackUnavailable  # noqa: PLC0415

    def none(name: str, **_: object) -> Pack:
        raise PackUnavailable(f"no {name} here")

    monkeypatch.setattr(member_photos, "load_pack", none)
    monkeypatch.setattr("facesets.faces.pack_choice.load_pack", none)


@pytest.fixture
def another(cli: CommandLine, tmp_path: Path) -> Callable[[str], CommandLine]:
    """Further workspaces with the same settings."""

    def make(name: str) -> CommandLine:
        made = CommandLine(tmp_path / name, cli.capsys)
        made("init")
        (made.workspace / "facesets.toml").write_text((cli.workspace / "facesets.toml").read_text())
        return made

    return make


def photos_of(cli: CommandLine) -> set[str]:
    """The assets that the members of all sets were cut from."""
    described = [json.loads(path.read_text()) for path in (cli.workspace / "facesets").glob("*/faceset.json")]
    return {face["source"]["asset_id"] for one in described for face in one["faces"]}


def whole(cli: CommandLine, summary: dict[str, Any]) -> None:
    """Everything is accounted for, and every byte is as recorded."""
    assert summary["listed"] == sum(summary["assets_by_state"].values())
    with Workspace.open(cli.workspace).registry() as registry:
        assert registry.db.execute("SELECT count(*) FROM faces").fetchone()[0] == sum(summary["faces_by_state"].values())
    assert cli("verify").code == 0


def rows(cli: CommandLine) -> dict[str, Reason]:
    with Workspace.open(cli.workspace).registry() as registry:
        return {row.asset.asset_id: row.reason for row in assets.select(registry)}


def of_person(library: Library, person: int) -> list[Asset]:
    return [asset for asset in library.assets.values() if asset.file_name.startswith(f"p{person}_")]


# -- the way it goes


def test_only_originals_of_members_are_fetched(cli: CommandLine, server: ImmichServer, library: Library, pack: Path) -> None:
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    summary = answer.json
    assert (summary["sets_new"], summary["pack"]) == (SETS, "immich-db@buffalo_l")
    assert summary["requests"] == sum(server.requests.values())
    assert summary["downloads"] == server.count(ORIGINAL) == len(photos_of(cli)) == 23
    assert (summary["originals_spared"], summary["assets_by_reason"]["measured_by_source"]) == (STRANGERS, STRANGERS)
    assert summary["bytes_spared"] == sum(a.size for a in library.assets.values()) - summary["steps"]["originals"]["bytes_downloaded"]
    assert summary["faces_by_state"] == {"in_set": 25, "left_out": STRANGERS}
    whole(cli, summary)
    by_hash = {sha256(asset.data).hexdigest(): asset.id for asset in library.assets.values() if isinstance(asset.data, bytes)}
    for path in (cli.workspace / "facesets").glob("*/faceset.json"):
        for face in json.loads(path.read_text())["faces"]:
            assert by_hash[face["source"]["sha256"]] == face["source"]["asset_id"]
            assert (face["quality"]["det_score"], face["quality"]["sharpness"]) == (None, None)
            assert face["quality"].get("landmarks_from_box") is None


def test_nothing_is_downloaded_before_the_plan(cli: CommandLine, server: ImmichServer, another: Callable[[str], CommandLine]) -> None:
    for step in ("stage", "embed", "cluster"):
        answer = cli(step, "--user", "anna", "--json")
        assert answer.code == 0, answer.err
        assert answer.json["assets_by_state"] == {"pending" if step == "stage" else "done": 23 + STRANGERS}
    assert server.count(ORIGINAL) == 0
    assert json.loads(cli("status", "--json").out)["sets_planned"] == SETS
    assert cli("write").code == 0
    assert server.count(ORIGINAL) == 23
    at_once = another("at-once")
    at_once(*RUN)
    assert tree(at_once.workspace / "facesets") == tree(cli.workspace / "facesets")


def test_the_sets_are_those_that_the_same_model_makes_of_all_originals(cli: CommandLine, another: Callable[[str], CommandLine]) -> None:
    cli(*RUN)
    local = another("local")
    summary = local(*RUN, "--pack", "buffalo_l").json
    assert summary["downloads"] == 23 + STRANGERS
    crops = {path: digest for path, digest in tree(local.workspace / "facesets").items() if path.endswith(".png")}
    assert sorted(crops.values()) == sorted(d for path, d in tree(cli.workspace / "facesets").items() if path.endswith(".png"))


def test_on_a_server_set_up_anew_the_sets_are_the_same_and_nothing_is_fetched(
    cli: CommandLine, library: Library, db: Db, twin: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*RUN).json["sets_new"] == SETS
    before, reasons = tree(cli.workspace / "facesets"), rows(cli)
    anew = Library(2)
    owner = anew.user("anna")
    for asset in library.assets.values():
        found = [(face.x1, face.y1, face.x2, face.y2, face.image_width, face.image_height) for face in asset.faces]
        made = anew.photo(owner, asset.data, file_name=asset.file_name, taken_at=asset.file_created_at, faces=boxes([1] * len(found)))
        for face, place in zip(made.faces, found, strict=True):
            face.x1, face.y1, face.x2, face.y2, face.image_width, face.image_height = place
    with immich_server(anew, "3.1.0") as other:
        monkeypatch.setenv("IMMICH_URL", other.url)
        monkeypatch.setenv("IMMICH_API_KEY", other.key_for(owner))
        Db(db.url, anew, twin).fill()
        assert "--new-server" in cli("run", "--user", "anna").line
        answer = cli(*RUN, "--new-server")
        assert (answer.code, answer.json["sets_new"], other.count(ORIGINAL)) == (0, [], 0), answer.err
        whole(cli, answer.json)
        assert rows(cli).keys() == anew.assets.keys()
        assert sorted(rows(cli).values()) == sorted(reasons.values())
        assert tree(cli.workspace / "facesets") == before
        other.requests.clear()
        answer = cli(*RUN, "--new-server")  # said again it does no harm
        assert (answer.code, answer.json["embedded"], sum(other.requests.values()) < 12) == (0, 0, True)


def test_a_second_run_asks_a_handful_and_changes_nothing(cli: CommandLine, server: ImmichServer) -> None:
    cli(*RUN)
    before = tree(cli.workspace / "facesets")
    server.requests.clear()
    again = cli(*RUN).json
    assert sum(server.requests.values()) == again["requests"] <= 5
    assert (again["downloads"], again["embedded"], again["sets_new"]) == (0, 0, [])
    assert tree(cli.workspace / "facesets") == before
    whole(cli, again)
    auto = cli.workspace / "facesets.toml"
    auto.write_text(auto.read_text().replace('pack = "immich-db"', 'pack = "auto"'))
    assert cli(*RUN).json["pack"] == "immich-db@buffalo_l"  # as what is here already


@pytest.mark.parametrize(("when", "nth"), [("before", 9), ("after", 13)])
def test_killed_and_repeated_it_ends_in_the_same_tree(
    cli: CommandLine, another: Callable[[str], CommandLine], when: str, nth: int
) -> None:
    import signal  # noqa: PLC0415

    undisturbed = another("undisturbed")
    undisturbed(*RUN)
    killed = signalled(cli, signal.SIGKILL, when, nth)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = cli(*RUN)
    assert again.code == 0, again.err
    assert tree(cli.workspace / "facesets") == tree(undisturbed.workspace / "facesets")
    whole(cli, again.json)


@pytest.mark.parametrize(("when", "every"), [("before", 1), ("after", 3)])
def test_left_as_it_is_at_any_commit_and_repeated_it_ends_in_the_same_tree(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, every: int
) -> None:
    with copied_at_each_commit(cli.workspace, tmp_path / "copies", monkeypatch, when) as copies:
        assert cli(*RUN).code == 0
    undisturbed = tree(cli.workspace / "facesets")
    assert len(copies) >= 17  # binding, listing, deciding, taking in, forgetting, adopting, the plan, asking for bytes, bytes, each set
    for copy in copies[::every]:
        cli.workspace.rename(copy.with_suffix(".after"))
        copy.rename(cli.workspace)
        again = cli(*RUN)
        assert again.code == 0, f"{copy.name}: {again.err}"
        assert tree(cli.workspace / "facesets") == undisturbed, copy.name
        whole(cli, again.json)


def test_killed_while_originals_come_it_fetches_only_what_lacks(
    cli: CommandLine, server: ImmichServer, faults: Faults, another: Callable[[str], CommandLine], library: Library
) -> None:
    undisturbed = another("undisturbed")
    undisturbed(*RUN)
    for step in ("stage", "embed", "cluster"):
        cli(step, "--user", "anna")
    victims = [asset.id for asset in of_person(library, 2)]
    for victim in victims:
        faults.add(fault.status(503), ORIGINAL, containing=victim)
    cli.set("attempts = 1")
    answer = cli(*RUN)
    assert (answer.code, answer.json["retryable"]) == (3, 7)
    assert answer.json["sets_new"] == ["faceset_001", "faceset_003"]  # those that lack nothing do not wait
    whole_but_one = tree(cli.workspace / "facesets")
    faults.clear()
    server.requests.clear()
    again = cli(*RUN)
    assert (again.code, again.json["sets_new"]) == (0, ["faceset_002"])
    assert again.json["downloads"] == server.count(ORIGINAL) == 7
    assert whole_but_one.items() - tree(cli.workspace / "facesets").items() <= {("manifest.json", whole_but_one["manifest.json"])}
    assert tree(cli.workspace / "facesets") == tree(undisturbed.workspace / "facesets")
    whole(cli, again.json)


@pytest.mark.parametrize("kept", [True, False])
def test_stopped_between_bytes_and_faces_nothing_is_fetched_twice(
    cli: CommandLine, server: ImmichServer, another: Callable[[str], CommandLine], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept:
        cli.set("keep_originals = false")
    undisturbed = another("undisturbed")
    undisturbed(*RUN)

    def stopped(_workspace: object, _registry: object, wanted: list[object], *_: object) -> bool:
        if wanted:
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patched:
        patched.setattr(member_photos, "_look", stopped)  # a stop at this very line cannot be timed from outside
        assert cli("run", "--user", "anna").code == 130
    again = cli(*RUN)
    assert (again.code, again.json["downloads"], again.json["sets_new"]) == (0, 0, SETS), again.err
    assert tree(cli.workspace / "facesets") == tree(undisturbed.workspace / "facesets")
    whole(cli, again.json)


def test_without_kept_originals_crops_stay_and_the_sets_are_the_same(cli: CommandLine, another: Callable[[str], CommandLine]) -> None:
    cli(*RUN)
    lean = another("lean")
    put(lean.workspace, "keep_originals = false")
    answer = lean(*RUN)
    assert answer.code == 0, answer.err
    assert not [path for path in (lean.workspace / "photos").rglob("*") if path.is_file()]
    assert tree(lean.workspace / "facesets") == tree(cli.workspace / "facesets")
    assert lean(*RUN).json["downloads"] == 0


def test_gates_let_pass_what_is_not_known(cli: CommandLine) -> None:
    cli.set("min_sharpness = 30.0")
    cli.set("min_det_score = 0.9")
    assert cli(*RUN).json["sets_new"] == SETS


def test_each_photo_and_face_can_be_explained_and_listed(cli: CommandLine, library: Library) -> None:
    cli(*RUN)
    stranger, member = of_person(library, 100)[0], of_person(library, 3)[0]
    story = cli("explain", stranger.id, "--json").json
    assert (story["reason"], story["sha256"], story["original"], len(story["faces"])) == ("measured_by_source", None, None, 1)
    face = story["faces"][0]
    assert (face["reason"], face["det_score"], face["sharpness"]) == ("few_faces", None, None)
    assert cli("explain", face["face_id"], "--json").json["asset_id"] == stranger.id
    story = cli("explain", member.id, "--json").json
    assert (story["reason"], [face["reason"] for face in story["faces"]]) == ("embedded", ["member"])
    assert {row["asset_id"] for row in cli("list", "faces", "--json").json} == set(library.assets)
    assert "12 originals (" in cli("status").out
    assert cli("cache", "export", cli.workspace / "x.npz", "--user", "anna").code == 2


# -- what is not there


def test_without_a_database_it_is_said_what_to_do(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMMICH_DB_URL")
    answer = cli("run", "--user", "anna")
    assert answer.code == 2
    assert "[sources.immich_db]" in answer.line
    assert cli("run", "--user", "anna", "--second-look").code == 2
    (tmp_path / "folder").mkdir()
    assert "need a model" in cli("run", "--user", "box", "--folder", tmp_path / "folder").line


def test_a_role_that_may_not_read_vectors_is_told_the_grant(cli: CommandLine, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    granted = ["asset", "asset_exif", "asset_face", "person", '"user"']
    monkeypatch.setenv("IMMICH_DB_URL", reader(db.url, *granted))
    answer = cli("run", "--user", "anna")
    assert answer.code == 2
    assert 'GRANT SELECT ON face_search TO "visitor"' in answer.line
    monkeypatch.setenv("IMMICH_DB_URL", reader(db.url, *granted, "face_search"))
    answer = cli(*RUN)
    assert (answer.code, answer.json["pack"]) == (0, "immich-db@buffalo_l")
    assert "may not see which model Immich uses; buffalo_l, its default" in answer.err
    assert "may not see" not in cli(*RUN).err  # once
    assert cli(*RUN, "--pack", "immich-db:antelopev2").json["pack"] == "immich-db@antelopev2"


def test_beside_the_database_a_key_needs_little_and_the_doctor_asks_for_no_more(
    cli: CommandLine, library: Library, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, ["user.read"]).secret)
    refused = cli("run", "--user", "anna", "--accept-missing").line
    assert ("asset.download" in refused, "face.read" in refused) == (True, False)
    told = cli("doctor", "--no-sample", "--json").json["findings"]
    assert [one["facts"]["lacks"] for one in told if one["facts"].get("feature") == "run"] == [["asset.download"]]
    assert {one["facts"]["feature"] for one in told if "feature" in one["facts"]} == {"run", "previews"}
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, ["asset.download", "user.read"]).secret)
    assert cli("doctor", "--no-sample").code == 0
    assert cli(*RUN).json["sets_new"] == SETS


def test_the_model_that_immich_uses_is_the_packs_version(cli: CommandLine, db: Db) -> None:
    db.fill(model="antelopev2")
    assert cli(*RUN).json["pack"] == "immich-db@antelopev2"
    answer = cli("run", "--user", "anna", "--pack", "immich-db:buffalo_l")
    assert answer.code == 2
    assert "Immich is set to use antelopev2" in answer.line


def test_another_model_is_another_pack_and_people_keep_their_sets(
    cli: CommandLine, db: Db, server: ImmichServer, no_model: None
) -> None:
    first = cli(*RUN).json
    before = tree(cli.workspace / "facesets")
    server.requests.clear()
    db.fill(model="antelopev2", turn=True)
    answer = cli(*RUN)
    assert "Immich uses antelopev2 now" in answer.err
    assert (answer.json["pack"], answer.json["sets_new"], server.count(ORIGINAL)) == ("immich-db@antelopev2", [], 0)
    assert answer.json["steps"]["cluster"]["already_covered"] == 0  # they are in their sets, whichever pack sees them
    assert answer.json["faces_by_reason"]["member"] == first["faces_by_reason"]["member"]
    assert tree(cli.workspace / "facesets") == before
    whole(cli, answer.json)


def test_faces_without_a_usable_vector_are_counted_and_stop_nothing(cli: CommandLine, db: Db, library: Library) -> None:
    one, two, three = (asset.faces[0].id for asset in of_person(library, 3)[:3])
    with connect(db.url) as open_:
        put_vector(open_, one, np.zeros(512))
        put_vector(open_, two, np.ones(8))
        open_.execute('DELETE FROM face_search WHERE "faceId" = %s', (three,))  # as if it had been drawn by hand
    answer = cli(*RUN)
    assert "3 faces have no vector that can be used in Immich's database" in answer.err
    summary = answer.json
    assert summary["faces_by_reason"]["not_measured"] == summary["steps"]["embed"]["not_measured"] == 3
    assert summary["sets_new"] == ["faceset_001", "faceset_002"]  # four of the third person are too few
    whole(cli, summary)
    with Workspace.open(cli.workspace).registry() as registry:
        lacks = {row.detail["lacks"] for row in faces.select(registry, reasons=[Reason.UNMEASURED])}
    assert lacks == {"a vector that is not zero", "a vector of 512 numbers (it has 8)", "a vector"}
    assert "It lacks a vector. Every run asks again." in cli("explain", of_person(library, 3)[2].id).out
    db.fill()  # Immich has made up for it
    again = cli(*RUN).json
    assert again["sets_new"] == ["faceset_003"]
    assert "not_measured" not in again["faces_by_reason"]
    whole(cli, again)


def test_without_a_detector_landmarks_are_taken_from_boxes_and_this_is_said(cli: CommandLine, no_model: None) -> None:
    answer = cli(*RUN)
    assert answer.json["sets_new"] == SETS
    assert "25 faces are cut where a face in such a box has its landmarks" in answer.err
    assert answer.json["steps"]["originals"]["guessed"] == 25
    described = json.loads((cli.workspace / "facesets" / "faceset_001" / "faceset.json").read_text())
    assert all(face["quality"]["landmarks_from_box"] == 1 for face in described["faces"])


# -- photos that do not come


def test_a_photo_that_is_gone_leaves_its_set_and_this_is_said(cli: CommandLine, library: Library) -> None:
    victim = of_person(library, 2)[0]
    victim.is_offline = True  # since the listing: the server has no file any more
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert "faceset_002: the photo of 1 of its faces is no longer available (1 x not_available" in answer.err
    assert (answer.json["sets_new"], answer.json["steps"]["originals"]["lost"]) == (SETS, 1)
    assert answer.json["faces_by_reason"]["photo_lost"] == answer.json["assets_by_reason"]["not_available"] == 1
    assert len(list((cli.workspace / "facesets" / "faceset_002" / "faces").iterdir())) == 8
    whole(cli, answer.json)
    before = tree(cli.workspace / "facesets")
    again = cli(*RUN)
    assert (again.json["sets_new"], again.json["downloads"], tree(cli.workspace / "facesets")) == ([], 0, before)
    assert again.json["faces_by_reason"]["photo_lost"] == 1
    victim.is_offline = False
    back = cli(*RUN, "--full").json  # a face of that set, which stays as it is
    assert "photo_lost" not in back["faces_by_reason"]
    assert (back["sets_new"], back["downloads"], tree(cli.workspace / "facesets")) == ([], 0, before)
    whole(cli, back)


def test_a_set_of_which_too_little_is_left_is_not_made_and_its_number_stays_unused(cli: CommandLine, library: Library) -> None:
    for asset in of_person(library, 2)[:5]:
        asset.is_offline = True
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert answer.json["sets_new"] == ["faceset_001", "faceset_003"]
    assert answer.json["steps"]["originals"]["dropped"] == ["faceset_002"]
    assert "faceset_002: the photos of 5 of its faces are no longer available" in answer.err
    assert answer.json["faces_by_reason"]["photo_lost"] == 5
    whole(cli, answer.json)
    before = tree(cli.workspace / "facesets")
    again = cli(*RUN).json
    assert (again["sets_new"], again["downloads"], tree(cli.workspace / "facesets")) == ([], 0, before)


def test_accept_missing_goes_on_without_what_failed(cli: CommandLine, faults: Faults, library: Library) -> None:
    faults.add(fault.status(503), ORIGINAL, containing=of_person(library, 2)[0].id)
    cli.set("attempts = 1")
    answer = cli(*RUN, "--accept-missing")
    assert (answer.code, answer.json["sets_new"], answer.json["faces_by_reason"]["photo_lost"]) == (0, SETS, 1)
    whole(cli, answer.json)
    again = cli(*RUN)
    assert (again.code, again.json["downloads"], again.json["sets_new"]) == (0, 0, [])


def test_an_original_with_other_bytes_is_given_up_after_three_runs_over_three_days(cli: CommandLine, library: Library) -> None:
    victim = of_person(library, 3)[0]
    victim.data = jpeg([9], 4711)  # behind the server's back: it lists the SHA-1 of before
    cli.set("attempts = 1")
    for _ in range(2):
        answer = cli(*RUN)
        assert (answer.code, answer.json["retryable"]) == (3, 1)
    with Workspace.open(cli.workspace).registry() as registry:  # the first of them was four days ago
        then = (datetime.now(UTC) - timedelta(days=4)).isoformat(timespec="seconds")
        registry.db.execute("UPDATE failures SET first_at = ?", (then,))
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert len(list((cli.workspace / "facesets" / "faceset_003" / "faces").iterdir())) == 6
    whole(cli, answer.json)
    assert cli(*RUN).json["downloads"] == 0


@pytest.mark.parametrize("shown", [True, False])
def test_an_original_that_no_decoder_takes_is_cut_from_what_the_server_shows(
    cli: CommandLine, library: Library, anna: User, db: Db, shown: bool
) -> None:
    for n in range(6):
        face = replace(boxes([4])[0], frame=(640, 480))
        data = b"bytes that no decoder knows, %d" % n
        asset = library.photo(anna, data, file_name=f"p4_{n}.heic", faces=[face], preview=jpeg([4], 4000 + n), has_preview=True)
        asset.exif.width, asset.exif.height = 640, 480
    db.fill()
    for asset in of_person(library, 4)[:1]:
        asset.has_preview = shown
    answer = cli(*RUN)
    assert answer.code == 0, answer.err
    assert answer.json["sets_new"] == [*SETS, "faceset_004"]
    assert answer.json["steps"]["originals"]["renditions"] == 5 + shown
    assert (
        answer.json["faces_by_reason"].get("photo_lost", 0)
        == answer.json["assets_by_reason"].get("unsupported_format", 0)
        == (not shown)
    )
    whole(cli, answer.json)
    before = tree(cli.workspace / "facesets")
    again = cli(*RUN)
    assert (again.code, again.json["downloads"], tree(cli.workspace / "facesets")) == (0, 0, before)


# -- next month


def test_next_months_photos_find_their_people_without_a_download(
    cli: CommandLine, server: ImmichServer, library: Library, anna: User, db: Db
) -> None:
    cli(*RUN)
    before = tree(cli.workspace / "facesets")
    add_photos(library, anna, [1], 3, first=40)
    add_photos(library, anna, [5], 6, first=40)
    db.fill()
    server.requests.clear()
    summary = cli(*RUN).json
    assert summary["downloads"] == server.count(ORIGINAL) == 6
    assert (summary["sets_new"], summary["steps"]["cluster"]["already_covered"]) == (["faceset_004"], 3)
    after = tree(cli.workspace / "facesets")
    assert {p: d for p, d in before.items() if p != "manifest.json"}.items() <= after.items()
    whole(cli, summary)


def test_faces_that_immich_found_anew_or_dropped_are_followed(cli: CommandLine, library: Library, db: Db, server: ImmichServer) -> None:
    cli(*RUN)
    before = tree(cli.workspace / "facesets")
    for n, asset in enumerate(library.assets.values()):
        for face in asset.faces:  # a new detection: other ids, boxes a little elsewhere
            face.id = library.new_id("face")
            face.x1 += n % 3
    stranger, gone = of_person(library, 100)[0], of_person(library, 101)[0]
    stranger.faces.clear()
    del library.assets[gone.id]
    db.fill()
    server.requests.clear()
    summary = cli(*RUN).json
    assert (summary["sets_new"], server.count(ORIGINAL)) == ([], 0)
    assert summary["faces_by_state"] == {"in_set": 25, "left_out": STRANGERS - 2}
    assert (rows(cli)[stranger.id], rows(cli)[gone.id]) == (Reason.NO_FACES, Reason.GONE)
    assert tree(cli.workspace / "facesets") == before
    assert cli("verify").code == 0
    assert cli(*RUN).json["embedded"] == 0


def test_a_photo_in_the_trash_is_in_no_plan_and_comes_back(cli: CommandLine, library: Library, db: Db, anna: User) -> None:
    victims = of_person(library, 3)
    for victim in victims:
        victim.deleted_at = anna.created_at
    db.fill()
    summary = cli(*RUN).json
    assert summary["sets_new"] == ["faceset_001", "faceset_002"]
    assert summary["assets_by_reason"]["trashed"] == 7
    for victim in victims:
        victim.deleted_at = None
    db.fill()
    assert cli("stage", "--user", "anna").code == cli("embed", "--user", "anna").code == cli("cluster", "--user", "anna").code == 0
    victims[0].deleted_at = anna.created_at  # once it is planned
    db.fill()
    answer = cli(*RUN)
    assert (answer.json["sets_new"], answer.json["faces_by_reason"]["photo_lost"]) == (["faceset_003"], 1)
    assert "1 x trashed" in answer.err
    whole(cli, answer.json)


# -- others


def test_a_photo_owned_twice_counts_once(
    cli: CommandLine, library: Library, anna: User, db: Db, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = library.user("bob")
    for n in range(6):
        data = jpeg([1], 1000 + n)
        library.photo(bob, data, file_name=f"same{n}.jpg", faces=boxes([1]))
    add_photos(library, bob, [5], 6)
    shared = jpeg([1, 55], 4711)  # of two people, one of whom Immich knows on each copy, and one by hand
    here, there = (library.photo(user, shared, faces=[box]) for user, box in zip((anna, bob), boxes([1, 55]), strict=True))
    by_hand = library.face(there, Box(400, 10, 500, 110, source_type="manual"))
    db.fill()
    monkeypatch.delenv("IMMICH_API_KEY")
    monkeypatch.setenv("IMMICH_API_KEY_ANNA", server.key_for("anna"))
    monkeypatch.setenv("IMMICH_API_KEY_BOB", library.key_for("bob"))
    summary = cli("run", "--user", "anna", "--user", "bob", "--json").json
    assert summary["assets_by_reason"]["duplicate_of_existing"] == 7
    assert summary["faces_by_state"] == {"in_set": 32, "left_out": STRANGERS + 2}
    assert summary["downloads"] == len(photos_of(cli)) == 30
    whole(cli, summary)
    with sqlite3.connect(cli.workspace / "registry.sqlite") as registry:
        pairs = registry.execute("SELECT a.photo_id, b.photo_id FROM assets AS a JOIN assets AS b ON b.id = a.kept_id").fetchall()
        told = registry.execute(
            "SELECT f.source_face_id FROM faces AS f JOIN assets AS a ON a.photo_id = f.photo_id WHERE a.asset_id = ? ORDER BY f.x1",
            (here.id,),
        ).fetchall()
    assert [face_id for (face_id,) in told] == [here.faces[0].id, there.faces[0].id, by_hand.id]
    assert len(set(pairs)) == 7
    assert all(copy == kept for copy, kept in pairs)  # one photo, of two assets
    again = cli("run", "--all-users", "--json").json
    assert (again["downloads"], again["sets_new"], again["embedded"]) == (0, [], 0)
    whole(cli, again)
    there.faces.remove(by_hand)
    db.fill()
    assert cli("run", "--all-users", "--json").json["faces_by_state"] == {"in_set": 32, "left_out": STRANGERS + 1}


def test_copies_in_an_external_library_are_one_exposure(cli: CommandLine, library: Library, db: Db, anna: User) -> None:
    external = library.external(anna)
    for n, asset in enumerate(of_person(library, 3)):
        library.photo(anna, asset.data, library=external, file_name=f"copy{n}.jpg", faces=boxes([3]), taken_at=asset.local_time)
    db.fill()
    summary = cli(*RUN).json
    assert (summary["sets_new"], summary["faces_by_reason"]["near_duplicate"]) == (SETS, 7)
    assert summary["downloads"] == len(photos_of(cli)) == 23
    whole(cli, summary)


def test_another_pack_afterwards_brings_what_was_spared(cli: CommandLine, server: ImmichServer) -> None:
    cli(*RUN)
    before = tree(cli.workspace / "facesets")
    summary = cli(*RUN, "--pack", "buffalo_l").json
    assert summary["downloads"] == STRANGERS
    assert (summary["sets_new"], summary["embedded"], summary["originals_spared"]) == ([], 23 + STRANGERS, 0)
    assert summary["steps"]["cluster"]["already_covered"] == 0  # they are in their sets, whichever pack sees them
    back = cli(*RUN).json
    assert (back["downloads"], back["embedded"], back["sets_new"]) == (0, 0, [])
    assert tree(cli.workspace / "facesets") == before
    whole(cli, back)


def test_curated_sets_are_read_with_the_same_model_where_it_is_here(cli: CommandLine) -> None:
    curated = cli.workspace / "facesets" / "faceset_007"
    curated.mkdir(parents=True)
    for n in range(3):
        (curated / f"grandma {n}.jpg").write_bytes(jpeg([1], 77_000 + n))
    before = tree(curated)
    summary = cli(*RUN).json
    assert summary["sets_new"] == ["faceset_008", "faceset_009"]
    assert summary["steps"]["cluster"]["covered_by_set"] == {"faceset_007": 9}
    assert tree(curated) == before


def test_curated_sets_that_cannot_be_compared_are_left_alone_and_this_is_said(cli: CommandLine, no_model: None) -> None:
    curated = cli.workspace / "facesets" / "faceset_007"
    curated.mkdir(parents=True)
    (curated / "grandma.jpg").write_bytes(jpeg([1], 77_000))
    before = tree(curated)
    answer = cli(*RUN)
    assert answer.json["sets_new"] == ["faceset_008", "faceset_009", "faceset_010"]
    assert answer.err.count("faceset_007") == 1
    assert "people in it may get sets of their own" in answer.err
    assert tree(curated) == before


def test_sets_of_another_pack_here_are_known_by_the_same_faces(cli: CommandLine, no_model: None, pack: Path) -> None:
    local = CommandLine(cli.workspace, cli.capsys)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("facesets.faces.pack_choice.load_pack", load_pack)
        local(*RUN, "--pack", pack)
    before = tree(cli.workspace / "facesets")
    summary = cli(*RUN).json
    assert (summary["sets_new"], summary["downloads"]) == ([], 0)
    assert summary["steps"]["cluster"]["already_covered"] == 0  # they are in their sets, whichever pack sees them
    assert tree(cli.workspace / "facesets") == before
