"""Immich room: politeness: how many requests at a time, how many bytes a second, when to leave a server alone. Sleeps; no I/O."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facesets.errors import Unreachable

log = logging.getLogger(__name__)

_CLIMBED = 2.5  # times a kind of request's best latency, and so much more in seconds: the server is busier than it can stand
_GRACE = 0.03
_FEW = 4.0  # at a time hurt no server: climbing latency alone, which may be this computer's own, never asks for fewer
_SHARE = 0.2  # of the newest latency in the running mean
_TRIP = 12  # failures in a row, whoever had them, after which somebody looks whether the server is there at all
_RESTS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before each such look; after the last one the server counts as gone


class AdaptiveLimiter:
    """Lets through as many requests at a time as the server takes without slowing down: one more as long as its latency stays near the
    best seen for that kind of request, a fifth fewer when it climbs, half when it says that it is too much (TCP's additive increase,
    multiplicative decrease). Never more than ``most``.
    """

    def __init__(self, most: int, start: int = 4) -> None:
        self.most = max(1, most)
        self.limit = float(min(start, self.most))
        self._active, self._since = 0, 0  # since: answers since the limit was last changed
        self._free = threading.Condition()
        self._best: dict[str, float] = {}
        self._mean: dict[str, float] = {}
        self._eager = True  # doubles until the first sign of trouble

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait until one more request may be under way; it is, within the block."""
        with self._free:
            self._free.wait_for(lambda: self._active < int(self.limit))
            self._active += 1
        try:
            yield
        finally:
            with self._free:
                self._active -= 1
                self._free.notify()

    def answered(self, kind: str, seconds: float) -> None:
        """A request of this kind had its first byte after so long."""
        with self._free:
            best = self._best[kind] = min(self._best.get(kind, seconds), seconds)
            mean = self._mean[kind] = self._mean.get(kind, seconds) * (1 - _SHARE) + seconds * _SHARE
            self._since += 1
            if self._since < self.limit:
                return
            if mean > _CLIMBED * best + _GRACE:
                self._lower(0.8, least=min(_FEW, self.limit))
            else:
                self._since = 0
                self.limit = min(float(self.most), self.limit * 2 if self._eager else self.limit + 1)
                self._free.notify_all()

    def back_off(self) -> None:
        """The server refused for being busy, or did not answer in time."""
        with self._free:
            self._lower(0.5)

    def _lower(self, factor: float, least: float = 1.0) -> None:
        self.limit, self._since, self._eager = max(least, self.limit * factor), 0, False


class CircuitBreaker:
    """After many failures in a row everybody waits while one looks whether the server is there, at growing intervals; if it is, all go
    on, and if it is not, nothing more is asked of it. ``is_alive`` asks the server for a sign of life.
    """

    def __init__(self, is_alive: Callable[[], bool], sleep: Callable[[float], object]) -> None:
        self._is_alive, self._sleep = is_alive, sleep
        self._failures, self._probing, self._gone = 0, False, False
        self._changed = threading.Condition()

    def pass_through(self) -> None:
        """Wait while the breaker is open. Raises Unreachable once the server counts as gone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._probing)
            if self._gone:
                raise Unreachable(f"the server has given no sign of life for {sum(_RESTS):.0f} s: nothing more is asked of it")
            if self._failures < _TRIP:
                return
            self._probing = True
        alive = False
        try:
            alive = self._probe()
        finally:
            with self._changed:
                self._probing, self._failures, self._gone = False, 0, not alive
                self._changed.notify_all()
        if not alive:
            raise Unreachable(f"the server has given no sign of life for {sum(_RESTS):.0f} s: nothing more is asked of it")

    def _probe(self) -> bool:
        for rest in _RESTS:
            text = "the server gives no sign of life: looking again in %.0f s"
            log.warning(text, rest, extra={"told": rest >= _RESTS[-3]})
            self._sleep(rest)
            if self._is_alive():
                return True
        return False

    def worked(self) -> None:
        """A request was answered."""
        if self._failures:
            with self._changed:
                self._failures = 0

    def failed(self) -> None:
        """One was not."""
        with self._changed:
            self._failures += 1


class BandwidthLimiter:
    """Lets ``rate`` bytes a second through, all together; at most a quarter of a second's worth at once."""

    def __init__(self, rate: float, sleep: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._sleep, self._clock = rate, sleep, clock
        self._lock, self._free_at = threading.Lock(), 0.0

    def take(self, size: int) -> None:
        """Wait until ``size`` more bytes may have come."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - 0.25) + size / self.rate
            wait = self._free_at - now
        if wait > 0:
            self._sleep(wait)
