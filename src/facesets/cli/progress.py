"""Progress bars with rate and time left, and notes, on stderr: the command line's :class:`facesets.progress.Progress`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import rich.progress as bars
from rich.console import Console

from ..progress import Task


class ConsoleProgress:
    """Draws on stderr where that is a terminal; elsewhere only notes are printed, one line each."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """A bar: done, total, rate, time left."""
        columns = (
            bars.TextColumn("{task.description:<28}"),
            bars.BarColumn(24),
            bars.TextColumn("{task.completed:,.0f}" + (f" {unit}" if unit else "")),
            _Rate(),
            bars.TimeRemainingColumn(elapsed_when_finished=True),
        )
        with bars.Progress(*columns, console=self._console, disable=not self._console.is_terminal) as shown:
            yield _Bar(shown, shown.add_task(what, total=total))

    def note(self, message: str) -> None:
        """One line the user must see."""
        self._console.print(message, markup=False)


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
