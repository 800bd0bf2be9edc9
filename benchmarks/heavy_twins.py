"""A model pack for benchmarks, with the shapes and the cost of InsightFace's buffalo_l, and random weights. Needs ``onnx``.

All five networks layer by layer: SCRFD-10g (backbone, pyramid, three heads), ArcFace's IResNet-50, and the 3D landmark, 2D landmark
and age networks that InsightFace's own loop runs beside them. They find nothing and know nobody; they take as long and as much
memory. :func:`heavy_twin_pack` writes the files (about 310 MB).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DETECTOR_OUTPUTS = ("448", "471", "494", "451", "474", "497", "454", "477", "500")  # scores, boxes, landmarks; each by stride


def heavy_twin_pack(folder: Path) -> Path:
    """Write ``det_10g``, ``w600k_r50``, ``1k3d68``, ``2d106det`` and ``genderage`` into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    _scrfd_10g(_Net(1, "input.1"), folder / "det_10g.onnx")
    _iresnet50(_Net(2, "input.1"), folder / "w600k_r50.onnx")
    _resnet50(_Net(3, "data"), folder / "1k3d68.onnx", side=192, size=3309)
    _mobilenet(_Net(4, "data"), folder / "2d106det.onnx", side=192, size=212, width=0.5)
    _mobilenet(_Net(5, "data"), folder / "genderage.onnx", side=96, size=3, width=0.25)
    return folder


class _Net:
    """A network that grows layer by layer from its input ``x``; weights are drawn so that activations keep their size."""

    def __init__(self, seed: int, x: str) -> None:
        import onnx  # noqa: PLC0415 - the rest of the benchmarks run without it

        self._onnx: Any = onnx
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self.input = x

    def weight(self, values: npt.ArrayLike, kind: type = np.float32) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", name: str = "", **attributes: Any) -> str:
        out = out or f"t{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [out], name=name or f"{kind}_{out}", **attributes))
        return out

    def conv(
        self,
        x: str,
        width_in: int,
        width: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        gain: float = 2.0,
        bias: float = 0.0,
    ) -> str:
        fan = width_in // groups * kernel * kernel
        weights = self._random.standard_normal((width, width_in // groups, kernel, kernel)) * np.sqrt(gain / fan)
        shape: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": groups}
        return self.op("Conv", x, self.weight(weights), self.weight(np.full(width, bias)), **shape)

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def prelu(self, x: str, width: int) -> str:
        return self.op("PRelu", x, self.weight(np.full((width, 1, 1), 0.25)))

    def norm(self, x: str, width: int, out: str = "") -> str:
        one, zero = np.ones(width), np.zeros(width)
        return self.op("BatchNormalization", x, *map(self.weight, (one, zero, zero, one)), out=out, epsilon=1e-5)

    def dense(self, x: str, width_in: int, width: int, out: str = "") -> str:
        weights = self._random.standard_normal((width, width_in)) * np.sqrt(1 / width_in)
        return self.op("Gemm", x, self.weight(weights), self.weight(np.zeros(width)), out=out, transB=1)

    def pool(self, x: str) -> str:
        return self.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def save(self, path: Path, shape: list[Any], outputs: dict[str, list[Any]]) -> None:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [[helper.make_tensor_value_info(n, kind, s) for n, s in end.items()] for end in ({self.input: shape}, outputs)]
        model = helper.make_model(
            helper.make_graph(self._nodes, "twin", *ends, self._weights), opset_imports=[helper.make_opsetid("", 11)], ir_version=6
        )
        self._onnx.checker.check_model(model)
        self._onnx.save(model, str(path))


def _scrfd_10g(net: _Net, path: Path) -> None:
    x = net.relu(net.conv(net.input, 3, 28, stride=2))
    x = net.relu(net.conv(net.relu(net.conv(x, 28, 28)), 28, 56))
    x, width, stages = net.pool(x), 56, []
    for stage, (blocks, wide) in enumerate(((3, 56), (4, 88), (2, 88), (3, 224))):
        for block in range(blocks):
            x, width = _basic_block(net, x, width, wide, halves=stage > 0 and block == 0), wide
        stages.append((x, width))
    levels = [net.conv(x, width, 56, kernel=1, gain=1) for x, width in stages[1:]]
    for i in (2, 1):  # coarse to fine, then fine to coarse
        larger = net.op(
            "Resize",
            levels[i],
            net.weight([]),
            net.weight([1, 1, 2, 2]),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        levels[i - 1] = net.op("Add", levels[i - 1], larger)
    levels = [net.conv(level, 56, 56, gain=1) for level in levels]
    for i in (1, 2):
        levels[i] = net.op("Add", levels[i], net.conv(levels[i - 1], 56, 56, stride=2, gain=1))
    levels = [levels[0], *(net.conv(level, 56, 56, gain=1) for level in levels[1:])]
    shapes: dict[str, list[Any]] = {}
    for level, stride in enumerate((8, 16, 32)):
        x = levels[level]
        for i in range(3):
            x = net.relu(net.conv(x, 56 if i == 0 else 80, 80))
        for kind, (name, size, bias) in enumerate(zip(_DETECTOR_OUTPUTS[level::3], (1, 4, 10), (-20.0, 3.0, 0.0), strict=True)):
            rows = net.op("Transpose", net.conv(x, 80, 2 * size, gain=0.05, bias=bias), perm=[2, 3, 0, 1])
            rows = net.op("Reshape", rows, net.weight([-1, size], np.int64), out="" if kind == 0 else name)
            if kind == 0:
                net.op("Sigmoid", rows, out=name)
            shapes[name] = [2 * (640 // stride) ** 2, size]
    net.save(path, [1, 3, "?", "?"], {name: shapes[name] for name in _DETECTOR_OUTPUTS})


def _basic_block(net: _Net, x: str, width: int, wide: int, *, halves: bool) -> str:
    y = net.conv(net.relu(net.conv(x, width, wide, stride=2 if halves else 1)), wide, wide, gain=0.5)
    if halves:
        x = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    if halves or width != wide:
        x = net.conv(x, width, wide, kernel=1, gain=1)
    return net.relu(net.op("Add", y, x))


def _iresnet50(net: _Net, path: Path) -> None:
    x, width = net.prelu(net.conv(net.input, 3, 64), 64), 64
    for blocks, wide in ((3, 64), (4, 128), (14, 256), (3, 512)):
        for block in range(blocks):
            stride = 2 if block == 0 else 1
            y = net.prelu(net.conv(net.norm(x, width), width, wide, gain=1), wide)
            y = net.conv(y, wide, wide, stride=stride, gain=0.5)
            x = net.op("Add", y, net.conv(x, width, wide, kernel=1, stride=stride, gain=1) if block == 0 else x)
            width = wide
    x = net.op("Flatten", net.norm(x, 512), axis=1)
    net.norm(net.dense(x, 512 * 7 * 7, 512), 512, out="683")
    net.save(path, ["None", 3, 112, 112], {"683": ["None", 512]})


def _scaled_inside(net: _Net) -> str:
    """As networks exported from MXNet do; InsightFace tells them by these names."""
    x = net.op("Sub", net.input, net.weight([127.5]), name="_minusscalar0")
    return net.op("Mul", x, net.weight([1 / 128]), name="_mulscalar0")


def _resnet50(net: _Net, path: Path, *, side: int, size: int) -> None:
    x, width = net.pool(net.relu(net.conv(_scaled_inside(net), 3, 64, kernel=7, stride=2))), 64
    for stage, (blocks, narrow) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            y = net.relu(net.conv(x, width, narrow, kernel=1))
            y = net.conv(net.relu(net.conv(y, narrow, narrow, stride=stride)), narrow, 4 * narrow, kernel=1, gain=0.3)
            x = net.conv(x, width, 4 * narrow, kernel=1, stride=stride, gain=1) if block == 0 else x
            x, width = net.relu(net.op("Add", y, x)), 4 * narrow
    _head(net, x, width, path, side, size)


def _mobilenet(net: _Net, path: Path, *, side: int, size: int, width: float) -> None:
    wide = int(32 * width)
    x = net.relu(net.conv(_scaled_inside(net), 3, wide, stride=2))
    steps = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))
    for full, stride in steps:
        x = net.relu(net.conv(x, wide, wide, stride=stride, groups=wide))
        x, wide = net.relu(net.conv(x, wide, int(full * width), kernel=1)), int(full * width)
    _head(net, x, wide, path, side, size)


def _head(net: _Net, x: str, width: int, path: Path, side: int, size: int) -> None:
    net.dense(net.op("Flatten", net.op("GlobalAveragePool", x)), width, size, out="fc1")
    net.save(path, ["None", 3, side, side], {"fc1": ["None", size]})
