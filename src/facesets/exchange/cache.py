"""The v2 ``.npz`` cache of vectors. Reads and writes the one file it is given; never unpickles.

``embeddings`` float32 [n, d] of unit length; ``meta``, ``processed``, ``path_aliases`` UTF-8 JSON in uint8 arrays (0-d strings are
read too); ``schema`` "v2"; ``model`` the pack's ``name@version``. Vectors of different models never share a file. ``failed``, JSON
too and left out where empty, has the photos that no decoder took: path -> reason, detail, sha256. ``state``, text and left out where
empty, is the writer's own: what the file was made of.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facesets.errors import CorruptFile, PackMismatch
from facesets.exchange.queue import QueueEntry
from facesets.files import open_file, replace_file
from facesets.records import Face

CACHE_SCHEMA: Final = "v2"
_POSE = ("yaw", "pitch", "roll")
_ARRAYS: Final = ("schema", "model", "embeddings", "meta", "processed", "path_aliases", "failed")
_LARGEST: Final = 8 << 30  # bytes of one array: four million faces
_LONGEST_NAME: Final = 200


@dataclass(slots=True)
class Cache:
    """What a cache file holds. ``meta`` has one object for each row of ``embeddings``."""

    model: str
    embeddings: npt.NDArray[np.float32]
    meta: list[dict[str, Any]] = field(default_factory=list)
    processed: list[str] = field(default_factory=list)  # paths gone through, also the ones without a face
    path_aliases: dict[str, str] = field(default_factory=dict)  # path of a duplicate -> the path that was kept
    failed: dict[str, dict[str, str]] = field(default_factory=dict)  # path -> reason, detail, sha256 of what cannot be read


def load_cache(path: Path, *, model: str | None = None) -> Cache:
    """The cache at ``path``.

    Raises errors.CorruptFile where it cannot be trusted, errors.PackMismatch where ``model`` is given and it holds another's.
    """
    with _opened(path) as stored:
        cache = _checked(path, {name: stored[name] for name in stored.files if name in _ARRAYS})
    if model is not None and cache.model != model:
        raise PackMismatch(cache.model, model, str(path))
    return cache


def stored_model(path: Path) -> str:
    """Whose vectors the cache at ``path`` holds, without reading them. Raises errors.CorruptFile."""
    with _opened(path) as stored:
        if "model" not in stored.files:
            raise CorruptFile(path, "lacks model; it is not a v2 cache")
        return _model(path, stored["model"])


def stored_state(path: Path) -> str:
    """What :func:`save_cache` was given as ``state``; nothing where there is no such file, or one that says nothing."""
    if not path.is_file():
        return ""
    with _opened(path) as stored:
        return _text(path, "state", stored["state"]) if "state" in stored.files else ""


def _check_sizes(path: Path, members: zipfile.ZipFile) -> None:
    for info in members.infolist():
        if info.file_size > _LARGEST:
            raise CorruptFile(path, f"cannot be read as a v2 cache: {info.filename} would take {info.file_size >> 20} MB")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's arrays, none of them read yet. Raises CorruptFile for whatever is wrong with them, also in the block."""
    try:
        with open_file(path) as file:
            with zipfile.ZipFile(file) as members:  # refuses what is no zip at all, which numpy would call a pickle
                _check_sizes(path, members)
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                yield stored
    except CorruptFile:
        raise
    except OSError as error:
        raise CorruptFile(path, f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # zipfile and numpy raise whatever foreign bytes make them raise
        hint = "; it holds pickled objects, see: facesets cache convert" if "allow_pickle" in str(error) else ""
        raise CorruptFile(path, f"cannot be read as a v2 cache: {error}{hint}") from error


def save_cache(path: Path, cache: Cache, *, state: str = "") -> None:
    """Write ``cache`` to ``path``, whole or not at all; the same content gives the same bytes. ``state`` is stored beside it.

    Raises OSError.
    """
    arrays = {
        "schema": np.array(CACHE_SCHEMA),
        "model": np.array(cache.model),
        "embeddings": np.ascontiguousarray(cache.embeddings, np.float32),
        "meta": _packed(cache.meta),
        "processed": _packed(cache.processed),
        "path_aliases": _packed(cache.path_aliases),
    }
    arrays |= {"failed": _packed(cache.failed)} if cache.failed else {}
    arrays |= {"state": np.array(state)} if state else {}
    replace_file(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def meta_of(face: Face, entry: QueueEntry, *, engine: str = "unknown") -> dict[str, Any]:
    """The ``meta`` object of ``face`` in the photo ``entry``, whose vector ``engine`` made."""
    signals = dict(face.signals)
    pose = {key: signals.pop(key) for key in _POSE if key in signals}
    return {
        "path": entry.path,
        "sha256": face.sha256,
        "asset_id": entry.asset_id,
        "face_id": face.face_id,
        "face_index": face.index,
        "bbox": list(face.box),
        "landmarks": [list(point) for point in face.landmarks],
        "det_score": face.det_score,
        "face_short": face.face_short,
        "sharpness": face.sharpness,
        "pose": pose or None,
        "signals": signals,
        "taken_at": entry.taken_at,
        "model": face.pack,
        **({"engine": engine} if engine != "unknown" else {}),
    }


def face_of(meta: Mapping[str, Any]) -> Face:
    """The face that :func:`meta_of` described. Raises KeyError, TypeError or ValueError for what another tool left out or wrote."""
    x1, y1, x2, y2 = (float(side) for side in meta["bbox"])
    return Face(
        face_id=str(meta["face_id"]),
        sha256=str(meta["sha256"]),
        index=int(meta["face_index"]),
        box=(x1, y1, x2, y2),
        landmarks=tuple((float(x), float(y)) for x, y in meta["landmarks"]),
        det_score=float(meta["det_score"]),
        face_short=float(meta["face_short"]),
        sharpness=None if meta["sharpness"] is None else float(meta["sharpness"]),
        pack=str(meta["model"]),
        signals={**(meta.get("signals") or {}), **(meta.get("pose") or {})},
    )


def _packed(value: object) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), np.uint8)


def _text(path: Path, name: str, stored: npt.NDArray[Any]) -> str:
    try:
        if stored.dtype == np.uint8:
            return stored.tobytes().decode()
        if stored.ndim == 0 and stored.dtype.kind in "US":
            return stored.item().decode() if stored.dtype.kind == "S" else str(stored.item())
    except UnicodeDecodeError as error:
        raise CorruptFile(path, f"{name} is not UTF-8: {error}") from error
    raise CorruptFile(path, f"{name} must be text, it is {stored.dtype} {list(stored.shape)}")


def _model(path: Path, stored: npt.NDArray[Any]) -> str:
    model = _text(path, "model", stored)
    if not model.strip() or not model.isprintable() or len(model) > _LONGEST_NAME:
        raise CorruptFile(path, f"names no model ({model[:40]!r})")
    return model


def _json(path: Path, name: str, stored: npt.NDArray[Any] | None, kind: type) -> Any:
    if stored is None:
        return kind()
    try:
        value = json.loads(_text(path, name, stored))
    except (ValueError, RecursionError) as error:
        raise CorruptFile(path, f"{name} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise CorruptFile(path, f"{name} must be a JSON {'object' if kind is dict else 'list'}")
    return value


def _checked(path: Path, stored: Mapping[str, npt.NDArray[Any]]) -> Cache:
    missing = [name for name in ("schema", "model", "embeddings", "meta") if name not in stored]
    if missing:
        raise CorruptFile(path, f"lacks {', '.join(missing)}; it is not a v2 cache")
    schema = _text(path, "schema", stored["schema"])
    if schema != CACHE_SCHEMA:
        raise CorruptFile(path, f"has the schema {schema!r}; this version reads {CACHE_SCHEMA}")
    vectors, meta = stored["embeddings"], _json(path, "meta", stored["meta"], list)
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise CorruptFile(path, f"embeddings must be float32 [n, d], they are {vectors.dtype} {list(vectors.shape)}")
    if len(meta) != len(vectors):
        raise CorruptFile(path, f"has {len(vectors)} embeddings and {len(meta)} meta objects")
    if not all(isinstance(row, dict) for row in meta):
        raise CorruptFile(path, "meta must be a list of objects")
    if len(vectors) and not vectors.shape[1]:
        raise CorruptFile(path, "has embeddings of no numbers")
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= 1e-3))  # NaN is wrong, too
    if wrong.size:
        raise CorruptFile(path, f"row {wrong[0]} of the embeddings has length {lengths[wrong[0]]:.4g}, not 1")
    processed = _json(path, "processed", stored.get("processed"), list)
    aliases, failed = (_json(path, name, stored.get(name), dict) for name in ("path_aliases", "failed"))
    if not all(isinstance(text, str) for text in (*processed, *aliases.values())):
        raise CorruptFile(path, "processed and path_aliases must hold paths")
    if not all(isinstance(one, dict) and all(isinstance(text, str) for text in one.values()) for one in failed.values()):
        raise CorruptFile(path, "failed must hold objects of texts")
    return Cache(_model(path, stored["model"]), vectors, meta, processed, aliases, failed)
