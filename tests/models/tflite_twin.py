"""A TensorFlow Lite file of MobileFaceNet's kind and ends, tiny and with random weights; and what it must give, by definition."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Field = tuple[str, int] | bytes | Sequence[Any] | dict[int, Any]

_CONV, _DEPTHWISE, _MUL, _RELU, _RESHAPE, _SUB, _ADD, _ABS = 3, 4, 18, 19, 22, 41, 0, 101
_SIDE, _MIDDLE, _DIM = 112, 8, 192


def flat(root: dict[int, Any]) -> bytes:
    """A FlatBuffer of tables: {field number: (struct kind, number), bytes, [int32], [table] or table}."""
    out = bytearray(8)

    def put(value: Field) -> int:
        """Where a table or vector begins."""
        while len(out) % 8:
            out.append(0)
        if isinstance(value, bytes):
            start = len(out)
            out.extend(struct.pack("<I", len(value)) + value)
            return start
        if not isinstance(value, dict):
            start = len(out)
            if value and isinstance(value[0], dict):
                out.extend(struct.pack("<I", len(value)) + bytes(4 * len(value)))
                for i, one in enumerate(value):
                    refer(start + 4 + 4 * i, one)
            else:
                out.extend(struct.pack(f"<I{len(value)}i", len(value), *value))
            return start
        fields = max(value, default=-1) + 1
        offsets = len(out)
        out.extend(bytes(4 + 2 * fields + (-(4 + 2 * fields)) % 8))
        start = len(out)
        out.extend(struct.pack("<i", start - offsets) + bytes(8 * fields))
        struct.pack_into("<HH", out, offsets, 4 + 2 * fields, 4 + 8 * fields)
        for number, field in value.items():
            place = start + 4 + 8 * number
            struct.pack_into("<H", out, offsets + 4 + 2 * number, place - start)
            if isinstance(field, tuple):
                struct.pack_into(f"<{field[0]}", out, place, field[1])
            else:
                refer(place, field)
        return start

    def refer(place: int, value: Field) -> None:
        struct.pack_into("<I", out, place, put(value) - place)

    start = put(root)
    struct.pack_into("<I4s", out, 0, start, b"TFL3")
    return bytes(out)


def weights(seed: int = 0) -> dict[str, Floats]:
    """Filters as the format keeps them (out, h, w, in), biases, and how steep negative values are, halved."""
    rng = np.random.default_rng(seed)
    shapes = {
        "first": (_MIDDLE, 3, 3, 3), "first_bias": (_MIDDLE,), "slope": (_MIDDLE,), "each": (1, 7, 7, _MIDDLE), "each_bias": (_MIDDLE,),
        "last": (_DIM, 1, 1, _MIDDLE), "last_bias": (_DIM,),
    }  # fmt: skip
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def tflite_twin(seed: int = 0, *, activation: int = 0) -> bytes:
    """The file: a convolution in steps of 16, a slope for negative values, one 7 x 7 filter a channel, one 1 x 1 convolution."""
    made = weights(seed)
    shapes: list[list[int]] = [[2, _SIDE, _SIDE, 3], *[[2, 7, 7, _MIDDLE]] * 6, [2, 1, 1, _MIDDLE], [2, 1, 1, _DIM], [2, _DIM]]
    values = len(shapes)
    shapes += [list(w.shape) for w in made.values()]
    constant = {name: values + i for i, name in enumerate(made)}
    buffers: list[dict[int, Any]] = [{}] + [{0: w.tobytes()} for w in made.values()]
    tensors = [{0: s, 1: ("b", 0), 2: ("I", max(i - values + 1, 0))} for i, s in enumerate(shapes)]
    kinds = [_CONV, _DEPTHWISE, _MUL, _RELU, _RESHAPE, _SUB, _ADD, _ABS]
    same, valid = {1: ("i", 16), 2: ("i", 16), 3: ("b", activation)}, {0: ("b", 1), 1: ("i", 1), 2: ("i", 1)}
    operators = [
        (_CONV, [0, constant["first"], constant["first_bias"]], 1, same),
        (_RELU, [1], 2, None),
        (_ABS, [1], 3, None),
        (_SUB, [1, 3], 4, {}),
        (_MUL, [constant["slope"], 4], 5, {}),
        (_ADD, [2, 5], 6, {}),
        (_DEPTHWISE, [6, constant["each"], constant["each_bias"]], 7, valid),
        (_CONV, [7, constant["last"], constant["last_bias"]], 8, valid),
        (_RESHAPE, [8], 9, None),
    ]
    graph = {
        0: tensors, 1: [0], 2: [9],
        3: [
            {0: ("I", kinds.index(kind)), 1: inputs, 2: [output]} | ({} if options is None else {4: options})
            for kind, inputs, output, options in operators
        ],
    }  # fmt: skip
    return flat({0: ("I", 3), 1: [{0: ("b", kind)} for kind in kinds], 2: [graph], 4: buffers})


def expected(chip: Floats, seed: int = 0) -> Floats:
    """What the twin makes of ``chip`` [3, 112, 112]: its vector, by definition."""
    w = {name: value.astype(np.float64) for name, value in weights(seed).items()}
    picture = chip.transpose(1, 2, 0).astype(np.float64)  # 7 steps of 16 and a window of 3 need no margin
    x = np.stack([
        [np.einsum("hwi,ohwi->o", picture[16 * r : 16 * r + 3, 16 * c : 16 * c + 3], w["first"]) + w["first_bias"] for c in range(7)]
        for r in range(7)
    ])  # fmt: skip
    x = np.maximum(x, 0) + w["slope"] * (x - np.abs(x))
    pooled = (x * w["each"][0]).sum(axis=(0, 1)) + w["each_bias"]
    out: Floats = (w["last"][:, 0, 0] @ pooled + w["last_bias"]).astype(np.float32)
    return out
