"""Export room: the sets that are on disk already. Reads the folder of sets, never writes into it.

A set is a real folder named exactly ``faceset_NNN``. Era splits, ``_thin/`` and names beginning with ``_`` are no sets; their
numbers count as used, and so does every number that the manifest names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import FacesetsError
from ..registry.sets import FileFact
from . import manifest

SET_NAME = re.compile(r"faceset_([0-9]{3,})")
FACES = "faces"
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".bmp", ".tif", ".tiff")
)
# any case, and whatever follows or is put before: on a file system that ignores case, a new folder of that number would land in it
_NUMBERED = re.compile(r"_*faceset_([0-9]{3,})(?![0-9])", re.IGNORECASE)
_PARTIAL = re.compile(r"\.faceset_[0-9]{3,}\.partial")
# what file managers and NAS systems leave where somebody looked; nobody's curation, so no change of a set
_LITTER = frozenset((".ds_store", "thumbs.db", "desktop.ini", ".directory", "@eadir"))


@dataclass(frozen=True, slots=True)
class ExistingSet:
    """A set on disk. ``images``: the files in ``faces/``, or of the folder itself (a plain set), by name."""

    name: str
    number: int
    path: Path
    images: tuple[Path, ...]
    left_aside: tuple[Path, ...] = ()  # image files that are links to outside of the folder of sets


def existing_sets(folder: Path) -> list[ExistingSet]:
    """The sets in ``folder`` by number; none where there is no such folder. Raises FacesetsError where it cannot be read."""
    found = []
    for entry in _entries(folder):
        if (match := SET_NAME.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False):
            path = folder / entry.name
            images, aside = _images(path / FACES, folder)
            if not images and not aside:
                images, aside = _images(path, folder)
            found.append(ExistingSet(entry.name, int(match[1]), path, tuple(images), tuple(aside)))
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


def file_facts(path: Path) -> list[FileFact]:
    """Every file below ``path`` with its size and SHA-256, by its POSIX path; read in pieces.

    A link counts as the text it holds and is never followed. Names that are not UTF-8 are written with backslashes.
    What file managers leave behind (.DS_Store, Thumbs.db and the like) is not part of a set. Raises FacesetsError.
    """
    try:
        facts = []
        for file in _files(path):
            name = os.fsencode(file.relative_to(path).as_posix()).decode("utf-8", "backslashreplace")
            if file.is_symlink():
                text = os.fsencode(file.readlink())
                facts.append(FileFact(name, len(text), hashlib.sha256(b"link:" + text).hexdigest()))
                continue
            with file.open("rb") as data:
                digest = hashlib.file_digest(data, "sha256").hexdigest()
                facts.append(FileFact(name, data.tell(), digest))
    except OSError as err:
        raise _unreadable(path, err) from err
    return sorted(facts, key=lambda fact: fact.path)


def same_name(folder: Path, name: str) -> str | None:
    """The name in ``folder`` that a case-insensitive file system would take for ``name``, spelt as it is there; None if free."""
    return next((entry.name for entry in _entries(folder) if entry.name.casefold() == name.casefold()), None)


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
        if file.suffix.lower() not in IMAGE_SUFFIXES or entry.name.startswith(".") or not file.is_file():
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
