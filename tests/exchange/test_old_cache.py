from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from facesets.errors import CorruptFile, UsageError
from facesets.exchange.cache import load_cache, save_cache
from facesets.exchange.old_cache import read_old_cache

VECTORS = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)  # not of unit length
META: list[dict[str, Any]] = [
    {"path": f"X:\\p{i}.jpg", "bbox": np.array([1.5, 2, 30, 40], np.float32), "det_score": np.float32(0.75), "n": np.int64(i),
     "sharp": True, "taken_at": None, "pose": (1.0, -2.5), "name": "Zoë"}
    for i in range(3)
]  # fmt: skip


def objects(values: list[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def old(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "embeddings": VECTORS,
        "meta": objects(META),
        "processed": objects([row["path"] for row in META]),
        "path_aliases": np.array({"X:\\copy.jpg": "X:\\p0.jpg"}, dtype=object),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def with_pickle(path: Path, data: bytes) -> Path:
    """An old cache whose ``meta`` is this very pickle."""
    old(path, meta=None)
    out = io.BytesIO()
    npy.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": (3,)})
    with zipfile.ZipFile(path, "a") as stored:
        stored.writestr("meta.npy", out.getvalue() + data)
    return path


def test_an_old_cache_becomes_one_that_numpy_reads_without_pickles(tmp_path: Path) -> None:
    made = read_old_cache(old(tmp_path / "old.npz"), model="buffalo_l@1")
    save_cache(tmp_path / "new.npz", made)
    got = load_cache(tmp_path / "new.npz", model="buffalo_l@1")
    assert np.allclose(got.embeddings, VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True), atol=1e-6)
    assert got.processed == [row["path"] for row in META]
    assert got.path_aliases == {"X:\\copy.jpg": "X:\\p0.jpg"}
    assert got.meta[2] == {
        "path": "X:\\p2.jpg", "bbox": [1.5, 2.0, 30.0, 40.0], "det_score": 0.75, "n": 2, "sharp": True, "taken_at": None,
        "pose": [1.0, -2.5], "name": "Zoë", "model": "buffalo_l@1",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_that_numpy_wrote_is_read(tmp_path: Path, protocol: int) -> None:
    path = with_pickle(tmp_path / "old.npz", pickle.dumps(objects(META), protocol=protocol))
    assert read_old_cache(path, model="m@1").meta[1]["bbox"] == [1.5, 2.0, 30.0, 40.0]


def test_names_of_older_and_newer_numpys_are_known(tmp_path: Path) -> None:
    data = pickle.dumps(objects(META), protocol=2)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        other = data.replace(b"numpy._core.multiarray", name).replace(b"numpy._core.numeric", name)
        assert len(read_old_cache(with_pickle(tmp_path / "old.npz", other), model="m@1").meta) == 3


def test_vectors_that_are_objects_and_text_that_is_json_are_read(tmp_path: Path) -> None:
    path = old(tmp_path / "old.npz", embeddings=objects(list(VECTORS)), processed=np.array('["a"]'), model=np.array("m@7"))
    got = read_old_cache(path)
    assert (got.model, got.processed, got.embeddings.shape) == ("m@7", ["a"], (3, 16))


def test_a_file_that_does_not_name_its_model_needs_to_be_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--model"):
        read_old_cache(old(tmp_path / "old.npz"))


class Runs:
    """A pickle that calls something."""

    def __init__(self, call: Any, *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.call, self.args)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (Runs(exec, "raise SystemExit('pickle was run')"), "builtin.*exec"),
        (Runs(getattr, [], "append"), "builtin.*getattr"),
        (Runs(Path, "x"), "pathlib"),
        (Runs(np.load, "x"), "numpy.load"),
        (Runs(np.memmap, "x"), "numpy.memmap"),
        (Runs(bytearray, 4), "builtin.*bytearray"),
        ({1, 2}, "holds a set"),
        (b"bytes", "holds a bytes"),
        (1j, "complex"),
        (np.dtype([("a", "O")]), "refused"),
        (np.array([1j]), "refused"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_but_plain_values_is_refused_by_name_and_never_run(tmp_path: Path, payload: object, named: str, protocol: int) -> None:
    path = with_pickle(tmp_path / "old.npz", pickle.dumps(objects([{"x": payload}, {}, {}]), protocol=protocol))
    with pytest.raises(CorruptFile, match=named if protocol == 4 or "holds" not in named else "refused"):
        read_old_cache(path, model="m@1")


@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy._core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb.",  # would set an attribute of the stand-in
        b"cnumpy\nndarray\n(K\x01K\x02K\x03K\x04K\x05tb.",  # gives a state to the class
        b"\x82\x01.",  # copyreg's extension codes
        b"Pabc\n.",  # a persistent id
        b"cnumpy\nndarray\n)\x81(K\x01(K\xfftcnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x08\0\0\0\0\0\0\0\0tb.",  # a shape that lies
        b"",
        b"garbage",
        b"\x80\x04]\x94h\x00a.",  # a list that holds itself
    ],
)
def test_a_pickle_made_by_hand_finds_nothing_to_hold_on_to(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CorruptFile):
        read_old_cache(with_pickle(tmp_path / "old.npz", data), model="m@1")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"embeddings": VECTORS * 0}, "row 0 of the embeddings has length 0"),
        ({"embeddings": VECTORS * np.nan}, "length nan"),
        ({"embeddings": VECTORS[:2]}, "has 2 embeddings and 3 meta objects"),
        ({"embeddings": None}, "embeddings"),
    ],
)
def test_vectors_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(CorruptFile, match=problem):
        read_old_cache(old(tmp_path / "old.npz", **changes), model="m@1")


def test_what_is_no_cache_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("<html>")
    for name in ("x.npz", "gone.npz"):
        with pytest.raises(CorruptFile, match=r"cannot be (converted|read)"):
            read_old_cache(tmp_path / name, model="m@1")
