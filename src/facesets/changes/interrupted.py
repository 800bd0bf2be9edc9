"""A planned set whose folder a killed run had put into place before that was on record.

Known without any photo: one may have been changed or deleted since, and the set has it all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from facesets.export import DESCRIPTION, crop_name, stamps
from facesets.files import read_file
from facesets.records import FaceSet
from facesets.registry import Registry, sets
from facesets.workspace import Workspace


def identity(face_ids: Iterable[str]) -> str:
    """An identity's id follows from the faces that founded it."""
    return hashlib.sha256("\n".join(sorted(face_ids)).encode()).hexdigest()[:16]


def is_in_place(workspace: Workspace, registry: Registry, faceset: FaceSet) -> bool:
    """Whether the folder of that name is this plan's: by what its faceset.json says of itself, and the names of its files.

    A folder comes into place whole, by being renamed.
    """
    folder = workspace.facesets / faceset.name
    face_ids = [face_id for _, face_id, _ in sets.members(registry, faceset.name)]
    files = [crop_name(n) for n in range(1, 1 + len(face_ids))]
    try:
        said = json.loads(read_file(folder / DESCRIPTION))
        named = [(face["file"], face["face_id"]) for face in said["faces"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return False
    own = (said.get("name"), said.get("number"), said.get("model"), said.get("identity"))
    return (
        own == (faceset.name, faceset.number, faceset.pack, identity(face_ids))
        and named == list(zip(files, face_ids, strict=True))
        and stamps(folder).keys() == {DESCRIPTION, *files}
    )
