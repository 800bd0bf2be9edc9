"""The registry's threads: a few that read, and one that writes, so that no request waits for another's query and acts come in order.

A connection belongs to the thread that opened it. The workspace is held for each act alone, so that a run may begin at any time.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from facesets.errors import WorkspaceInUse
from facesets.registry import Registry, runs
from facesets.workspace import Workspace

T = TypeVar("T")
_READERS = 4
_WAIT, _PAUSE = 1.0, 0.02  # seconds: another command's act is over by then; a run is not

_Jobs = SimpleQueue[tuple[Future[Any], Callable[[Registry], Any]] | None]


class RegistryThreads:
    """Queries and acts as coroutines. ``acts`` counts what was decided here: pages that are older may be out of date.

    ``at_work`` is the command that holds the workspace for long in this process, if any.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.acts = workspace, 0
        self.at_work: str | None = None
        self._reads: _Jobs = SimpleQueue()
        self._writes: _Jobs = SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, args=(self._reads,), daemon=True) for _ in range(_READERS)]
        self._threads.append(threading.Thread(target=self._serve, args=(self._writes,), daemon=True))
        for thread in self._threads:
            thread.start()

    async def read(self, query: Callable[[Registry], T]) -> T:
        """What a query gives. Raises what it raises."""
        return await asyncio.wrap_future(self.submit(query))

    def submit(self, query: Callable[[Registry], T]) -> Future[T]:
        """A query whose answer is not waited for here."""
        future: Future[T] = Future()
        self._reads.put((future, query))
        return future

    async def act(self, do: Callable[[Workspace, Registry], T]) -> T:
        """Change something while holding the workspace. Raises WorkspaceInUse while a run has it, and what ``do`` raises."""

        def held(registry: Registry) -> T:
            with self.patiently(registry):
                done = do(self.workspace, registry)
            self.acts += 1
            return done

        future: Future[T] = Future()
        self._writes.put((future, held))
        # an act that was begun is carried through, whether or not the page that asked for it is still there
        return await asyncio.shield(asyncio.wrap_future(future))

    def patiently(self, registry: Registry) -> AbstractContextManager[None]:
        """The workspace's lock; what another command holds for a moment is waited for, a run is not. Raises WorkspaceInUse."""
        return _Patiently(self.workspace, lambda: self.at_work or running(registry))

    def close(self) -> None:
        """Let what was asked for be done, and close the connections."""
        for thread in self._threads[:-1]:
            del thread
            self._reads.put(None)
        self._writes.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, jobs: _Jobs) -> None:
        registry: Registry | None = None
        while (job := jobs.get()) is not None:
            future, do = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                registry = registry or self.workspace.registry_to_read()
                future.set_result(do(registry))
            except BaseException as err:  # noqa: BLE001 - whoever asked is told
                told: BaseException = err
                if isinstance(err, sqlite3.DatabaseError) and registry is not None:
                    told, registry = _explained(registry, err), None
                future.set_exception(told)
        if registry is not None:
            registry.close()


class _Patiently:
    def __init__(self, workspace: Workspace, at_work: Callable[[], str | None]) -> None:
        self._workspace, self._at_work = workspace, at_work

    def __enter__(self) -> None:
        ends = time.monotonic() + _WAIT
        while True:
            self._lock = self._workspace.lock()
            try:
                return self._lock.__enter__()
            except WorkspaceInUse:
                if run := self._at_work():
                    raise WorkspaceInUse(
                        f"facesets {run} is at work, so nothing can be changed until it ends. Nothing was changed"
                    ) from None
                if time.monotonic() > ends:
                    raise
                time.sleep(_PAUSE)

    def __exit__(self, *error: Any) -> None:
        self._lock.__exit__(*error)


def running(registry: Registry) -> str | None:
    """The command that has begun and not ended, if any: it is at work where the workspace is in use."""
    last = runs.last(registry)
    return runs.verb(last["command"]) if last and last["finished_at"] is None else None


def _explained(registry: Registry, err: sqlite3.DatabaseError) -> BaseException:
    """The error as a user can read it; the connection is closed."""
    try:
        with suppress(sqlite3.DatabaseError):
            registry.__exit__(type(err), err, err.__traceback__)
    except Exception as explained:  # noqa: BLE001 - this is how the registry explains
        return explained
    return err
