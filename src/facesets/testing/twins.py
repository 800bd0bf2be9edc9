"""A tiny model pack with the file names, inputs and outputs of InsightFace's buffalo_l, and photos that it understands.

Its detector fires on squares with a magenta frame whose side is 32, 64 or 128 px and whose centre lies on a grid of 32 px, both
counted in the photo scaled to 640 px; its recogniser is a fixed random projection of what is in the frame. Nothing is learnt,
everything is exact and fast. :func:`twin_pack` writes the files, :func:`twin_photo` draws the photos. Needs ``onnx``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SIDES = (32, 64, 128)  # one for each stride
_STRIDES = (8, 16, 32)
_CELL = 4  # px, as wide as the thinnest frame; a cell is as wide as the frame at every stride
_TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
_DETECTOR_OUTPUTS = ("448", "471", "494", "451", "474", "497", "454", "477", "500")  # as buffalo_l names them


def twin_pack(folder: Path, *, others: bool = True) -> Path:
    """Write the pack's files into ``folder`` and return it; ``others`` adds the landmark and age networks that nothing needs."""
    folder.mkdir(parents=True, exist_ok=True)
    _Graph().detector(folder / "det_10g.onnx")
    _Graph().recogniser(folder / "w600k_r50.onnx")
    if others:
        for name, side, size in (("1k3d68", 192, 3309), ("2d106det", 192, 212), ("genderage", 96, 3)):
            _Graph().decoy(folder / f"{name}.onnx", side, size)
    return folder


def twin_photo(
    faces: Iterable[tuple[int, int, int, int]], *, width: int = 640, height: int = 480, noise: float = 6.0, seed: int = 0
) -> Pixels:
    """A photo uint8 [height, width, 3] with ``faces`` (centre x, centre y, side, person) on a grey ground.

    Another ``seed`` is another exposure: the same people, other noise of that standard deviation.
    """
    random = np.random.default_rng((seed, width, height))
    photo = np.full((height, width, 3), 90.0)
    for x, y, side, person in faces:
        frame = side // 8
        face = np.empty((side, side, 3))
        face[:] = (255, 0, 255)
        pattern = np.random.default_rng(person).integers(0, 256, (6, 6, 3), np.uint8)
        inner = side - 2 * frame
        face[frame:-frame, frame:-frame] = cv2.resize(pattern, (inner, inner), interpolation=cv2.INTER_CUBIC)
        photo[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = face
    return np.clip(photo + random.normal(0, noise, photo.shape), 0, 255).astype(np.uint8)


def _frame_filter() -> npt.NDArray[np.float64]:
    """Mean inside the frame minus mean around it; in cells, of which a face has eight a side."""
    inside, around = np.zeros((10, 10)), np.ones((10, 10))
    inside[1:-1, 1:-1] = 1
    inside[2:-2, 2:-2] = 0
    around[1:-1, 1:-1] = 0
    kernel: npt.NDArray[np.float64] = inside / inside.sum() - around / around.sum()
    return kernel[None, None]


class _Graph:
    def __init__(self) -> None:
        import onnx  # noqa: PLC0415 - the testing room must be importable without it

        self._onnx: Any = onnx
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def _weight(self, values: npt.ArrayLike, kind: type = np.float32) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def _op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"t{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _save(self, path: Path, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> None:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [[helper.make_tensor_value_info(name, kind, shape) for name, shape in end.items()] for end in (inputs, outputs)]
        model = helper.make_model(
            helper.make_graph(self._nodes, "twin", *ends, self._weights), opset_imports=[helper.make_opsetid("", 11)], ir_version=6
        )
        self._onnx.checker.check_model(model)
        self._onnx.save(model, str(path))

    def detector(self, path: Path) -> None:
        channels = self._op("Mul", "input.1", self._weight(np.reshape([0.5, -1.0, 0.5], (1, 3, 1, 1))))
        magenta = self._op("Add", self._op("ReduceSum", channels, axes=[1]), self._weight([-1.0]))
        magenta = self._op("Relu", magenta)
        # frames, and the places where they may be, are whole numbers of these cells: their means tell as much as all pixels, sooner
        cells = self._op("AveragePool", magenta, kernel_shape=[_CELL] * 2, strides=[_CELL] * 2)
        shapes: dict[str, list[Any]] = {}
        for level, (stride, side) in enumerate(zip(_STRIDES, SIDES, strict=True)):
            score, box, points = _DETECTOR_OUTPUTS[level::3]
            weights = self._weight(_frame_filter()), self._weight([-0.6])
            seen = self._op("Conv", cells, *weights, strides=[2] * 2, pads=[5, 5, 4, 4])
            cells = self._op("AveragePool", cells, kernel_shape=[2] * 2, strides=[2] * 2)
            sure = self._op("Mul", seen, self._weight([12.0]))
            never = self._op("Sub", sure, self._weight([50.0]))  # the second anchor of each place
            rows = self._op("Transpose", self._op("Concat", sure, never, axis=1), perm=[2, 3, 0, 1])
            rows = self._op("Reshape", rows, self._weight([-1, 1], np.int64))
            self._op("Sigmoid", rows, out=score)
            zero = self._op("Mul", rows, self._weight([0.0]))
            self._op("Add", zero, self._weight(np.full((1, 4), side / 2 / stride)), out=box)
            self._op("Add", zero, self._weight(((_TEMPLATE - 56) / 112 * side / stride).reshape(1, 10)), out=points)
            count = 2 * (640 // stride) ** 2
            shapes |= {score: [count, 1], box: [count, 4], points: [count, 10]}
        self._save(path, {"input.1": [1, 3, "?", "?"]}, {name: shapes[name] for name in _DETECTOR_OUTPUTS})

    def recogniser(self, path: Path) -> None:
        cells = self._op("Flatten", self._op("AveragePool", "input.1", kernel_shape=[14, 14], strides=[14, 14]))
        projection = np.random.default_rng(5).standard_normal((512, 3, 8, 8))
        projection[:, :, [0, -1]] = 0  # the frame, which all have in common
        projection[..., [0, -1]] = 0
        self._op("Gemm", cells, self._weight(projection.reshape(512, 192)), self._weight(np.zeros(512)), transB=1, out="683")
        self._save(path, {"input.1": ["None", 3, 112, 112]}, {"683": ["None", 512]})

    def decoy(self, path: Path, side: int, size: int) -> None:
        pooled = self._op("Flatten", self._op("GlobalAveragePool", "data"))
        self._op("MatMul", pooled, self._weight(np.ones((3, size))), out="fc1")
        self._save(path, {"data": ["None", 3, side, side]}, {"fc1": ["None", size]})
