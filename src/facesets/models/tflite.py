"""MobileFaceNet as an ONNX file of ours, from TensorFlow Lite's format. Pure: bytes in, bytes out.

Read is as much of the format (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs, a
FlatBuffer) as a network of convolutions takes. Its pictures are [n, h, w, channels], ONNX's [n, channels, h, w].
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets.models.convert import Net

_ADD, _CONV, _DEPTHWISE, _MUL, _RELU, _RESHAPE, _SUB, _ABS = 0, 3, 4, 18, 19, 22, 41, 101  # of schema.fbs, BuiltinOperator
_KINDS = {_ADD: "Add", _MUL: "Mul", _RELU: "Relu", _SUB: "Sub", _ABS: "Abs"}
_PRELU = [_RELU, _ABS, _SUB, _MUL, _ADD]  # relu(x) + a (x - |x|): how the format says that of negative x twice a remains
_FLOAT32, _SAME = 0, 0  # TensorType, Padding


def mobilefacenet(source: bytes) -> bytes:
    """``chip`` float32 [n, 3, h, w] -> ``vector`` [n, d] of any network of plain convolutions. Raises ValueError where it is none.

    As the network gives it, not of unit length.
    """
    try:
        return _converted(source)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise ValueError(f"not a TensorFlow Lite network of plain convolutions: {error or type(error).__name__}") from error


def _converted(source: bytes) -> bytes:
    if source[4:8] != b"TFL3":
        raise ValueError("not a TensorFlow Lite file")
    model = _Table(source, struct.unpack_from("<I", source)[0])
    (graph,) = model.tables(2)
    tensors, buffers, operators = graph.tables(0), model.tables(4), graph.tables(3)
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(1)]
    kinds = [codes[op.number(0, "I")] for op in operators]
    (given,), (wanted,) = graph.numbers(1), graph.numbers(2)
    shape = [tensor.numbers(0) for tensor in tensors]
    net = Net()
    names = {given: "chip"}

    def weights(at: int) -> npt.NDArray[np.float32] | None:
        data = buffers[tensors[at].number(2, "I")].bytes(0)
        if not data:
            return None
        if tensors[at].number(1, "b") != _FLOAT32:
            raise ValueError("its weights are no float32")
        return np.frombuffer(data, "<f4").reshape(shape[at])

    def value(at: int) -> str:
        """The name of a tensor; a constant of one number a channel goes along the channels."""
        if at not in names:
            constant = weights(at)
            if constant is None or constant.ndim != 1:
                raise ValueError(f"tensor {at} comes from nowhere")
            names[at] = net.constant(constant.reshape(1, -1, 1, 1))
        return names[at]

    at = 0
    while at < len(operators):
        op, kind = operators[at], kinds[at]
        inputs, (output,) = op.numbers(1), op.numbers(2)
        if kinds[at : at + 5] == _PRELU and [operators[at + k].numbers(1)[0] for k in (1, 2)] == inputs * 2:
            (slope,) = (w for k in operators[at + 3].numbers(1) if (w := weights(k)) is not None)
            (output,) = operators[at + 4].numbers(2)
            names[output] = net.op("PRelu", value(inputs[0]), net.constant(2 * slope.reshape(-1, 1, 1)))
            at += 5
            continue
        if kind in (_CONV, _DEPTHWISE):
            names[output] = _convolution(net, op, kind, value(inputs[0]), weights(inputs[1]), weights(inputs[2]), shape[inputs[0]])
        elif kind == _RESHAPE:
            names[output] = net.op("Flatten", value(inputs[0]), axis=1)
        elif kind in _KINDS and not _activated(op, kind):
            names[output] = net.op(_KINDS[kind], *map(value, inputs))
        else:
            raise ValueError(f"operator {kind} is none of a network of plain convolutions")
        at += 1
    _, height, width, channels = shape[given]
    net.op("Identity", names[wanted], out="vector")
    return net.model({"chip": ("n", channels, height, width)}, {"vector": ("n", int(np.prod(shape[wanted][1:])))})


def _activated(op: _Table, kind: int) -> bool:
    """Whether a sum or product has an activation of its own."""
    options = op.table(4)
    return kind in (_ADD, _SUB, _MUL) and options is not None and bool(options.number(0, "b"))


def _convolution(net: Net, op: _Table, kind: int, x: str, filters: Any, bias: Any, sides: list[int]) -> str:
    options = op.table(4)
    if options is None or filters is None or bias is None:
        raise ValueError("a convolution without weights")
    padding, strides, activation = options.number(0, "b"), [options.number(2, "i"), options.number(1, "i")], 3 if kind == _CONV else 4
    if options.number(activation, "b"):
        raise ValueError("a convolution with an activation of its own")
    groups = filters.shape[3] if kind == _DEPTHWISE else 1
    filters = filters.transpose(3, 0, 1, 2) if kind == _DEPTHWISE else filters.transpose(0, 3, 1, 2)
    before, after = [], []
    for side, kernel, stride in zip(sides[1:3], filters.shape[2:], strides, strict=True):
        all_ = max((-(-side // stride) - 1) * stride + kernel - side, 0) if padding == _SAME else 0
        before.append(all_ // 2)
        after.append(all_ - all_ // 2)
    return net.op(
        "Conv", x, net.constant(filters), net.constant(bias),
        kernel_shape=list(filters.shape[2:]), strides=strides, pads=[*before, *after], group=groups,
    )  # fmt: skip


class _Table:
    """A FlatBuffer's table at ``at``: fields by their number."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def _field(self, number: int) -> int | None:
        offsets = self._at - int(struct.unpack_from("<i", self._data, self._at)[0])
        (length,) = struct.unpack_from("<H", self._data, offsets)
        entry = 4 + 2 * number
        (offset,) = struct.unpack_from("<H", self._data, offsets + entry) if entry < length else (0,)
        return self._at + int(offset) if offset else None

    def number(self, number: int, kind: str) -> int:
        """A number (``kind`` as in :mod:`struct`); 0 where it is left out."""
        place = self._field(number)
        return 0 if place is None else int(struct.unpack_from(f"<{kind}", self._data, place)[0])

    def _target(self, place: int) -> int:
        return place + int(struct.unpack_from("<I", self._data, place)[0])

    def table(self, number: int) -> _Table | None:
        """A table within."""
        place = self._field(number)
        return None if place is None else _Table(self._data, self._target(place))

    def _vector(self, number: int) -> tuple[int, int]:
        place = self._field(number)
        if place is None:
            return 0, 0
        start = self._target(place)
        return start + 4, int(struct.unpack_from("<I", self._data, start)[0])

    def tables(self, number: int) -> list[_Table]:
        """A vector of tables."""
        start, count = self._vector(number)
        return [_Table(self._data, self._target(start + 4 * i)) for i in range(count)]

    def numbers(self, number: int) -> list[int]:
        """A vector of int32."""
        start, count = self._vector(number)
        return list(struct.unpack_from(f"<{count}i", self._data, start))

    def bytes(self, number: int) -> bytes:
        """A vector of bytes."""
        start, count = self._vector(number)
        return self._data[start : start + count]
