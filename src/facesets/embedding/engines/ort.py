"""Embedding room: networks through onnxruntime, on providers that are named and then checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesets.errors import PackUnavailable

if TYPE_CHECKING:
    from facesets.embedding.engines import Floats

_GET = "pip install 'facesets[cpu]', or the onnxruntime build for your accelerator (one per environment)"


class OnnxRuntime:
    """Networks through onnxruntime.

    ``threads`` is the number of threads inside one call. One is best where several photos are at work at once: one session
    with one thread and two callers beats one caller with two threads.
    """

    def __init__(self, providers: Sequence[str] = ("CPU",), *, threads: int = 1) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - heavy, and absent where another engine does the work
        except ImportError as error:
            raise PackUnavailable(f"onnxruntime is not installed: {_GET}") from error
        self._ort: Any = onnxruntime
        self._threads = threads
        self._wanted = [f"{name}ExecutionProvider" for name in providers]
        missing = [name for name in self._wanted if name not in onnxruntime.get_available_providers()]
        if missing:
            have = ", ".join(onnxruntime.get_available_providers())
            raise PackUnavailable(f"this onnxruntime has no {', '.join(missing)} (it has {have}): {_GET}")

    @property
    def name(self) -> str:
        """``onnxruntime/`` and the first provider asked for; :meth:`load` makes sure that it is the one that runs."""
        return f"onnxruntime/{self._wanted[0].removesuffix('ExecutionProvider')}"

    @property
    def batches(self) -> bool:
        """Whether batches pay: everywhere but on a CPU."""
        return self._wanted[0] != "CPUExecutionProvider"

    def load(self, model: bytes | Path) -> OrtNetwork:
        """A network from an ONNX file or its bytes; raises errors.PackUnavailable where another provider would run it."""
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings about other people's exports help nobody here
        what = "an embedded network" if isinstance(model, bytes) else str(model)
        try:
            session = self._ort.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=self._wanted
            )
        except Exception as error:  # onnxruntime raises its own, undocumented and unrelated classes
            raise PackUnavailable(f"{what} cannot be loaded: {str(error).splitlines()[0][:300]}") from error
        if session.get_providers()[0] != self._wanted[0]:
            raise PackUnavailable(f"{self._wanted[0]} was asked for and {session.get_providers()[0]} came: {_GET}")
        return OrtNetwork(session)


class OrtNetwork:
    """A session with one input."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0]

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
        return list(self._session.run(None, {self._input.name: x}))
