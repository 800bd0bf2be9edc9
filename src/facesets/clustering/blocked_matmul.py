"""All products of many vectors, block by block, with a bound on how far off they are. Pure: arrays in, arrays out.

Fast and slightly off: a product only says which pairs are worth an exact look. Integer products come from onnxruntime's
MatMulInteger (unsigned x signed bytes, dispatched at run time on x86 and ARM), measured 3 to 6 times as fast as float32 on one core;
where they saturate (x86 before VNNI), its float32 ones, which unlike NumPy's start no threads beside the caller's own. Where
onnxruntime is missing, NumPy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.clustering.arrays import Floats

_LEVELS = 127
_ZERO = 128

# ONNX models of one node, as onnx.helper writes them (a test builds them again), so that onnx itself is not needed: of columns of
# int8 y = MatMulInteger(a - 128, b), uint8 a [m, k], int8 b [k, n], int32 y [m, n]; of columns of float32 y = MatMul(a, b).
MODELS = {
    "int8": bytes.fromhex(
        "08063a700a1b0a01610a01620a017a120179220d4d61744d756c496e74656765721201672a0910022a02800142017a5a150a016112100a0e0802120a0a0312"
        "016d0a0312016b5a150a016212100a0e0803120a0a0312016b0a0312016e62150a017912100a0e0806120a0a0312016d0a0312016e42040a00100a"
    ),
    "float32": bytes.fromhex(
        "08063a5b0a110a01610a016212017922064d61744d756c1201675a150a016112100a0e0801120a0a0312016d0a0312016b5a150a016212100a0e0801120a0a"
        "0312016b0a0312016e62150a017912100a0e0801120a0a0312016d0a0312016e42040a001009"
    ),
}


@dataclass(frozen=True, slots=True)
class Blocks:
    """Vectors made ready for :meth:`product`: columns in blocks of ``width``, and for each row what bounds its distances.

    For rows i, j the distance |x_i - x_j|^2 / 2 is at least ``low[i] + low[j] - scale[i] * scale[j] * product[i, j]``.
    """

    columns: tuple[NDArray[Any], ...]  # each [d, width], int8 or float32
    width: int
    scale: NDArray[np.float32]
    low: NDArray[np.float32]

    def rows(self, a: int, b: int) -> NDArray[Any]:
        """Rows a to b, which lie in one block, as the left side of a product."""
        block, first = divmod(a, self.width)
        part = np.ascontiguousarray(self.columns[block][:, first : first + b - a].T)
        return (part.view(np.uint8) ^ np.uint8(_ZERO)) if part.dtype == np.int8 else part

    def product(self, rows: NDArray[Any], block: int) -> NDArray[Any]:
        """Products of ``rows`` [r, d] with the columns of a block: int32 or float32 [r, width]."""
        columns = self.columns[block]
        session = _session(columns.dtype.name)
        out: NDArray[Any] = session.run(None, {"a": rows, "b": columns})[0] if session else rows @ columns
        return out


def blocks_of(x: Floats, half: Floats, width: int, *, integers: bool | None = None) -> Blocks:
    """``x`` [n, d] with half squared norms ``half`` [n], in blocks; ``integers``: None takes them where they are to be had."""
    n, d = x.shape
    use = integers_work() if integers is None else integers
    scale, low = np.ones(n, np.float32), np.empty(n, np.float32)
    norm = np.sqrt(2 * half)
    longest = float(norm.max(initial=0.0))
    error = np.empty(n)
    columns = []
    for a in range(0, n, width):
        part = x[a : a + width].astype(np.float32)
        if not use:
            columns.append(np.ascontiguousarray(part.T))
            error[a : a + width] = norm[a : a + width] * (d * 2.0**-23)
            continue
        step = np.maximum(np.abs(part).max(axis=1), np.float32(1e-30)) / np.float32(_LEVELS)
        whole = np.rint(part / step[:, None])
        scale[a : a + width] = step
        columns.append(np.ascontiguousarray(whole.astype(np.int8).T))
        whole *= step[:, None]
        whole -= part
        error[a : a + width] = np.linalg.norm(whole, axis=1)
    # |a.b - a'.b'| <= |a - a'| |b'| + |a| |b - b'|, with |b'| <= |b| + |b - b'|; and what rounding to float32 may add in all
    low[:] = half - error * (longest + error.max(initial=0.0)) - 4e-6 * longest * (longest + 1e-3)
    return Blocks(tuple(columns), width, scale, low)


@lru_cache
def _session(kind: str) -> Any:
    """What multiplies by columns of this type; None where onnxruntime is missing."""
    try:
        import onnxruntime  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the threads are the join's own
    return onnxruntime.InferenceSession(MODELS[kind], options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def integers_work() -> bool:
    """Whether integer products can be had here, and do not saturate."""
    session = _session("int8")
    if session is None:
        return False
    a = np.full((64, 64), 255, np.uint8)
    b = np.full((64, 64), _LEVELS, np.int8)
    return bool((session.run(None, {"a": a, "b": b})[0] == (255 - _ZERO) * _LEVELS * 64).all())
