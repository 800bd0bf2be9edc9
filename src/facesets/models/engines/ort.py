"""Networks through onnxruntime, on a provider that is named and then checked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from facesets import extras
from facesets.errors import PackUnavailable

if TYPE_CHECKING:
    from facesets.models.engines import Floats

_GET = f"{extras.get('open')}, or the onnxruntime build for your accelerator (one per environment)"

# Options that a provider needs. CUDA would try every algorithm for every shape; CoreML's older format runs little of a network.
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "CUDA": {"cudnn_conv_algo_search": "HEURISTIC"},
    "CoreML": {"ModelFormat": "MLProgram"},
}
_ONE_CALL_AT_A_TIME: Final = ("Dml",)  # DirectML: "multi-threaded calls to Run on the same inference session are not supported"


class OnnxRuntime:
    """Networks through onnxruntime on ``provider``: CPU, CUDA, Tensorrt, Dml (DirectML), CoreML, MIGraphX or OpenVINO.

    ``threads`` is the number of threads inside one call. One is best where several photos are at work at once: one session
    with one thread and two callers beats one caller with two threads. Raises errors.PackUnavailable.
    """

    def __init__(self, provider: str = "CPU", *, threads: int = 1) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - heavy, and absent where another engine does the work
        except ImportError as error:
            raise PackUnavailable(f"onnxruntime is not installed: {_GET}") from error
        self._ort: Any = onnxruntime
        self._provider, self._threads = provider, threads
        have = onnxruntime.get_available_providers()
        if self._wanted not in have:
            raise PackUnavailable(f"this onnxruntime has no {self._wanted} (it has {', '.join(have)}): {_GET}")

    @property
    def name(self) -> str:
        """``onnxruntime/`` and the provider; :meth:`load` makes sure that it is the one that runs."""
        return f"onnxruntime/{self._provider}"

    @property
    def batches(self) -> bool:
        """Whether batches pay: everywhere but on a CPU."""
        return self._provider != "CPU"

    @property
    def _wanted(self) -> str:
        return f"{self._provider}ExecutionProvider"

    def load(self, model: bytes | Path) -> OrtNetwork:
        """A network from an ONNX file or its bytes; raises errors.PackUnavailable where another provider would run it."""
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings about other people's exports help nobody here
        options.enable_cpu_mem_arena = False  # it grows with each thread and never shrinks, and saves no time
        options.enable_mem_pattern = self._provider != "Dml"  # DirectML cannot, and says so
        what = "an embedded network" if isinstance(model, bytes) else str(model)
        try:
            session = self._ort.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                options,
                providers=[(self._wanted, dict(_OPTIONS.get(self._provider, {})))],
            )
            session.disable_fallback()  # a provider that fails later would be replaced by the CPU without a word
        except Exception as error:  # onnxruntime raises its own, undocumented and unrelated classes
            raise PackUnavailable(f"{what} cannot be loaded: {str(error).splitlines()[0][:300]}") from error
        if session.get_providers()[0] != self._wanted:
            raise PackUnavailable(f"{self._wanted} was asked for and {session.get_providers()[0]} came: {_GET}")
        return OrtNetwork(session, alone=self._provider in _ONE_CALL_AT_A_TIME)


class OrtNetwork:
    """A session with one input."""

    def __init__(self, session: Any, *, alone: bool = False) -> None:
        self._session = session
        self._input = session.get_inputs()[0]
        self._lock = threading.Lock() if alone else nullcontext()

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The input's shape; None where any size goes."""
        return tuple(size if isinstance(size, int) and size > 0 else None for size in self._input.shape)

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return len(self._session.get_outputs())

    def run(self, x: Floats) -> list[Floats]:
        """All outputs for the input ``x``."""
        with self._lock:
            return list(self._session.run(None, {self._input.name: x}))
