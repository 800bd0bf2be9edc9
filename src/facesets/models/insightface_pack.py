"""A folder of an InsightFace pack's ONNX files as a pack. Reads those files only.

What a file is for follows from its inputs and outputs, by InsightFace's own rules: five outputs or more make a detector, a
square input of 112 pixels or more with one output an ArcFace network, one of 96 pixels an age network; the first in the alphabet wins.
The others (landmarks) are not loaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from facesets.errors import PackUnavailable
from facesets.models import onnx_format as onnx
from facesets.models.age import SIDE, Ages
from facesets.models.engines import Engine
from facesets.models.engines.batching import batched
from facesets.models.licences import INSIGHTFACE
from facesets.models.pack import ModelPack
from facesets.models.recognizer import Recognizer
from facesets.models.scrfd import Scrfd
from facesets.photos import ARCFACE_112
from facesets.thresholds import ARCFACE


@dataclass(frozen=True, slots=True)
class _Model:
    path: Path
    inputs: list[tuple[int, ...]]  # shapes
    outputs: list[tuple[int, ...]]
    nodes: list[str]  # the first ones' names
    weights: list[memoryview]

    @property
    def input_sides(self) -> tuple[int, int]:
        shape = self.inputs[0]
        return (shape[2], shape[3]) if len(shape) == 4 else (0, 0)

    @property
    def task(self) -> str:
        """What InsightFace's router would take it for."""
        outputs, (height, width) = len(self.outputs), self.input_sides
        if outputs >= 5:
            return "detection"
        if outputs == 1 and len(self.inputs) == 1 and height == width >= 112 and height % 16 == 0 and height != 192:
            return "recognition"
        return "age" if outputs == 1 and height == width == SIDE else "other"

    @property
    def scaling(self) -> tuple[float, float]:
        """Mean and spread of its input; networks exported from MXNet do it themselves."""
        inside = all(any(n.startswith(kind) for n in self.nodes) for kind in (("Sub", "_minus"), ("Mul", "_mul")))
        return (0.0, 1.0) if inside else (127.5, 127.5)

    @property
    def weights_digest(self) -> str:
        """Of its weights alone: the same network with another batch size or producer is the same network."""
        if not self.weights:  # kept in the nodes
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        tensors = sorted(hashlib.sha256(onnx.part(tensor, onnx.RAW_DATA) or tensor).hexdigest() for tensor in self.weights)
        return hashlib.sha256("".join(tensors).encode()).hexdigest()


def insight_pack(folder: Path, engine: Engine, *, name: str | None = None) -> ModelPack:
    """The pack in ``folder``: its ``*.onnx`` files, or Immich's ``detection/model.onnx`` and ``recognition/model.onnx``.

    Its version is a digest of the recognition network's weights. Raises errors.PackUnavailable.
    """
    models: dict[str, _Model] = {}
    for path in model_files(folder):
        model = _read(path)
        models.setdefault(model.task, model)
    for task, what in (("detection", "detector with landmarks"), ("recognition", "ArcFace network")):
        if task not in models:
            found = ", ".join(path.name for path in model_files(folder)) or "no .onnx file"
            raise PackUnavailable(f"{folder} has no {what} (found: {found})")
    recognition = models["recognition"]
    side = recognition.input_sides[0]
    if side % 112:
        raise PackUnavailable(f"{recognition.path} wants chips of {side} pixels; facesets aligns to multiples of 112")
    mean, std = recognition.scaling
    network, batch = batched(engine, engine.load(recognition.path))
    recognizer = Recognizer(
        network,
        dim=recognition.outputs[0][-1],
        template=ARCFACE_112 * (side / 112),
        size=side,
        mean=mean,
        std=std,
        smooth=False,  # InsightFace does not either, and vectors must equal its own
        batch=batch,
    )
    detector = Scrfd(engine.load(models["detection"].path), windows=not engine.batches)
    age = models.get("age")
    ages = Ages(engine.load(age.path), *(age.scaling if age.scaling[1] == 1 else (127.5, 128.0))) if age else None
    version = recognition.weights_digest[:12]
    return ModelPack(name or folder.resolve().name, version, ARCFACE, INSIGHTFACE, detector, recognizer, ages, engine.name)


def model_files(folder: Path) -> list[Path]:
    """The ONNX files of a pack in ``folder``, in the alphabet's order; empty where there is none."""
    immich = [folder / task / "model.onnx" for task in ("detection", "recognition")]
    if all(path.is_file() for path in immich):
        return immich
    nested = folder / folder.name  # how antelopev2 unpacks
    return sorted(folder.glob("*.onnx")) or sorted(nested.glob("*.onnx"))


def _read(path: Path) -> _Model:
    try:
        graph = onnx.part(path.read_bytes(), onnx.GRAPH)
        weights = onnx.parts(graph, onnx.INITIALIZER)
        names = {onnx.text(tensor, onnx.TENSOR_NAME) for tensor in weights}
        inputs = [onnx.shape_of(value) for value in onnx.parts(graph, onnx.INPUT) if onnx.text(value, onnx.VALUE_NAME) not in names]
        outputs = [onnx.shape_of(value) for value in onnx.parts(graph, onnx.OUTPUT)]
        nodes = [onnx.text(node, onnx.NODE_NAME) for node in onnx.parts(graph, onnx.NODE)[:8]]
    except (OSError, ValueError) as error:
        raise PackUnavailable(f"{path} is not an ONNX file: {error}") from error
    if not inputs or not outputs:
        raise PackUnavailable(f"{path} is not an ONNX file: no inputs or outputs")
    return _Model(path, inputs, outputs, nodes, weights)
