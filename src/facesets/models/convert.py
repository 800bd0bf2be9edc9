"""Permissive networks as ONNX files of ours. Pure: bytes in, bytes out.

CenterFace comes with a fixed input size and its weights listed as inputs; dlib's ResNet comes in dlib's own serialisation.
Both are rewritten once, at first use (:mod:`facesets.models.store` keeps the result).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets.models import onnx_format as onnx

Floats = npt.NDArray[np.float32]

_MEAN_RGB = (122.782, 117.001, 104.298)  # what dlib's input layer subtracts; it then divides by 256
_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))  # channels, blocks, halves first

# dlib's descriptors lie in a narrow cone (plain cosine distances: same person .04, strangers .14). The cone's axis is, to a
# cosine of .96, the sum of the last layer's rows: its inputs, averages after a ReLU, are all positive. Taking .6 of that axis
# away and bringing the rest to unit length gives cosine distances of a useful size without learning anything from anybody's
# photos. benchmarks/calibrate_packs.py measures it: B-cubed F on the labelled photos .970, plain descriptors .967.
_SHARED = 0.6


def centerface(source: bytes) -> bytes:
    """CenterFace with any input height and width (multiples of 32), weights as constants so that they can be folded."""
    graph = onnx.part(source, onnx.GRAPH)
    used = {bytes(name) for node in onnx.parts(graph, onnx.NODE) for name in onnx.parts(node, onnx.NODE_INPUT)}
    weights = {onnx.text(tensor, onnx.TENSOR_NAME) for tensor in onnx.parts(graph, onnx.INITIALIZER)}

    rewritten = []
    for number, value in onnx.fields(graph):
        if isinstance(value, int) or number == onnx.VALUE_INFO:
            continue
        if number == onnx.INITIALIZER and onnx.part(value, onnx.TENSOR_NAME) not in used:  # the training's counters
            continue
        if number in (onnx.INPUT, onnx.OUTPUT):
            name = onnx.text(value, onnx.VALUE_NAME)
            if name in weights:
                continue
            sides = ("height", "width") if number == onnx.INPUT else ("h", "w")
            rewritten.append(onnx.field(number, onnx.value(name, ("n", onnx.shape_of(value)[1], *sides))))
        else:
            rewritten.append(onnx.field(number, value))
    body = b"".join(rewritten)
    return b"".join(onnx.field(number, body if number == onnx.GRAPH else value) for number, value in onnx.fields(source))


def dlib_resnet(source: bytes) -> bytes:
    """dlib's face recognition ResNet with unit vectors: ``chip`` float32 RGB 0..255 [n, 3, 150, 150] -> ``vector`` [n, 128].

    The architecture is that of dlib's ``face_recognition_model_v1`` (29 convolutions); the affine layers are folded into
    the convolutions. A second output, ``norm`` [n], is the length of dlib's own descriptor, averaged with the mirrored
    chip's. Raises ValueError where ``source`` is not that network.
    """
    net = Net(_layers(source))
    x = net.op("Concat", "chip", net.mirrored("chip"), axis=0)
    x = net.op("Sub", x, net.constant(np.array(_MEAN_RGB, np.float32).reshape(1, 3, 1, 1)))
    x = net.op("Mul", x, net.constant(np.array([1 / 256], np.float32)))
    x = net.op("Relu", net.conv(x, 3, 32, kernel=7, stride=2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    channels, side = 32, 35
    for width, blocks, halves in _STAGES:
        for block in range(blocks):
            x, side = net.residual(x, channels, width, side, half=halves and block == 0)
            channels = width
    last = net.take("fc_2").reshape(256, 128)
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    x = net.op("MatMul", x, net.constant(last))
    x = net.op("ReduceMean", net.op("Reshape", x, net.constant(np.array([2, -1, 128], np.int64))), axes=[0], keepdims=0)
    net.op("ReduceL2", x, axes=[1], keepdims=0, out="norm")
    shared = last.sum(axis=0, dtype=np.float64)
    x = net.op("Sub", net.unit(x), net.constant((_SHARED * shared / np.linalg.norm(shared)).astype(np.float32)))
    net.unit(x, out="vector")
    return net.model({"chip": ("n", 3, 150, 150)}, {"vector": ("n", 128), "norm": ("n",)})


def _layers(source: bytes) -> Iterator[tuple[str, Floats]]:
    """The weight tensors of a dlib network in forward order, each with its layer's tag."""
    tags = {tag: bytes((1, len(tag))) + tag.encode() for tag in ("con_4", "affine_", "fc_2")}
    at = 0
    while True:
        found = [(place, tag) for tag, mark in tags.items() if (place := source.find(mark, at)) >= 0]
        if not found:
            return
        place, tag = min(found)
        at = place + len(tags[tag])
        for _ in range(2 if tag == "fc_2" else 0):  # its numbers of outputs and inputs
            _, at = _integer(source, at)
        version, at = _integer(source, at)
        dims = []
        for _ in range(4):
            size, at = _integer(source, at)
            dims.append(size)
        count = int(np.prod(dims))
        if version != 2 or not 0 < count <= (len(source) - at) // 4:
            raise ValueError(f"not a dlib tensor after {tag}: version {version}, shape {dims}")
        yield tag, np.frombuffer(source, "<f4", count, at)
        at += 4 * count


def _integer(source: bytes, at: int) -> tuple[int, int]:
    """dlib's integer: a byte with the length (low four bits) and the sign (high bit), then little-endian bytes."""
    (control,) = struct.unpack_from("B", source, at)
    end = at + 1 + (control & 15)
    value = int.from_bytes(source[at + 1 : end], "little")
    return (-value if control & 128 else value), end


class Net:
    """An ONNX graph that grows operator by operator; where weights come as a stream of ``layers``, each in its turn."""

    def __init__(self, layers: Iterable[tuple[str, Floats]] = ()) -> None:
        self._layers = iter(layers)
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def take(self, want: str) -> Floats:
        """The weights of the next layer. Raises ValueError where it is another."""
        tag, weights = next(self._layers, ("nothing", np.zeros(0, np.float32)))
        if tag != want:
            raise ValueError(f"expected the layer {want}, found {tag}")
        return weights

    def constant(self, values: npt.NDArray[Any]) -> str:
        """The name of a constant."""
        name = f"c{len(self._constants)}"
        self._constants.append(onnx.tensor(name, values))
        return name

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: int | str | list[int]) -> str:
        """The name of what an operator gives."""
        name = out or f"t{len(self._nodes)}"
        self._nodes.append(onnx.node(kind, inputs, [name], attributes))
        return name

    def conv(self, x: str, channels: int, width: int, *, kernel: int, stride: int) -> str:
        """dlib's convolution with the affine layer behind it."""
        stored, affine = self.take("con_4"), self.take("affine_")
        count = width * channels * kernel * kernel
        if stored.size != count + width or affine.size != 2 * width:
            raise ValueError(f"a convolution of {stored.size} weights stands where {count + width} are expected")
        gain, shift = affine[:width], affine[width:]
        filters = stored[:count].reshape(width, channels, kernel, kernel) * gain[:, None, None, None]
        pad = kernel // 2 if stride == 1 else 0
        bias = self.constant(stored[count:] * gain + shift)
        weights = self.constant(filters)
        return self.op("Conv", x, weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def residual(self, x: str, channels: int, width: int, side: int, *, half: bool) -> tuple[str, int]:
        """One block; dlib's ``add_prev`` extends the smaller of the two summands with zeros, in channels and in space."""
        y = self.op("Relu", self.conv(x, channels, width, kernel=3, stride=2 if half else 1))
        y = self.conv(y, width, width, kernel=3, stride=1)
        if half:
            x = self.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            main, skip = (side - 3) // 2 + 1, (side - 2) // 2 + 1
            side = max(main, skip)
            y, x = self._extended(y, 0, side - main), self._extended(x, width - channels, side - skip)
        return self.op("Relu", self.op("Add", y, x)), side

    def _extended(self, x: str, channels: int, space: int) -> str:
        if not channels and not space:
            return x
        return self.op("Pad", x, self.constant(np.array([0, 0, 0, 0, 0, channels, space, space], np.int64)), mode="constant")

    def mirrored(self, x: str) -> str:
        """Pictures [n, 3, h, w], left and right changed."""
        ends = [self.constant(np.array([value], np.int64)) for value in (-1, np.iinfo(np.int64).min, 3, -1)]
        return self.op("Slice", x, *ends)

    def unit(self, x: str, out: str | None = None) -> str:
        """Rows brought to unit length."""
        return self.op("Div", x, self.op("ReduceL2", x, axes=[1], keepdims=1), out=out)

    def model(self, inputs: Mapping[str, tuple[str | int, ...]], outputs: Mapping[str, tuple[str | int, ...]]) -> bytes:
        """The file; names with their shapes. Raises ValueError where layers are left."""
        if next(self._layers, None) is not None:
            raise ValueError("the network has more layers than its architecture")
        graph = [onnx.field(onnx.NODE, node) for node in self._nodes]
        graph.append(onnx.field(onnx.GRAPH_NAME, "facesets"))
        graph += [onnx.field(onnx.INITIALIZER, constant) for constant in self._constants]
        graph += [onnx.field(onnx.INPUT, onnx.value(*end)) for end in inputs.items()]
        graph += [onnx.field(onnx.OUTPUT, onnx.value(*end)) for end in outputs.items()]
        return onnx.model(b"".join(graph))
