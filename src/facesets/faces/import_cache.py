"""What another machine embedded into the registry: a cache's faces, and its photos without a face or a decoder. A cache is not trusted:
what it says of a photo is taken only where it can be so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.errors import CorruptFile
from facesets.exchange import Cache, face_of, load_cache, to_ours
from facesets.faces.describe import GUESSED, face_id, landmarks_in
from facesets.progress import Progress
from facesets.records import Box, Face, Reason, State
from facesets.registry import Registry, assets, measurements, originals
from facesets.wording import count_of, plural
from facesets.workspace import Workspace

_BATCH = 256  # photos a transaction
_LONGEST_DETAIL = 500
_LONGEST_SIDE = 1 << 20  # pixels: no photo is larger
_LANDMARKS = 5
_LONGEST_NAME = 80
# what a decoder may say of a photo; the other reasons are not another machine's to give
_FAILURES = frozenset({Reason.UNREADABLE, Reason.TRUNCATED, Reason.EMPTY_FILE, Reason.UNSUPPORTED, Reason.TOO_LARGE})


@dataclass(slots=True)
class ImportedCache:
    """What became of a cache's photos."""

    model: str
    photos: int = 0
    faces: int = 0
    without_face: int = 0
    failed: int = 0
    already: int = 0  # photos that this model had been through here
    unknown: int = 0  # photos that are not in this workspace
    unusable: int = 0  # photos with a face that lacks its box or score or has impossible ones, or with a reason that is no photo's
    repeated: int = 0  # faces that the cache has twice; the first counts
    guessed: int = 0  # faces whose landmarks were put where a box of that kind has them

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def line(self) -> str:
        """As one line."""
        return (
            f"{self.model}: {count_of(self.photos, 'photo')} with {count_of(self.faces, 'face')}, {self.without_face:,} without, "
            f"{self.failed:,} unreadable; {self.already:,} {plural(self.already, 'was')} here, "
            f"{self.unknown:,} {plural(self.unknown, 'is')} not in this workspace, {self.unusable:,} cannot be used"
            + (f"; {count_of(self.repeated, 'face')} {plural(self.repeated, 'is')} in it twice" if self.repeated else "")
        )


@dataclass(frozen=True, slots=True)
class _Photo:
    sha256: str
    reason: Reason
    faces: tuple[Face, ...] = ()
    vectors: NDArray[np.float32] | None = None
    detail: str | None = None
    engine: str = "unknown"


def import_cache(
    workspace: Workspace, registry: Registry, path: Path, progress: Progress, *, model: str | None = None, again: bool = False
) -> ImportedCache:
    """Record what the cache at ``path`` knows of this workspace's photos; repeating it changes nothing.

    ``again``: of photos, too, that its model has been through here; their faces that were not found before are new.
    Raises errors.CorruptFile, and errors.PackMismatch where ``model`` is given and the cache holds another's.
    """
    cache = load_cache(path, model=model)
    dim = measurements.packs(registry).get(cache.model)
    if dim and len(cache.embeddings) and cache.embeddings.shape[1] != dim:
        problem = f"says {cache.model}, and its vectors have {cache.embeddings.shape[1]} numbers where that model's have {dim}"
        raise CorruptFile(path, f"{problem}: the file names the wrong model")
    taken = ImportedCache(cache.model)
    photos = _photos(workspace, registry, cache, taken, again=again)
    with progress.task("importing vectors", unit="photos") as task:
        while batch := list(islice(photos, _BATCH)):
            with registry.transaction():
                for photo in batch:
                    if again and photo.reason.state is not State.DONE:
                        continue  # what is known of it stays
                    measurements.add_embedded(
                        registry, photo.sha256, cache.model, photo.reason, photo.faces, photo.vectors,
                        detail=photo.detail, engine=photo.engine,
                    )  # fmt: skip
                    reason = measurements.embedded_reason(registry, photo.sha256, cache.model) or photo.reason
                    originals.settle_bytes(registry, photo.sha256, reason, photo.detail)
            task.advance(len(batch))
    if taken.guessed:
        progress.note(
            f"{path.name}: {count_of(taken.guessed, 'face')} came without landmarks; these are put where a face in such a box has "
            f"them, which makes the crops less exact (signal {GUESSED})."
        )
    return taken


def _photos(workspace: Workspace, registry: Registry, cache: Cache, taken: ImportedCache, *, again: bool) -> Iterator[_Photo]:
    known = _Known(workspace, registry)

    def wanted(named: str, path: str) -> str | None:
        """The photo's hash where it is one of ours that this model has not been through."""
        sha256 = known.sha256(named, path)
        if sha256 is None:
            taken.unknown += 1
        elif not again and measurements.is_embedded(registry, sha256, cache.model):
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
            first_of = {face.face_id: k for k, face in reversed([*enumerate(found)])}
            taken.repeated += len(found) - len(first_of)
            order = sorted(first_of.values(), key=lambda k: found[k].box)
            ordered = tuple(replace(found[k], index=n) for n, k in enumerate(order))
            taken.photos += 1
            taken.faces += len(ordered)
            taken.guessed += sum(GUESSED in face.signals for face in ordered)
            yield _Photo(sha256, Reason.EMBEDDED, ordered, cache.embeddings[[indices[k] for k in order]], engine=_engine(first))
    have_faces = {str(row.get("path")) for row in cache.meta}
    for path in cache.processed:
        if path not in have_faces and path not in cache.path_aliases and (sha256 := wanted("", path)):
            taken.without_face += 1
            yield _Photo(sha256, Reason.EMBEDDED_NO_FACE)
    for path, failure in cache.failed.items():
        if sha256 := wanted(failure.get("sha256", ""), path):
            if failure.get("reason") not in _FAILURES:
                taken.unusable += 1
                continue
            taken.failed += 1
            yield _Photo(sha256, Reason(failure["reason"]), detail=failure.get("detail", "")[:_LONGEST_DETAIL])


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

    def sha256(self, named: str, path: str) -> str | None:
        """The photo's hash where it is one of ours: as the cache says, or found by its path where it says none."""
        if named:
            return named if named in self._hashes else None
        return self._by_path.get(path) or self._by_path.get(to_ours(path, self._map))


def _engine(meta: Mapping[str, Any]) -> str:
    """What ran the networks, where the file says so in words."""
    engine = meta.get("engine")
    return engine if isinstance(engine, str) and engine.isprintable() and 0 < len(engine) <= _LONGEST_NAME else "unknown"


def _face(meta: Mapping[str, Any], sha256: str, model: str) -> Face:
    """A face as the cache has it; what other tools leave out follows from its box. Raises KeyError, TypeError, ValueError."""
    x1, y1, x2, y2 = (float(side) for side in meta["bbox"])
    box: Box = (x1, y1, x2, y2)
    if not (0 <= x1 < x2 < _LONGEST_SIDE and 0 <= y1 < y2 < _LONGEST_SIDE):
        raise ValueError(box)
    full = {
        "sharpness": None,
        **{key: value for key, value in meta.items() if value is not None},
        "face_id": face_id(sha256, model, box),  # follows from content, whatever the file says
        "face_index": 0,
        "face_short": round(min(x2 - x1, y2 - y1), 2),
        "sha256": sha256,
        "model": model,
    }
    if not full.get("landmarks"):
        full["landmarks"] = landmarks_in(box)
        full["signals"] = {**(full.get("signals") or {}), GUESSED: 1.0}
    face = face_of(full)
    numbers = [face.det_score, face.sharpness or 0.0, *face.signals.values(), *(side for point in face.landmarks for side in point)]
    if len(face.landmarks) != _LANDMARKS or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise ValueError(numbers)
    return face
