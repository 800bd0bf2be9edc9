"""Where the bytes of sets lie: in their folders and in the history, by hash and by face. Reads, and never writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from facesets.changes.record import REVISION
from facesets.export import DESCRIPTION
from facesets.files import read_file
from facesets.registry import Registry, changes, sets
from facesets.workspace import Workspace

Entry = dict[str, Any]  # a face in a faceset.json


class Archive:
    """Files and faces of all folders of sets, now and in earlier revisions; looked up when first asked for."""

    def __init__(self, workspace: Workspace, registry: Registry) -> None:
        self._root, self._registry = workspace.facesets, registry
        self.revisions = changes.of_kind(registry, REVISION)

    @cached_property
    def _by_hash(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for sha256, name, path in sets.all_files(self._registry):
            found.setdefault(sha256, []).append(self._root / name / path)
        for change in self.revisions:
            if at := change.inverse.get("at"):
                for path, _, sha256 in change.inverse["files"]:
                    found.setdefault(sha256, []).append(self._root / at / path)
        return found

    def file(self, sha256: str) -> Path | None:
        """A file with exactly these bytes; None where there is none any more."""
        for path in self._by_hash.get(sha256, ()):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as data:
                    if hashlib.file_digest(data, "sha256").hexdigest() == sha256:
                        return path
        return None

    @cached_property
    def _by_face(self) -> Mapping[str, tuple[Entry, Path]]:
        """Each face as the newest folder that has it describes it, and that folder."""
        found: dict[str, tuple[Entry, Path]] = {}
        folders = [self._root / each.name for retired in (False, True) for each in sets.select(self._registry, retired=retired)]
        folders += [self._root / at for change in reversed(self.revisions) if (at := change.inverse.get("at"))]
        for folder in folders:
            for entry in described(folder).get("faces", ()):
                found.setdefault(entry["face_id"], (entry, folder))
        return found

    def face(self, face_id: str) -> tuple[Entry, Path] | None:
        """What was written of a face, and its crop; None where no set ever had it."""
        if face_id not in self._by_face:
            return None
        entry, folder = self._by_face[face_id]
        crop = folder / entry["file"]
        return (entry, crop) if crop.is_file() else None


def described(folder: Path) -> dict[str, Any]:
    """The faceset.json of a folder, ours or in the history; empty where there is none that can be read."""
    try:
        document = json.loads(read_file(folder / DESCRIPTION))
    except (OSError, ValueError, RecursionError):
        return {}
    faces = document.get("faces") if isinstance(document, dict) else None
    sound = isinstance(faces, list) and all(isinstance(f, dict) and {"face_id", "file"} <= f.keys() for f in faces)
    return document if sound else {}
