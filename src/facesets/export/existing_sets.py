"""Export room: the sets that are on disk already. Reads the folder of sets, never writes into it.

A set is a real folder named exactly ``faceset_NNN``. Era splits, ``_thin/`` and names beginning with ``_`` are no sets; their
numbers count as used, and so does every number that the manifest names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from facesets.errors import FacesetsError
from facesets.export import manifest
from facesets.files import is_face_image
from facesets.registry import FileFact

SET_NAME = re.compile(r"faceset_([0-9]{3,9})")  # longer ones are no numbers of ours, and would not fit the registry
FACES = "faces"
# any case, and whatever follows or is put before: on a file system that ignores case, a new folder of that number would land in it
_NUMBERED = re.compile(r"_*faceset_([0-9]{3,9})(?![0-9])", re.IGNORECASE)
_KNOWN = re.compile(rf"[._]|{SET_NAME.pattern}(_era_.*)?$", re.DOTALL)
_PARTIAL = re.compile(r"\.faceset_[0-9]{3,}(_era_[0-9]{4}-[0-9]{4})?\.partial")
# what file managers and NAS systems leave where somebody looked; nobody's curation, so no change of a set
_LITTER = frozenset((".ds_store", "thumbs.db", "desktop.ini", ".directory", "@eadir"))


@dataclass(frozen=True)
class ExistingSet:
    """A set on disk."""

    name: str
    number: int
    path: Path

    @property
    def images(self) -> tuple[Path, ...]:
        """The files in ``faces/``, or of the folder itself (a plain set), by name; looked for when first asked."""
        return self._found[0]

    @property
    def left_aside(self) -> tuple[Path, ...]:
        """Image files that are links to outside of the folder of sets."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        root = self.path.parent
        images, aside = _images(self.path / FACES, root)
        if not images and not aside:
            images, aside = _images(self.path, root)
        return tuple(images), tuple(aside)


def existing_sets(folder: Path) -> list[ExistingSet]:
    """The sets in ``folder`` by number; none where there is no such folder. Raises FacesetsError where it cannot be read."""
    found = [
        ExistingSet(entry.name, int(match[1]), folder / entry.name)
        for entry in _entries(folder)
        if (match := SET_NAME.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)
    ]
    return sorted(found, key=lambda each: (each.number, each.name))


def highest_number(folder: Path) -> int:
    """The highest number that any name in ``folder`` or its manifest uses; 0 where none does. Raises CorruptFile, FacesetsError."""
    numbers = [0]
    for entry in _entries(folder):
        names = [entry.name]
        if entry.name.startswith("_") and entry.is_dir(follow_symlinks=False):
            names += [inner.name for inner in _entries(folder / entry.name)]
        numbers += [int(match[1]) for name in names if (match := _NUMBERED.match(name))]
    return max(numbers + manifest.numbers(folder))


Stamp = tuple[int, int, int]  # size, modification time in nanoseconds, inode


def stamps(path: Path) -> dict[str, Stamp]:
    """Every file below ``path`` by its POSIX path, as :func:`file_facts` names it, with what tells whether it changed; none is read."""
    found: dict[str, Stamp] = {}
    _stamp(str(path), "", found)
    return found


def _stamp(folder: str, inside: str, found: dict[str, Stamp]) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("._") or name.casefold() in _LITTER:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    _stamp(entry.path, f"{inside}{name}/", found)
                elif entry.is_symlink() or entry.is_file():
                    facts = entry.stat(follow_symlinks=False)
                    key = inside + name
                    if not key.isascii():
                        key = os.fsencode(key).decode("utf-8", "backslashreplace")
                    found[key] = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except FileNotFoundError:
        return
    except OSError as err:
        raise _unreadable(Path(folder), err) from err


def tree_stamps(folder: Path) -> dict[str, dict[str, Stamp]]:
    """:func:`stamps` of every set in ``folder``, by its name."""
    return {found.name: stamps(found.path) for found in existing_sets(folder)}


def stamped(path: Path, facts: Sequence[FileFact]) -> list[FileFact]:
    """``facts`` with the time and inode that each file has now."""
    now = stamps(path)
    return [replace(fact, mtime_ns=now[fact.path][1], inode=now[fact.path][2]) if fact.path in now else fact for fact in facts]


def renamed_folder(folder: Path, recorded: Sequence[FileFact], known: Collection[str]) -> str | None:
    """The folder beside the sets, of no name in ``known``, that holds exactly these files; None where there is none."""
    sizes = sorted((file.path, file.size) for file in recorded)
    for entry in sorted(_entries(folder), key=lambda each: each.name):
        if entry.name in known or entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False) or not recorded:
            continue
        here = folder / entry.name
        if sorted((name, stamp[0]) for name, stamp in stamps(here).items()) == sizes and file_facts(here) == list(recorded):
            return entry.name
    return None


def name_of_file(file: Path, folder: Path) -> str:
    """By which the facts of a folder have a file below it."""
    return os.fsencode(file.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def file_facts(path: Path) -> list[FileFact]:
    """Every file below ``path`` with its size and SHA-256, by its POSIX path; read in pieces.

    A link counts as the text it holds and is never followed. Names that are not UTF-8 are written with backslashes.
    What file managers leave behind (.DS_Store, Thumbs.db and the like) is not part of a set. Raises FacesetsError.
    """
    try:
        facts = []
        for file in _files(path):
            name = name_of_file(file, path)
            if file.is_symlink():
                text = os.fsencode(file.readlink())
                status = file.lstat()
                digest = hashlib.sha256(b"link:" + text).hexdigest()
                facts.append(FileFact(name, len(text), digest, status.st_mtime_ns, status.st_ino))
                continue
            with file.open("rb") as data:
                status = os.fstat(data.fileno())  # before the bytes: what changes meanwhile is looked at again
                digest = hashlib.file_digest(data, "sha256").hexdigest()
                facts.append(FileFact(name, data.tell(), digest, status.st_mtime_ns, status.st_ino))
    except OSError as err:
        raise _unreadable(path, err) from err
    return sorted(facts, key=lambda fact: fact.path)


def same_name(folder: Path, name: str) -> str | None:
    """The name in ``folder`` that a case-insensitive file system would take for ``name``, spelt as it is there; None if free."""
    return next((entry.name for entry in _entries(folder) if entry.name.casefold() == name.casefold()), None)


def ignored_folders(folder: Path) -> list[str]:
    """Folders in ``folder`` that are no sets by their name, nor eras of one, nor set aside with ``_`` or ``.``; by name."""
    return sorted(
        entry.name
        for entry in _entries(folder)
        if entry.is_dir(follow_symlinks=False) and not _KNOWN.match(entry.name) and entry.name.casefold() not in _LITTER
    )


def partial_folders(folder: Path) -> list[str]:
    """Folders of sets that a run did not finish, by name."""
    return sorted(entry.name for entry in _entries(folder) if _PARTIAL.fullmatch(entry.name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as err:
        raise _unreadable(folder, err) from err


def _images(path: Path, root: Path) -> tuple[list[Path], list[Path]]:
    """Image files directly in ``path``, by name, and those that are links to outside of ``root``."""
    if path.is_symlink() or not path.is_dir():
        return [], []
    images: list[Path] = []
    aside: list[Path] = []
    for entry in sorted(_entries(path), key=lambda each: each.name):
        file = path / entry.name
        if not is_face_image(entry.name) or entry.name.startswith(".") or not file.is_file():
            continue
        inside = not entry.is_symlink() or file.resolve().is_relative_to(root.resolve())
        (images if inside else aside).append(file)
    return images, aside


def _files(path: Path) -> Iterator[Path]:
    for entry in _entries(path):
        if entry.name.casefold() in _LITTER or entry.name.startswith("._"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path / entry.name)
        elif entry.is_symlink() or entry.is_file():
            yield path / entry.name


def _unreadable(path: Path, err: OSError) -> FacesetsError:
    return FacesetsError(f"{path} cannot be read: {err.strerror or err}. Check its permissions and its disk, then run again")
