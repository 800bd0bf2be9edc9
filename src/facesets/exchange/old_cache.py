"""Old caches, whose metadata are pickled objects, read without trusting them. Reads the one file it is given.

A pickle is a program. This reader runs it with nothing to call but stand-ins for numpy's array, dtype and scalar constructors,
written here: plain text, numbers, truth values, None, lists, dicts and tuples come out, and everything else is refused by name.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from facesets.errors import CorruptFile, UsageError
from facesets.exchange.cache import Cache
from facesets.files import open_file

_MULTIARRAY: Final = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric", "numpy.core.numeric")
_KINDS: Final = "biufSU"  # truth values, numbers, text
_LARGEST: Final = 1 << 32  # bytes of one array inside a file


def read_old_cache(path: Path, *, model: str | None = None) -> Cache:
    """The cache at ``path``, whose metadata may be object arrays, as a v2 cache; vectors are brought to unit length.

    ``model`` (``name@version``) is needed where the file names none. Raises errors.CorruptFile, UsageError.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as stored:
            arrays = {Path(name).stem: _array(stored.read(info)) for name, info in _members(path, stored)}
    except CorruptFile:
        raise
    except OSError as error:
        raise CorruptFile(path, f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a broken pickle makes its reader raise almost anything
        raise CorruptFile(path, f"cannot be converted: {error}") from error
    stored_name = arrays.get("model")
    name = model or (str(_plain(stored_name)) if stored_name is not None else "")
    if not name:
        raise UsageError(f"{path} does not say which model made its vectors; name it: --model buffalo_l@... (or --model open@1)")
    try:
        vectors = np.stack([np.asarray(_plain(row), np.float64) for row in arrays["embeddings"]]) if len(arrays["embeddings"]) else None
        meta = [dict(row) for row in _listed(arrays, "meta")]
        cache = Cache(
            name,
            _unit(path, vectors),
            [{**{str(key): value for key, value in row.items()}, "model": name} for row in meta],
            [str(item) for item in _listed(arrays, "processed")],
            {str(key): str(value) for key, value in dict(_whole(arrays.get("path_aliases"), {})).items()},
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFile(path, f"cannot be converted: it lacks or garbles {error}") from error
    if len(cache.meta) != len(cache.embeddings):
        raise CorruptFile(path, f"has {len(cache.embeddings)} embeddings and {len(cache.meta)} meta objects")
    return cache


def _members(path: Path, stored: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    for info in stored.infolist():
        if info.file_size > _LARGEST:
            raise CorruptFile(path, f"{info.filename} would take {info.file_size >> 20} MB")
    return [(info.filename, info) for info in stored.infolist()]


def _array(data: bytes) -> Any:
    """One ``.npy``: read by numpy where it holds no objects, by the restricted unpickler where it does."""
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if not dtype.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)
    if dtype != np.dtype(object):
        raise ValueError(f"an array of {dtype} with objects inside")
    got = _plain(_Restricted(file).load())
    return got if shape else got[0] if isinstance(got, list) else got


class _Restricted(pickle.Unpickler):
    """Knows three constructors, all of them stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, or a refusal that names what was asked for."""
        if module in _MULTIARRAY and name in ("_reconstruct", "scalar"):
            return _Reconstruct() if name == "_reconstruct" else _Scalar()
        if (module, name) == ("numpy", "ndarray"):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if (module, name) == ("_codecs", "encode"):
            return _Latin1()
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no cache needs; refused")

    def persistent_load(self, pid: Any) -> Any:
        """No cache points outside of itself."""
        raise pickle.UnpicklingError(f"it points at something outside, {str(pid)[:40]!r}; refused")


class _Dtype:
    """Stands for numpy.dtype: its code only."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *_rest: Any) -> None:
        if not isinstance(code, str) or not (code in ("O8", "O") or np.dtype(code).kind in _KINDS):
            raise pickle.UnpicklingError(f"an array of {str(code)[:40]!r}; refused")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">") and self.code[0] not in "O<>|=":
            self.code = state[1] + self.code


class _Array:
    """Stands for numpy.ndarray until its state comes."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise pickle.UnpicklingError("an array without a shape and a type; refused")
        if dtype.code[0] == "O":
            if not isinstance(data, list):
                raise pickle.UnpicklingError("objects that are no list; refused")
            self.value = data if len(shape) == 1 else data[0] if not shape and data else _Nested(data, shape).value
        else:
            flat = np.frombuffer(data, np.dtype(dtype.code))
            self.value = flat.reshape(shape, order="F" if fortran else "C").tolist()


class _Nested:
    """A flat list of objects as rows, for arrays of two dimensions."""

    def __init__(self, data: list[Any], shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] * shape[1] != len(data):
            raise pickle.UnpicklingError(f"objects in the shape {shape}; refused")
        self.value = [data[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]


class _Reconstruct:
    """Stands for numpy's maker of empty arrays. Without a place for attributes, so that a pickle cannot change it."""

    __slots__ = ()

    def __call__(self, kind: Any, *_shape_and_code: Any) -> _Array:
        if kind is not _Array:
            raise pickle.UnpicklingError("an array of a kind of its own; refused")
        return _Array()


class _Scalar:
    """Stands for numpy's maker of single numbers."""

    __slots__ = ()

    def __call__(self, dtype: Any, data: Any = b"") -> Any:
        if not isinstance(dtype, _Dtype) or dtype.code[0] == "O" or not isinstance(data, bytes):
            raise pickle.UnpicklingError("a number without a type; refused")
        return np.frombuffer(data, np.dtype(dtype.code))[0].item()


class _Latin1:
    """How pickles of protocol 2 write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("text in an encoding of its own; refused")
        return text.encode("latin1")


def _plain(value: Any, depth: int = 0) -> Any:
    """``value`` without stand-ins and numpy's own types. Raises ValueError for anything but plain values."""
    if depth > 32:
        raise ValueError("it is nested too deep")
    if isinstance(value, _Array):
        return _plain(value.value, depth + 1)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    raise ValueError(f"it holds a {type(value).__name__}; refused")


def _whole(value: Any, empty: Any) -> Any:
    """JSON in text or bytes, or the value itself."""
    if value is None:
        return empty
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return json.loads(value.tobytes())
    plain = _plain(value)
    return json.loads(plain) if isinstance(plain, str) else plain


def _listed(arrays: dict[str, Any], name: str) -> list[Any]:
    value = _whole(arrays.get(name), [])
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise TypeError(name)
    return value


def _unit(path: Path, vectors: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float32]:
    if vectors is None:
        return np.zeros((0, 0), np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(lengths > 1e-6) | ~np.isfinite(lengths))
    if wrong.size:
        raise CorruptFile(path, f"row {wrong[0]} of the embeddings has length {lengths[wrong[0]]:.4g}")
    return np.asarray(vectors / lengths[:, None], np.float32)
