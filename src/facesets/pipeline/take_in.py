"""What another machine embedded comes home: a cache's faces, and its photos without a face or a decoder, into the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embedding import Cache, face_of, load_cache
from ..embedding.faces import GUESSED, face_id, landmarks_in
from ..embedding.paths import to_ours
from ..progress import Progress
from ..records import Box, Face, Reason, State
from ..registry import Registry, assets, faces
from ..workspace import Workspace

_BATCH = 256  # photos a transaction


@dataclass(slots=True)
class TakenIn:
    """What became of a cache's photos."""

    model: str
    photos: int = 0
    faces: int = 0
    without_face: int = 0
    failed: int = 0
    already: int = 0  # photos that this model had been through here
    unknown: int = 0  # photos that are not in this workspace
    unusable: int = 0  # photos with a face that lacks its box, its score or its number
    guessed: int = 0  # faces whose landmarks were put where a box of that kind has them

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def told(self) -> str:
        """As one line."""
        return (
            f"{self.model}: {self.photos:,} photos with {self.faces:,} faces, {self.without_face:,} without, "
            f"{self.failed:,} unreadable; {self.already:,} were here, "
            f"{self.unknown:,} are not in this workspace, {self.unusable:,} cannot be used"
        )


@dataclass(frozen=True, slots=True)
class _Photo:
    sha256: str
    reason: Reason
    faces: tuple[Face, ...] = ()
    vectors: NDArray[np.float32] | None = None
    detail: str | None = None


def take_in(workspace: Workspace, registry: Registry, path: Path, progress: Progress, *, model: str | None = None) -> TakenIn:
    """Record what the cache at ``path`` knows of this workspace's photos; repeating it changes nothing.

    Raises errors.CorruptFile, and errors.PackMismatch where ``model`` is given and the cache holds another's.
    """
    cache = load_cache(path, model=model)
    taken = TakenIn(cache.model)
    photos = _photos(workspace, registry, cache, taken)
    with progress.task("taking vectors in", unit="photos") as task:
        while batch := list(islice(photos, _BATCH)):
            with registry.transaction():
                for photo in batch:
                    faces.add_embedded(
                        registry, photo.sha256, cache.model, photo.reason, photo.faces, photo.vectors, detail=photo.detail
                    )
                    assets.settle_bytes(registry, photo.sha256, photo.reason, photo.detail)
            task.advance(len(batch))
    if taken.guessed:
        progress.note(
            f"{path.name}: {taken.guessed:,} faces came without landmarks; they are taken where a face of that box has them, "
            f"which makes their crops less exact (signal {GUESSED})."
        )
    return taken


def _photos(workspace: Workspace, registry: Registry, cache: Cache, taken: TakenIn) -> Iterator[_Photo]:
    known = _Known(workspace, registry)

    def wanted(told: str, path: str) -> str | None:
        """The photo's hash where it is one of ours that this model has not been through."""
        sha256 = known.sha256(told, path)
        if sha256 is None:
            taken.unknown += 1
        elif faces.is_embedded(registry, sha256, cache.model):
            taken.already += 1
            sha256 = None
        return sha256

    rows: dict[str, list[int]] = {}
    for i, row in enumerate(cache.meta):
        rows.setdefault(str(row.get("sha256") or row.get("path")), []).append(i)
    for indices in rows.values():
        first = cache.meta[indices[0]]
        if sha256 := wanted(str(first.get("sha256") or ""), str(first.get("path") or "")):
            try:
                found = [_face(cache.meta[i], sha256, cache.model) for i in indices]
            except (KeyError, TypeError, ValueError):
                taken.unusable += 1
                continue
            order = sorted(range(len(found)), key=lambda k: found[k].box)
            ordered = tuple(replace(found[k], index=n) for n, k in enumerate(order))
            taken.photos += 1
            taken.faces += len(found)
            taken.guessed += sum(GUESSED in face.signals for face in found)
            yield _Photo(sha256, Reason.EMBEDDED, ordered, cache.embeddings[[indices[k] for k in order]])
    have_faces = {str(row.get("path")) for row in cache.meta}
    for path in cache.processed:
        if path not in have_faces and path not in cache.path_aliases and (sha256 := wanted("", path)):
            taken.without_face += 1
            yield _Photo(sha256, Reason.EMBEDDED_NO_FACE)
    for path, failure in cache.failed.items():
        if sha256 := wanted(failure.get("sha256", ""), path):
            taken.failed += 1
            yield _Photo(sha256, Reason(failure["reason"]), detail=failure.get("detail"))


class _Known:
    """This workspace's photos, by their bytes and by all paths that a worker may have known them by."""

    def __init__(self, workspace: Workspace, registry: Registry) -> None:
        self._map = workspace.settings.paths.map
        self._hashes: set[str] = set()
        self._by_path: dict[str, str] = {}
        reasons = (Reason.STAGED, Reason.EMBED_ERROR, *assets.REASONS_OF[State.DONE], *assets.REASONS_OF[State.FAILED])
        for row in assets.select(registry, reasons=reasons):
            if row.sha256:
                self._hashes.add(row.sha256)
                for path in (row.path, row.path and (workspace.root / row.path).as_posix(), row.asset.original_path):
                    if path:
                        self._by_path.setdefault(path, row.sha256)

    def sha256(self, told: str, path: str) -> str | None:
        """The photo's hash where it is one of ours: as the cache says, or found by its path where it says none."""
        if told:
            return told if told in self._hashes else None
        return self._by_path.get(path) or self._by_path.get(to_ours(path, self._map))


def _face(meta: Mapping[str, Any], sha256: str, model: str) -> Face:
    """A face as the cache tells it; what other tools leave out follows from its box."""
    x1, y1, x2, y2 = (float(side) for side in meta["bbox"])
    box: Box = (x1, y1, x2, y2)
    full = {
        "face_id": face_id(sha256, model, box),
        "face_index": 0,
        "face_short": round(min(x2 - x1, y2 - y1), 2),
        "sharpness": None,
        **{key: value for key, value in meta.items() if value is not None},
        "sha256": sha256,
        "model": model,
    }
    if not full.get("landmarks"):
        full["landmarks"] = landmarks_in(box)
        full["signals"] = {**(full.get("signals") or {}), GUESSED: 1.0}
    return face_of(full)
