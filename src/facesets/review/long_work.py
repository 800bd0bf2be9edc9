"""Work that waits for another server: in a thread of its own, so that looking goes on; acts meanwhile are refused at once, in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from facesets.errors import Refused
from facesets.progress import Progress, ProgressFile, Silent, Task
from facesets.registry import Registry
from facesets.review.threads import RegistryThreads
from facesets.workspace import Workspace

T = TypeVar("T")
_LAST_REQUEST = 5.0  # seconds that what is under way has when the app stops


class LongWork:
    """One piece of work at a time, which holds the workspace. How far it is stands in the progress file, as that of a run."""

    def __init__(self, threads: RegistryThreads) -> None:
        self._threads = threads
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, what: str, do: Callable[[Workspace, Registry, UntilStopped], T]) -> Future[T]:
        """Begin, from the event loop's thread; ``what`` is the command's name to whoever asks for a change meanwhile.

        Raises Refused where other work is under way. The future raises WorkspaceInUse while a run has the workspace, and what ``do``
        raises; by then the next may begin.
        """
        if self._threads.at_work is not None:
            raise Refused(f"facesets {self._threads.at_work} is still at work; wait until it ends. Nothing was changed")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._work, args=(what, future, do), daemon=True)
        self._threads.at_work = what
        self._thread.start()
        return future

    def close(self) -> None:
        """End the work at its next step; what was done is kept, and it goes on when it is asked for again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_LAST_REQUEST)

    def _work(self, what: str, future: Future[T], do: Callable[[Workspace, Registry, UntilStopped], T]) -> None:
        workspace = self._threads.workspace
        published = ProgressFile(Silent(), workspace.progress_file)
        try:
            with workspace.registry_to_read() as registry, self._threads.patiently(registry):
                try:
                    done = do(workspace, registry, UntilStopped(what, published, self._stopping))
                finally:
                    published.close()
        except BaseException as err:  # noqa: BLE001 - whoever asked is told
            self._threads.at_work = None
            future.set_exception(err)
        else:
            self._threads.at_work = None
            self._threads.acts += 1
            future.set_result(done)


class UntilStopped:
    """A :class:`Progress` that keeps its notes and raises Refused at the next step once the app stops."""

    def __init__(self, what: str, shown: Progress, stopping: threading.Event) -> None:
        self._what, self._shown, self._stopping = what, shown, stopping
        self.notes: list[str] = []

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """The other's task, until the app stops."""
        with self._shown.task(what, total, unit) as task:
            yield _Step(task, self._go_on)

    def note(self, message: str) -> None:
        """Keep the note."""
        self.notes.append(message)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise Refused(f"facesets review was stopped; ask for the {self._what} again, and it goes on")


class _Step:
    def __init__(self, shown: Task, go_on: Callable[[], None]) -> None:
        self._shown, self._go_on = shown, go_on

    def advance(self, n: int = 1) -> None:
        self._shown.advance(n)
        self._go_on()

    def total(self, n: int) -> None:
        self._shown.total(n)
