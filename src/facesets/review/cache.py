"""What pages show of everybody, kept until the registry changes: counts, years, and the names that sources suggest.

Any change of the registry's file, by this process or another, makes it new. Years and names, which are read off all faces, are found
out in the background, once a minute at most; years are kept meanwhile for people whose faces are still as many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from facesets.people import suggested_names
from facesets.registry import Registry, gallery
from facesets.registry import people as known
from facesets.review.threads import RegistryThreads

_EVERY: Final = 60.0  # seconds between two readings of all faces
_AT_A_TIME: Final = 20  # people, between which others have their turn
Years = tuple[str, str] | None


class PeopleCache:
    """Called from several threads: a value is put in whole, and made twice at worst."""

    def __init__(self, threads: RegistryThreads) -> None:
        self._threads = threads
        self._people: dict[str, tuple[object, list[gallery.PersonCounts]]] = {}
        self._years: dict[int, tuple[int, int, Years]] = {}
        self._reading = threading.Lock()
        self._hints: Mapping[str, str] = {}
        self._read_of: tuple[object, float] = (None, -_EVERY)

    def people(self, registry: Registry, standing: str = "active") -> list[gallery.PersonCounts]:
        """All people of this standing, by number."""
        stamp = stamp_of(registry.path)
        kept = self._people.get(standing)
        if kept is None or kept[0] != stamp:
            kept = self._people[standing] = (stamp, gallery.people(registry, standing=standing))
        return kept[1]

    def years(self, registry: Registry, people: Sequence[gallery.PersonCounts]) -> dict[int, tuple[str, str]]:
        """Person's id -> first and last year."""
        self._find(registry, [p for p in people if (kept := self._years.get(p.id)) is None or kept[:2] != (p.members, p.recognised)])
        self._read_all_if_changed(registry)
        return {person.id: years for person in people if (years := self._years.get(person.id, (0, 0, None))[2]) is not None}

    def _find(self, registry: Registry, people: Sequence[gallery.PersonCounts]) -> None:
        found = gallery.years(registry, [person.id for person in people])
        self._years |= {person.id: (person.members, person.recognised, found.get(person.id)) for person in people}

    def decided(self, registry: Registry, names: Iterable[str]) -> None:
        """Something was decided of these sets; none named: of any."""
        found = [known.of_set(registry, name) for name in names]
        for person in [each.id for each in found if each] or [*self._years]:
            self._years.pop(person, None)

    def hints(self, registry: Registry) -> Mapping[str, str]:
        """Set -> the name that its source suggests, as far as it is known by now."""
        self._read_all_if_changed(registry)
        return self._hints

    def _read_all_if_changed(self, registry: Registry) -> None:
        stamp, now = stamp_of(registry.path), time.monotonic()
        if stamp != self._read_of[0] and now - self._read_of[1] > _EVERY:
            self._read_of = (stamp, now)
            self._threads.submit(self._read_all)

    def _read_all(self, registry: Registry) -> None:
        with self._reading:  # one after the other, or an earlier one would end with what is old by then
            self._read_now(registry)

    def _read_now(self, registry: Registry) -> None:
        everybody = sorted(self.people(registry), key=lambda person: -person.members)
        for first in range(0, len(everybody), _AT_A_TIME):
            self._find(registry, everybody[first : first + _AT_A_TIME])
        self._hints = {each.person.set_name: each.name for each in suggested_names(registry) if each.person.name is None}


def stamp_of(path: Path) -> object:
    """Of a registry's file: changes with every commit, whoever made it."""
    states: list[Any] = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            state = file.stat()
            states.append((state.st_mtime_ns, state.st_size))
        except FileNotFoundError:
            states.append(None)
    return tuple(states)
