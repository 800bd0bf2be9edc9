"""One way to say how far long work has got. The command line draws it; the library only reports."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)


class Task(Protocol):
    """A running piece of work."""

    def advance(self, n: int = 1) -> None:
        """``n`` more are done."""

    def total(self, n: int) -> None:
        """The whole is now known to be ``n``."""


class Progress(Protocol):
    """Where tasks are reported."""

    def task(self, what: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Task]:
        """A context manager that yields a :class:`Task`; ``unit`` names what is counted (photos, faces, bytes)."""

    def note(self, message: str) -> None:
        """One line the user must see once (a fallback, a skipped owner); never silent."""


class Silent:
    """A :class:`Progress` that keeps its notes and shows nothing: the default of the library and of tests."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:  # noqa: ARG002 - the protocol's names
        """A task nobody watches."""
        yield _Unwatched()

    def note(self, message: str) -> None:
        """Keep the note."""
        self.notes.append(message)


class _Unwatched:
    def advance(self, n: int = 1) -> None: ...

    def total(self, n: int) -> None: ...


class Logged:
    """A :class:`Progress` that writes each note and what each task came to into the log, and hands everything on to ``shown``."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """The other's task, counted."""
        begun = time.monotonic()
        with self._shown.task(what, total, unit) as task:
            counted = _Counted(task)
            try:
                yield counted
            finally:
                log.info("%s: %s in %.1f s", what, f"{counted.done:,} {unit}".rstrip(), time.monotonic() - begun)

    def note(self, message: str) -> None:
        """Marked ``shown``: whoever writes the log to a screen leaves out what stands there already."""
        log.info("%s", message, extra={"shown": True})
        self._shown.note(message)


class _Counted:
    def __init__(self, shown: Task) -> None:
        self._shown, self.done = shown, 0

    def advance(self, n: int = 1) -> None:
        self.done += n
        self._shown.advance(n)

    def total(self, n: int) -> None:
        self._shown.total(n)


class ProgressFile:
    """A :class:`Progress` that also writes, once a second at most, how far it is into a small file: for whoever looks from outside.

    The file holds what is done, of how much, the rate and the seconds left, and nothing of anybody's photos.
    """

    EVERY = 1.0

    def __init__(self, shown: Progress, path: Path) -> None:
        self._shown, self._path = shown, path

    @contextmanager
    def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """The other's task, written to the file."""
        with self._shown.task(what, total, unit) as task:
            yield _Watched(task, self._path, what, total, unit)

    def note(self, message: str) -> None:
        """Hand it on."""
        self._shown.note(message)

    def close(self) -> None:
        """Nothing is under way any more."""
        with suppress(OSError):  # a file that is only looked at
            self._path.unlink(missing_ok=True)

    @staticmethod
    def read(path: Path) -> dict[str, Any] | None:
        """What the file says; None where there is none, or no whole one."""
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


class _Watched:
    def __init__(self, shown: Task, path: Path, what: str, total: int | None, unit: str) -> None:
        self._shown, self._path, self._what, self._unit = shown, path, what, unit
        self._total, self._done = total, 0
        self._begun = time.monotonic()
        self._said = 0.0
        self._write(self._begun)

    def advance(self, n: int = 1) -> None:
        self._done += n
        self._shown.advance(n)
        now = time.monotonic()
        if now - self._said >= ProgressFile.EVERY:
            self._write(now)

    def total(self, n: int) -> None:
        self._total = n
        self._shown.total(n)

    def _write(self, now: float) -> None:
        self._said = now
        rate = self._done / (now - self._begun) if now > self._begun else 0.0
        left = round((self._total - self._done) / rate) if self._total and rate and self._done <= self._total else None
        said = {
            "what": self._what,
            "done": self._done,
            "total": self._total,
            "unit": self._unit,
            "rate": round(rate, 2),
            "left_s": left,
        }
        temporary = self._path.with_name(self._path.name + ".part")
        with suppress(OSError):  # a full disk is the work's to find
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps(said))
            temporary.replace(self._path)
