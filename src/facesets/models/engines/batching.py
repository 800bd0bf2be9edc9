"""Calls of several threads made one. Pure but for the network it is given.

On an accelerator a call costs nearly the same for one face as for thirty. Whoever finds the network free takes along what has
gathered; the others wait for their part. No thread of its own, no waiting for more to come.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from facesets.models.engines import Engine, Floats, Network

LIMIT: Final = 32


def batched(engine: Engine, network: Network) -> tuple[Network, int]:
    """``network`` as it is best called on ``engine``, and how many rows a call may have: one on a CPU."""
    if not engine.batches or network.input_shape[0] is not None:
        return network, 1
    return Batched(network), LIMIT


@dataclass(slots=True)
class _Call:
    x: Floats
    answers: list[Floats] | None = None
    failure: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Batched:
    """``network`` with the calls that come while it is busy put together, up to :data:`LIMIT` rows; one call at a time.

    Batches are filled up to a power of two with copies of the last row: some runtimes compile anew for each size.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._waiting: deque[_Call] = deque()
        self._busy = threading.Lock()

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The input's shape; None where any size goes."""
        return self._network.input_shape

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return self._network.outputs

    def run(self, x: Floats) -> list[Floats]:
        """All outputs for the input ``x`` [n, ...], n up to :data:`LIMIT`."""
        call = _Call(x)
        self._waiting.append(call)
        while not call.done.is_set():
            with self._busy:
                if not call.done.is_set():
                    self._run_some()
        if call.failure is not None:
            raise call.failure
        assert call.answers is not None
        return call.answers

    def _run_some(self) -> None:
        calls = [self._waiting.popleft()]
        while self._waiting and sum(len(call.x) for call in calls) + len(self._waiting[0].x) <= LIMIT:
            calls.append(self._waiting.popleft())
        try:
            rows = np.concatenate([call.x for call in calls])
            size = 1 << (len(rows) - 1).bit_length()
            filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
            answers = self._network.run(filled)
            start = 0
            for call in calls:
                call.answers = [answer[start : start + len(call.x)] for answer in answers]
                start += len(call.x)
        except Exception as error:  # noqa: BLE001 - each waiting thread raises it for itself
            for call in calls:
                call.failure = error
        for call in calls:
            call.done.set()
