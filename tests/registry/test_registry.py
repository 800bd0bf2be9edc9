from __future__ import annotations

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facesets.errors import CorruptFile
from facesets.records import Asset, Centroid, Face, FaceBox, FaceSet, Reason, State, User
from facesets.registry import Registry, assets, faces, listings, measurements, originals, runs, sets
from facesets.registry.migrations import VERSION


@pytest.fixture
def registry(tmp_path: Path):  # type: ignore[no-untyped-def] # pytest knows what it yields
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        yield opened


def photo(asset_id: str, **changes: object) -> Asset:
    return Asset("owner", asset_id, **changes)  # type: ignore[arg-type]


def a_face(face_id: str, sha256: str = "a" * 64, index: int = 0) -> Face:
    marks = tuple((float(i), float(i)) for i in range(5))
    return Face(face_id, sha256, index, (1.0, 2.0, 3.0, 4.5), marks, 0.9, 100.0, 12.5, "open@1", {"yaw": 3.0})


def test_a_new_registry_is_in_wal_mode_with_its_schema_version(registry: Registry) -> None:
    assert registry.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert registry.db.execute("PRAGMA user_version").fetchone()[0] == VERSION


def test_every_reason_has_a_state_and_every_state_a_reason() -> None:
    assert {reason.state for reason in Reason} == set(State)


def test_a_failed_unit_of_work_leaves_nothing(registry: Registry) -> None:
    def half_done() -> None:
        with registry.transaction():
            assets.add_listed(registry, "anna", "immich", [photo("1")], 1)
            raise KeyError

    with pytest.raises(KeyError):
        half_done()
    assert assets.counts(registry) == {}


def test_a_registry_of_a_newer_facesets_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with Registry.open(path) as registry:
        registry.db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(CorruptFile, match="newer facesets"):
        Registry.open(path)


def test_a_file_that_is_no_registry_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one " * 40)
    before = path.read_bytes()
    with pytest.raises(CorruptFile, match=r"is damaged.*facesets restore"):
        Registry.open(path)
    assert path.read_bytes() == before


def test_an_asset_comes_back_as_it_was_listed(registry: Registry) -> None:
    box = FaceBox(1, 2, 3, 4, 100, 50, "f", "p", "Anna")
    asset = photo("1", original_path="/x/../../etc/\0passwd 😀", sha1="ab", width=10, boxes=(box,), is_edited=True, taken_at="2020")
    assets.add_listed(registry, "anna", "immich", [asset], 1)
    (row,) = assets.select(registry)
    assert row.asset == asset
    assert (row.reason, row.state, row.label) == (Reason.LISTED, State.PENDING, "anna")


def test_what_is_settled_stays_settled_when_listed_again_unchanged(registry: Registry) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("1", sha1="ab")], 1)
    assets.settle(registry, 1, Reason.NO_FACES)
    assert assets.add_listed(registry, "anna", "immich", [photo("1", sha1="ab", updated_at="later")], 2) == 0
    assert next(assets.select(registry)).reason is Reason.NO_FACES


@pytest.mark.parametrize("change", [{"sha1": "cd"}, {"is_trashed": True}, {"visibility": "archive"}])
def test_changed_content_or_standing_is_decided_anew(registry: Registry, change: dict[str, object]) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("1", sha1="ab")], 1)
    assets.settle(registry, 1, Reason.EMBEDDED, sha256="x")
    assets.add_listed(registry, "anna", "immich", [photo("1", **({"sha1": "ab"} | change))], 2)
    assert next(assets.select(registry)).reason is Reason.LISTED


def test_a_later_listing_without_boxes_keeps_the_boxes(registry: Registry) -> None:
    boxes = (FaceBox(1, 2, 3, 4, 5, 6),)
    assets.add_listed(registry, "anna", "immich", [photo("1", boxes=boxes)], 1)
    assets.add_listed(registry, "anna", "immich", [photo("1")], 2)
    assert next(assets.select(registry)).asset.boxes == boxes


def test_assets_that_vanish_are_gone_whatever_they_were(registry: Registry) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("1"), photo("2")], 1)
    assets.settle(registry, 2, Reason.EMBEDDED, sha256="x")
    assets.add_listed(registry, "anna", "immich", [], 2)
    assert assets.mark_unseen_gone(registry, "anna", "immich", 2) == 2
    assert assets.mark_unseen_gone(registry, "anna", "immich", 2) == 0
    assert assets.counts(registry) == {Reason.GONE: 2}


def test_retryable_ends_count_attempts(registry: Registry) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("1")], 1)
    for _ in range(3):
        assets.settle(registry, 1, Reason.DOWNLOAD_ERROR, "reset")
    assets.settle(registry, 1, Reason.STAGED, sha256="x", path="photos/1.jpg")
    row = assets.get(registry, 1)
    assert (row.attempts, row.detail, row.path) == (3, None, "photos/1.jpg")


def test_the_asset_whose_bytes_are_kept_is_found_by_either_hash_and_never_a_duplicate(registry: Registry) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("1", sha1="ab"), photo("2", sha1="ab")], 1)
    assert originals.with_bytes(registry, sha1="ab") is None
    assets.settle(registry, 1, Reason.DUP_STAGED, sha256="x", kept_id=2)
    assets.settle(registry, 2, Reason.STAGED, sha256="x", path="p")
    for row in (originals.with_bytes(registry, sha1="ab"), originals.with_bytes(registry, sha256="x")):
        assert row is not None
        assert row.id == 2
    assert originals.asset_by_key(registry)["x"].id == 2


def test_an_id_may_be_cut_short_but_not_be_a_pattern(registry: Registry) -> None:
    assets.add_listed(registry, "anna", "immich", [photo("abcdef-1"), photo("abcdef-2"), photo("abcxyz-3")], 1)
    assert [row.asset.asset_id for row in assets.find(registry, "abcdef")] == ["abcdef-1", "abcdef-2"]
    assert assets.find(registry, "abc%%%") == []
    assert assets.find(registry, "abc") == []


def test_a_face_comes_back_to_the_last_bit(registry: Registry) -> None:
    vectors = np.array([[0.1, -0.0, 3e-39], [1, 2, 3]], np.float32)
    found = [a_face("f0"), a_face("f1", index=1)]
    for _ in range(2):  # embedding a photo again changes nothing
        measurements.add_embedded(registry, "a" * 64, "open@1", Reason.EMBEDDED, found, vectors)
    rows = list(faces.select(registry))
    assert [row.face for row in rows] == found
    assert np.stack([row.vector for row in rows]).tobytes() == vectors.tobytes()
    assert measurements.is_embedded(registry, "a" * 64, "open@1")
    assert not measurements.is_embedded(registry, "a" * 64, "edge@1")


def test_a_signal_that_is_no_number_is_read_as_it_was_written(registry: Registry) -> None:
    odd = replace(a_face("f0"), signals={"norm": math.nan, "exposure": 0.5})
    measurements.add_embedded(registry, "a" * 64, "open@1", Reason.EMBEDDED, [odd], np.zeros((1, 2), np.float32))
    (row,) = faces.select(registry)
    assert math.isnan(row.face.signals["norm"])
    assert row.face.signals["exposure"] == 0.5


def test_faces_come_in_the_order_of_content_not_of_arrival(registry: Registry) -> None:
    one = np.zeros((1, 2), np.float32)
    for sha in ("c", "a", "b"):
        measurements.add_embedded(registry, sha * 64, "open@1", Reason.EMBEDDED, [a_face(f"f{sha}", sha * 64)], one)
    assert [row.face.face_id for row in faces.select(registry)] == ["fa", "fb", "fc"]


def test_a_number_once_given_is_never_given_again(registry: Registry) -> None:
    sets.add(registry, FaceSet("faceset_007", 7, "made", "open@1"), 1, written=False)
    sets.see_number(registry, 3)
    assert sets.highest_number(registry) == 7
    with pytest.raises(sqlite3.IntegrityError):
        sets.add(registry, FaceSet("faceset_0007", 7, "made", "open@1"), 1, written=False)


def test_a_set_keeps_members_files_and_centroid(registry: Registry) -> None:
    sets.add(registry, FaceSet("faceset_001", 1, "made", "open@1"), 1, written=False)
    measurements.add_embedded(
        registry, "a" * 64, "open@1", Reason.EMBEDDED, [a_face("f1"), a_face("f2", index=1)], np.zeros((2, 2), np.float32)
    )
    sets.add_members(registry, "faceset_001", [("f2", 0.1), ("f1", 0.2)])
    sets.set_files(registry, "faceset_001", [sets.FileFact("b", 1, "x"), sets.FileFact("a", 2, "y")])
    sets.set_centroid(registry, "open@1", Centroid("faceset_001", np.array([0.5, -0.25]), 2))
    assert sets.members(registry, "faceset_001") == [(1, "f2", 0.1), (2, "f1", 0.2)]
    assert [f.path for f in sets.files(registry, "faceset_001")] == ["a", "b"]
    (centroid,) = sets.centroids(registry, "open@1")
    assert (centroid.n, centroid.vector.tolist()) == (2, [0.5, -0.25])
    assert sets.centroids(registry, "edge@1") == []
    assert [s.name for s in sets.select(registry, written=False)] == ["faceset_001"]
    sets.mark_written(registry, "faceset_001")
    assert not list(sets.select(registry, written=False))


def test_a_run_is_remembered_with_its_end(registry: Registry) -> None:
    run_id = runs.start(registry, "stage embed")
    last = runs.last(registry)
    assert last is not None
    assert last["exit_code"] is None
    runs.finish(registry, run_id, 3, {"listed": 5})
    last = runs.last(registry)
    assert last is not None
    assert (last["exit_code"], last["counters"]) == (3, {"listed": 5})


def test_bound_users_are_listed_by_label(registry: Registry) -> None:
    assets.bind_user(registry, User("bert", "id-2"))
    assets.bind_user(registry, User("anna", "id-1", "Anna"))
    assert [u.label for u in assets.users(registry)] == ["anna", "bert"]


def test_months_are_counted_from_an_index_alone(registry: Registry) -> None:
    statements: list[str] = []
    registry.db.set_trace_callback(statements.append)
    listings.counts(registry, "owner", "immich")
    listings.ids(registry, "owner", "immich", ("2020-01", "timeline", False))
    registry.db.set_trace_callback(None)
    assert len(statements) == 2
    for statement in statements:
        plan = [row["detail"] for row in registry.db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert any("COVERING INDEX assets_by_time" in step for step in plan), plan
