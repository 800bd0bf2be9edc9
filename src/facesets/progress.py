"""One way to say how far long work has got. The command line draws it; the library only reports. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
