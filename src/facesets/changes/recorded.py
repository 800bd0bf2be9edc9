"""What an act recorded of a set's folder without changing it, and how that is taken back: what of ``accept`` is no row of a face.

person      number of whom the set is
name        of its folder: before, after
centroids   of all of it: before, after
revision    that they are of
files       path, size and hash before (None: it was not there), and after
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from facesets.changes.record import renamed
from facesets.export import DESCRIPTION, files_hash
from facesets.records import Centroid
from facesets.registry import FileFact, Registry, people, sets

_BOTH = ("name", "centroids", "sha256")


def folder_state(registry: Registry, number: int) -> dict[str, Any]:
    """What the registry has of a set's folder."""
    person = people.of_number(registry, number)
    assert person is not None, number
    return {
        "name": person.set_name,
        "sha256": _hash_of(registry, person.set_name),
        "files": {file.path: [file.size, file.sha256] for file in sets.files(registry, person.set_name)},
        "centroids": [[pack, n, vector.hex()] for pack, n, vector in sets.whole_centroids(registry, person.set_name)],
    }


def recorded(number: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What an act changed between two states of a folder."""
    was, now = before["files"], after["files"]
    files = [[path, was.get(path), now.get(path)] for path in sorted(was.keys() | now.keys()) if was.get(path) != now.get(path)]
    both = {part: [before[part], after[part]] for part in _BOTH}
    return {"person": number, **both, "files": files}


def reversed_record(change: Mapping[str, Any]) -> dict[str, Any]:
    """The same the other way round."""
    both = {part: list(reversed(change[part])) for part in _BOTH}
    return {**change, **both, "files": [[path, after, before] for path, before, after in change["files"]]}


def is_as_recorded(registry: Registry, change: Mapping[str, Any]) -> bool:
    """Whether a folder's files are as an act recorded them, so that it can be taken back."""
    person = people.of_number(registry, change["person"])
    if person is None or _hash_of(registry, person.set_name) != change["sha256"][1]:
        return False
    there = {file.path: [file.size, file.sha256] for file in sets.files(registry, person.set_name)}
    return all(there.get(path) == after for path, _, after in change["files"])


def _hash_of(registry: Registry, name: str) -> str:
    return files_hash(file for file in sets.files(registry, name) if file.path != DESCRIPTION)


def put_back_record(registry: Registry, change: Mapping[str, Any]) -> dict[str, Any]:
    """The registry has of a folder what it had before an act; joins the caller's transaction. The set's row is put back already.

    Returns what this changed.
    """
    person = people.of_number(registry, change["person"])
    assert person is not None
    files = {file.path: file for file in sets.files(registry, person.set_name)}
    for path, was, _ in change["files"]:
        files.pop(path, None)
        if was is not None:
            files[path] = FileFact(path, *was)
    sets.set_files(registry, person.set_name, files.values())
    before, after = change["name"]
    if before != after:
        renamed(registry, after, before)
    if change["centroids"][0] != change["centroids"][1]:
        sets.forget_centroids(registry, person.set_name)
        for pack, n, vector in change["centroids"][0]:
            sets.set_centroid(registry, pack, Centroid(person.set_name, np.frombuffer(bytes.fromhex(vector), "<f8"), n))
    return reversed_record(change)
