"""Whom a user means: sets by name, number or person's name; faces by id, its beginning, or the file of a crop."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from facesets.errors import NotFound, UsageError
from facesets.registry import Person, Registry, decisions, gallery, people, sets
from facesets.wording import folded, name_as_kept
from facesets.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PlainFile:
    """An image of its owner's own, in whichever set: a face by its file alone."""

    set: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownFace:
    """A face that a pack measured: the measurement it goes by, its standing, and whose it is (a person's id)."""

    key: str
    standing: str
    person: int | None


FaceRef = KnownFace | PlainFile


def person(registry: Registry, text: str, *, retired: bool = False) -> Person:
    """The person that ``text`` means: a set's name, its number, or a person's name (whatever the case, but one
    that is spelt just so comes first).

    Raises NotFound where there is none, UsageError where several people have the name or the set is retired; it says where it went.
    """
    found = people.of_set(registry, text)
    if found is None and text.isascii() and text.isdigit():
        found = people.of_number(registry, int(text))
    if found is None:
        named = [each for each in people.select(registry) if each.name and folded(each.name) == folded(text)]
        named = [each for each in named if not each.retired] or named
        named = [each for each in named if each.name == name_as_kept(text)] or named
        if len(named) > 1:
            raise UsageError(f"{len(named)} people are called {text!r}: {', '.join(each.set_name for each in named)}. Name the set")
        found = named[0] if named else None
    if found is None:
        known = [label for each in people.select(registry) if not each.retired for label in (each.set_name, each.name or "") if label]
        near = get_close_matches(text, known, n=1)
        meant = f"; did you mean {near[0]!r}? " if near else "; "
        raise NotFound(f"no set or person is called {text!r} here{meant}facesets list people  shows them all")
    if found.retired and not retired:
        raise UsageError(retired_words(registry, found))
    return found


def retired_words(registry: Registry, gone: Person) -> str:
    """Where a retired set went, and what to say in its place."""
    into, passed = gone, set[int]()  # two that were merged into one another lead round and round
    while into.merged_into is not None and into.id not in passed and (further := people.of_number(registry, into.merged_into)):
        passed.add(into.id)
        into = further
    if into.retired:
        return f"{gone.said} is retired; its number stays used"
    return f"{gone.said} is retired: it is part of {into.said} now, number {into.number}. Type {into.set_name} instead"


def faces(workspace: Workspace, registry: Registry, texts: Sequence[str]) -> list[FaceRef]:
    """The faces that ``texts`` mean, each once. An owner's image that lies twice in a set is one face: both files are meant.

    Raises NotFound, UsageError.
    """
    if not texts:
        raise UsageError("which faces? Give ids (facesets list faces), or files of crops")
    return list(dict.fromkeys(ref for text in texts for ref in _face(workspace, registry, text)))


def _face(workspace: Workspace, registry: Registry, text: str) -> list[FaceRef]:
    if re.fullmatch(r"[0-9A-Za-z_-]+", text) and decisions.keys_like(registry, text):
        return [_known(registry, _full(registry, text), text)]
    if (at := _crop(workspace, text)) is not None:
        name, path = at
        owner = people.of_set(registry, name)
        if owner is None:
            raise NotFound(f"{text}: no set is called {name!r} here")
        for key, _, file in sets.member_files(registry, name):
            if file == path:
                return [_known(registry, key, text)]
        own = dict(gallery.own_images(registry, [owner.id]).get(owner.id, ())) if name == owner.set_name else {}
        if path in own:
            return [PlainFile(name, each, own[path]) for each in sorted(own, key=lambda each: each != path) if own[each] == own[path]]
        raise NotFound(f"{text}: {name} has no face of this file. facesets explain {name}  lists what it has")
    if not re.fullmatch(r"[0-9A-Za-z_-]+", text):
        raise NotFound(f"{text!r} is neither the id of a face nor the file of a crop in {workspace.facesets}")
    return [_known(registry, _full(registry, text), text)]


def _full(registry: Registry, text: str) -> str:
    found = decisions.keys_like(registry, text)
    if not found:
        raise NotFound(f"no face is called {text!r} in this workspace; facesets list faces  shows them all")
    if len(found) > 1:
        raise UsageError(f"{text!r} is the beginning of {len(found)} faces' ids: {', '.join(k[:16] for k in found[:4])} ... Give more")
    return found[0]


def _known(registry: Registry, key: str, text: str) -> KnownFace:
    seen = decisions.seen(registry, key)
    if seen is None:
        raise NotFound(f"no face is called {text!r} in this workspace; facesets list faces  shows them all")
    return KnownFace(seen.key, seen.standing, seen.person)


def _crop(workspace: Workspace, text: str) -> tuple[str, str] | None:
    """The set and the path in it of a crop's file, named from here, from the folder of sets, or in full; None where it is none."""
    root = workspace.facesets
    found: list[tuple[str, str]] = []
    for base in (Path.cwd(), root, workspace.root):
        path = _normal(base / text)
        for folder in (root, root.resolve()):
            if path.is_relative_to(folder) and len(parts := path.relative_to(folder).parts) > 1:
                depth = 2 if parts[0] == "_thin" and len(parts) > 2 else 1  # eras of few faces lie a folder deeper
                found.append(("/".join(parts[:depth]), "/".join(parts[depth:])))
                if os.path.lexists(path):
                    return found[-1]  # who stands in a set's folder may mean a file of another one
    return found[0] if found else None


def _normal(path: Path) -> Path:
    """``path`` without ``..``; links are not followed."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return Path(*parts)
