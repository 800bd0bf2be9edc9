"""Progress with rate and time left, and notes, on stderr: the command line's :class:`facesets.progress.Progress`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.progress as bars
from rich.console import Console

from facesets.progress import Task
from facesets.wording import printable

_EVERY = 30.0  # seconds between two lines where there is no terminal to draw on


class ConsoleProgress:
    """Draws bars on stderr where that is a terminal; elsewhere prints a line now and then, and every note as one line."""

    def __init__(self, *, every: float = _EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._every, self._clock = every, clock

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """A task shown with what is done, its total, rate and time left."""
        what = printable(what)
        if not self._console.is_terminal:
            yield _Lines(self.note, what, total, unit, self._every, self._clock)
            return
        columns = (
            bars.TextColumn("{task.description:<28}"),
            bars.BarColumn(24),
            bars.TextColumn("{task.completed:,.0f}" + (f" {unit}" if unit else "")),
            _Rate(),
            bars.TimeRemainingColumn(elapsed_when_finished=True),
        )
        with bars.Progress(*columns, console=self._console) as shown:
            yield _Bar(shown, shown.add_task(what, total=total))

    def note(self, message: str) -> None:
        """One line the user must see."""
        self._console.print(printable(message, keep="\n"), markup=False)


class _Rate(bars.ProgressColumn):
    def render(self, task: bars.Task) -> str:
        return f"{task.finished_speed or task.speed or 0:,.1f}/s"


class _Bar:
    def __init__(self, shown: bars.Progress, task: bars.TaskID) -> None:
        self._shown, self._task = shown, task

    def advance(self, n: int = 1) -> None:
        self._shown.advance(self._task, n)

    def total(self, n: int) -> None:
        self._shown.update(self._task, total=n)


class _Lines:
    """A task that says at most every ``every`` seconds how far it is; used by several threads at a time."""

    def __init__(
        self, say: Callable[[str], None], what: str, total: int | None, unit: str, every: float, clock: Callable[[], float]
    ) -> None:
        self._say, self._what, self._unit, self._every, self._clock = say, what, unit, every, clock
        self._total, self._done, self._lock = total, 0, threading.Lock()
        self._begun = self._said = clock()

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._done += n
            now = self._clock()
            if now - self._said < self._every:
                return
            self._said, line = now, self._line(now - self._begun)
        self._say(line)

    def total(self, n: int) -> None:
        self._total = n

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        done = f"{self._done:,}" + (f" of {self._total:,}" if self._total else "")
        left = max((self._total or 0) - self._done, 0) / rate if rate else 0
        return f"{self._what}: {done} {self._unit}".rstrip() + f", {rate:,.1f}/s" + (f", {_span(left)} left" if left else "")


def _span(seconds: float) -> str:
    """A time to wait, in the two units that matter."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
