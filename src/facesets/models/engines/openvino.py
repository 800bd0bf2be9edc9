"""Networks through OpenVINO itself, on the processor, in float32 or bfloat16.

onnxruntime's OpenVINO provider runs in float32 when asked for bfloat16 and does not say so; OpenVINO itself tells what it can do.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facesets import extras
from facesets.errors import PackUnavailable

if TYPE_CHECKING:
    from facesets.models.engines import Floats

Precision = Literal["f32", "bf16"]
_GET = extras.get("openvino")
_TELEMETRY = "openvino_telemetry"


class OpenVino:
    """Networks through OpenVINO on the processor. ``threads`` is the number of threads inside one call.

    Raises errors.PackUnavailable where OpenVINO is not installed or the processor has no such ``precision``.
    """

    def __init__(self, precision: Precision = "f32", *, threads: int = 1) -> None:
        self._core: Any = _openvino().Core()
        self._precision, self._threads = precision, threads
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in able:
            raise PackUnavailable(f"this processor has no bfloat16 (it has {', '.join(able)}); use the engine openvino or cpu")

    @property
    def name(self) -> str:
        """``openvino/CPU`` and the precision; :meth:`load` makes sure that it is the one that runs."""
        return f"openvino/CPU {self._precision}"

    @property
    def batches(self) -> bool:
        """Batches do not pay on a processor."""
        return False

    def load(self, model: bytes | Path) -> OpenVinoNetwork:
        """A network from an ONNX file or its bytes; raises errors.PackUnavailable where another precision would run it."""
        what = "an embedded network" if isinstance(model, bytes) else str(model)
        streams = os.cpu_count() or 1
        options = {
            "INFERENCE_PRECISION_HINT": self._precision,
            # every stream has threads of its own, so that a result does not depend on how many calls there are at a time
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * self._threads,
            "ENABLE_CPU_PINNING": False,  # the cores are shared with decoding
        }
        try:
            compiled = self._core.compile_model(self._core.read_model(model), "CPU", options)
        except Exception as error:  # OpenVINO raises its own, undocumented classes
            raise PackUnavailable(f"{what} cannot be loaded: {str(error).splitlines()[0][:300]}") from error
        runs = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if runs != self._precision:
            raise PackUnavailable(f"OpenVINO was asked for {self._precision} and {runs} came")
        return OpenVinoNetwork(compiled)


class OpenVinoNetwork:
    """A compiled network with one input; each thread has a request of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._requests = threading.local()

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The input's shape; None where any size goes."""
        return tuple(None if size.is_dynamic else size.get_length() for size in self._compiled.inputs[0].partial_shape)

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return len(self._compiled.outputs)

    def run(self, x: Floats) -> list[Floats]:
        """All outputs for the input ``x``."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        answers = request.infer({0: x}, share_inputs=True)
        return [answers[i] for i in range(self.outputs)]


def _openvino() -> Any:
    """The module, imported without the package that reports the import to its makers: nothing leaves the machine unasked."""
    if "openvino" not in sys.modules and _TELEMETRY not in sys.modules:
        if importlib.util.find_spec("openvino") is None:
            raise PackUnavailable(f"OpenVINO is not installed: {_GET}")
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # how Python is told that there is no such module
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise PackUnavailable(f"OpenVINO cannot be used here ({error}): {_GET}") from error
