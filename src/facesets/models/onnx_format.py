"""As much of the ONNX format as packs take, read and written without the ``onnx`` package (37 MB). Pure: bytes in, bytes out.

A file is one message in Protocol Buffers' encoding (https://protobuf.dev/programming-guides/encoding/); the numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. What is written are the bytes that ``onnx.helper`` would write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

GRAPH = 7  # of a model
NODE, GRAPH_NAME, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 2, 5, 11, 12, 13  # of a graph
NODE_INPUT, NODE_NAME, TENSOR_NAME, RAW_DATA, VALUE_NAME = 1, 3, 8, 9, 1
_FLOAT = 1
_ELEMENTS = {"float32": _FLOAT, "int64": 7}
_INT, _STRING, _INTS = 2, 3, 7  # types of attributes


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """A message's fields in their order: number, and a view of what has a length, else the bits. Raises ValueError."""
    view, at = memoryview(data), 0
    while at < len(view):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        size, at = _varint(view, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(view)), at)
        if not number or at + size > len(view):
            raise ValueError(f"not Protocol Buffers: byte {at} of {len(view)}")
        yield number, view[at : at + size] if kind == 2 else int.from_bytes(view[at : at + size], "little")
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(view[at : at + 10]):
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError(f"not Protocol Buffers: no number at byte {at} of {len(view)}")


def parts(message: bytes | memoryview, number: int) -> list[memoryview]:
    """Messages, texts and bytes with this number in a message."""
    return [value for found, value in fields(message) if found == number and not isinstance(value, int)]


def part(message: bytes | memoryview, number: int) -> memoryview:
    """The last of them, which is the one that counts; empty where there is none."""
    return (parts(message, number) or [memoryview(b"")])[-1]


def text(message: bytes | memoryview, number: int) -> str:
    """A text in a message; empty where there is none."""
    return str(part(message, number), "utf-8")


def shape_of(value: bytes | memoryview) -> tuple[int, ...]:
    """The shape of an input or output; 0 for a length that is left open."""
    sides = parts(part(part(part(value, 2), 1), 2), 1)
    return tuple(sum(length for number, length in fields(side) if number == 1 and isinstance(length, int)) for side in sides)


def field(number: int, value: int | str | bytes | memoryview) -> bytes:
    """One field of a message, as bytes."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return b"".join((_number(number << 3 | 2), _number(len(data)), data))


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    """A constant of float32 or int64."""
    what = b"".join(field(1, side) for side in values.shape) + field(2, _ELEMENTS[values.dtype.name])
    return what + field(TENSOR_NAME, name) + field(RAW_DATA, np.ascontiguousarray(values).tobytes())


def value(name: str, shape: Sequence[str | int]) -> bytes:
    """An input or output of float32; lengths with a name are left open."""
    sides = b"".join(field(1, field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return field(VALUE_NAME, name) + field(2, field(1, field(1, _FLOAT) + field(2, sides)))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, int | str | Sequence[int]]) -> bytes:
    """An operator."""
    ends = [field(1, name) for name in inputs] + [field(2, name) for name in outputs]
    return b"".join((*ends, field(4, kind), *(field(5, _attribute(name, attributes[name])) for name in sorted(attributes))))


def _attribute(name: str, given: int | str | Sequence[int]) -> bytes:
    if isinstance(given, int):
        return field(1, name) + field(3, given) + field(20, _INT)
    if isinstance(given, str):
        return field(1, name) + field(4, given) + field(20, _STRING)
    return field(1, name) + b"".join(field(8, each) for each in given) + field(20, _INTS)


def model(graph: bytes) -> bytes:
    """The file, for operators of set 13."""
    return field(1, 8) + field(2, "facesets") + field(GRAPH, graph) + field(8, field(1, "") + field(2, 13))
