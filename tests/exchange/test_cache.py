from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesets.errors import CorruptFile, PackMismatch
from facesets.exchange.cache import Cache, face_of, load_cache, meta_of, save_cache, stored_model, stored_state
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import find_faces
from facesets.models.pack import Pack
from facesets.photos.decode import Decoded
from facesets.testing.twins import twin_photo

UNIT = np.eye(3, 4, dtype=np.float32)


@pytest.fixture
def cache() -> Cache:
    meta = [{"path": f"{i}.jpg", "sha256": f"{i:064x}", "name": "Zoë \U0001f600"} for i in range(3)]
    return Cache("open@1", UNIT, meta, ["0.jpg", "1.jpg", "2.jpg", "noface.jpg"], {"copy.jpg": "0.jpg"})


def written(path: Path, **changes: Any) -> Path:
    """A whole v2 file as numpy alone writes it, with ``changes`` (None leaves an array out)."""
    arrays: dict[str, Any] = {
        "schema": np.array("v2"),
        "model": np.array("open@1"),
        "embeddings": UNIT,
        "meta": np.frombuffer(json.dumps([{}] * 3).encode(), np.uint8),
        "processed": np.frombuffer(b"[]", np.uint8),
        "path_aliases": np.frombuffer(b"{}", np.uint8),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_a_cache_gives_back_what_was_put_in(tmp_path: Path, cache: Cache) -> None:
    save_cache(tmp_path / "new" / "me.npz", cache)
    got = load_cache(tmp_path / "new" / "me.npz", model="open@1")
    assert (got.model, got.meta, got.processed, got.path_aliases) == (cache.model, cache.meta, cache.processed, cache.path_aliases)
    assert got.embeddings.tobytes() == cache.embeddings.tobytes()


def test_anybody_can_read_it_with_numpy_alone(tmp_path: Path, cache: Cache) -> None:
    save_cache(tmp_path / "me.npz", cache)
    with np.load(tmp_path / "me.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {"schema", "model", "embeddings", "meta", "processed", "path_aliases"}
        assert stored["meta"].dtype == np.uint8
        assert json.loads(stored["meta"].tobytes()) == cache.meta
        assert str(stored["schema"]) == "v2"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, cache: Cache) -> None:
    for name in ("a.npz", "b.npz"):
        save_cache(tmp_path / name, cache)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failed_save_leaves_the_old_cache_and_no_litter(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "me.npz"
    save_cache(path, cache)
    before = path.read_bytes()

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_cache(path, Cache("open@1", UNIT[:1], [{}]))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["me.npz"]


def test_metadata_in_0_d_strings_is_read_too(tmp_path: Path) -> None:
    path = written(tmp_path / "x.npz", meta=np.array(json.dumps([{"a": 1}] * 3)), processed=np.array('["p"]'), schema=np.array(b"v2"))
    got = load_cache(path)
    assert got.meta[0] == {"a": 1}
    assert got.processed == ["p"]


def test_only_the_bookkeeping_may_be_missing(tmp_path: Path) -> None:
    got = load_cache(written(tmp_path / "x.npz", processed=None, path_aliases=None))
    assert got.processed == []
    assert got.path_aliases == {}
    for name in ("schema", "model", "embeddings", "meta"):
        with pytest.raises(CorruptFile, match=f"lacks {name}"):
            load_cache(written(tmp_path / "x.npz", **{name: None}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": np.array("v3")}, "schema 'v3'; this version reads v2"),
        ({"schema": np.array([1, 2])}, "schema must be text"),
        ({"embeddings": UNIT.astype(np.float64)}, "must be float32"),
        ({"embeddings": UNIT[0]}, r"must be float32 \[n, d\]"),
        ({"embeddings": UNIT[:2]}, "has 2 embeddings and 3 meta objects"),
        ({"embeddings": UNIT * 1.5}, "row 0 of the embeddings has length 1.5"),
        ({"embeddings": UNIT * np.float32(np.nan)}, "row 0 of the embeddings has length nan"),
        ({"meta": np.frombuffer(b"[{}", np.uint8)}, "meta is not JSON"),
        ({"meta": np.frombuffer(b"{}", np.uint8)}, "meta must be a JSON list"),
        ({"meta": np.frombuffer(b"[1, 2, 3]", np.uint8)}, "meta must be a list of objects"),
        ({"meta": np.frombuffer(b"\xff\xfe", np.uint8)}, "meta is not UTF-8"),
        ({"path_aliases": np.frombuffer(b"[]", np.uint8)}, "path_aliases must be a JSON object"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(CorruptFile, match=problem) as caught:
        load_cache(written(tmp_path / "x.npz", **changes))
    assert caught.value.path == tmp_path / "x.npz"


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, ("raise SystemExit('pickle was run')",))

    path = written(tmp_path / "x.npz", meta=np.array([Bomb()], dtype=object))
    with pytest.raises(CorruptFile, match="pickled objects, see: facesets cache convert"):
        load_cache(path)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_torn_file_is_corrupt(tmp_path: Path, cache: Cache, keep: int) -> None:
    save_cache(tmp_path / "me.npz", cache)
    torn = (tmp_path / "me.npz").read_bytes()[:keep]
    (tmp_path / "me.npz").write_bytes(torn)
    with pytest.raises(CorruptFile, match="cannot be read as a v2 cache"):
        load_cache(tmp_path / "me.npz")


def test_a_flipped_bit_is_noticed(tmp_path: Path, cache: Cache) -> None:
    save_cache(tmp_path / "me.npz", cache)
    data = bytearray((tmp_path / "me.npz").read_bytes())
    data[data.index(b"sha256")] ^= 1
    (tmp_path / "me.npz").write_bytes(data)
    with pytest.raises(CorruptFile):
        load_cache(tmp_path / "me.npz")


def test_a_file_that_is_something_else_or_missing_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("<html>")
    np.save(tmp_path / "one.npy", UNIT)
    for name in ("x.npz", "one.npy", "gone.npz"):
        with pytest.raises(CorruptFile):
            load_cache(tmp_path / name)


def test_another_models_vectors_are_refused_by_name(tmp_path: Path, cache: Cache) -> None:
    save_cache(tmp_path / "me.npz", cache)
    with pytest.raises(PackMismatch, match=r"holds vectors of open@1, this run uses buffalo_l@abc"):
        load_cache(tmp_path / "me.npz", model="buffalo_l@abc")


def test_a_face_survives_the_way_through_a_cache(tmp_path: Path, twin: Pack) -> None:
    rgb = twin_photo([(128, 128, 128, 1)])
    (face,), vectors = find_faces(Decoded(rgb, 640, 480), "ab" * 32, twin)
    meta = meta_of(face, QueueEntry("a1", "p.jpg", taken_at="2020-01-01T00:00:00"))
    save_cache(tmp_path / "me.npz", Cache(twin.id, vectors, [meta], ["p.jpg"]))
    (stored,) = load_cache(tmp_path / "me.npz").meta
    assert face_of(stored) == face
    assert stored["bbox"] == list(face.box)
    assert set(stored["pose"]) == {"yaw", "pitch", "roll"}
    assert (stored["asset_id"], stored["taken_at"], stored["model"]) == ("a1", "2020-01-01T00:00:00", twin.id)


def text(value: object) -> Any:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"embeddings": np.zeros((3, 0), np.float32)}, "embeddings of no numbers"),
        ({"processed": text([1, 2])}, "processed and path_aliases must hold paths"),
        ({"path_aliases": text({"a": ["b"]})}, "processed and path_aliases must hold paths"),
        ({"failed": text({"a": "member"})}, "failed must hold objects of texts"),
        ({"failed": text({"a": {"reason": 7}})}, "failed must hold objects of texts"),
        ({"model": np.array("")}, "names no model"),
        ({"model": np.array("a\nb")}, "names no model"),
        ({"meta": np.frombuffer(b"[" * 100_000, np.uint8)}, "meta is not JSON"),
    ],
)
def test_what_another_tool_wrote_wrongly_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(CorruptFile, match=problem):
        load_cache(written(tmp_path / "a.npz", **changes))


def test_a_file_that_is_no_cache_at_all_is_a_clear_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(CorruptFile, match="lacks schema, model, embeddings, meta; it is not a v2 cache"):
        load_cache(tmp_path / "other.npz")
    with pytest.raises(CorruptFile, match="lacks model"):
        stored_model(tmp_path / "other.npz")
    broken = bytearray(written(tmp_path / "broken.npz").read_bytes())
    broken[60:200] = bytes(140)
    (tmp_path / "broken.npz").write_bytes(broken)
    with pytest.raises(CorruptFile, match="cannot be read as a v2 cache"):
        load_cache(tmp_path / "broken.npz")


def test_the_writers_state_is_stored_beside_and_changes_nothing_else(tmp_path: Path, cache: Cache) -> None:
    assert stored_state(tmp_path / "a.npz") == ""
    save_cache(tmp_path / "a.npz", cache)
    assert stored_state(tmp_path / "a.npz") == ""
    save_cache(tmp_path / "a.npz", cache, state="abc")
    assert stored_state(tmp_path / "a.npz") == "abc"
    assert load_cache(tmp_path / "a.npz").meta == cache.meta
