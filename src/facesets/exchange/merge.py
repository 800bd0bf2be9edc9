"""Many caches into one. Pure: caches in, a cache and an account of it out.

The first cache wins. A photo is its bytes (sha256; its path where a cache does not say): found again under another path it becomes
an alias, and its faces are taken once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets.errors import PackMismatch, UsageError
from facesets.exchange.cache import Cache

_SAME = 0.9999  # cosine between two machines' vectors of one face; engines differ by less


@dataclass(slots=True)
class Merged:
    """One cache of several, and what had to be decided: ``conflicts`` are sentences, in the order they were met."""

    cache: Cache
    photos_again: int = 0  # photos that an earlier cache had too
    aliases: int = 0  # new ones
    conflicts: list[str] = field(default_factory=list)


def merge_caches(named: Sequence[tuple[str, Cache]]) -> Merged:
    """``(name, cache)`` of one model into one. Raises errors.PackMismatch, which names both models, and UsageError for none."""
    if not named:
        raise UsageError("no cache to merge")
    (first_name, first), *_ = named
    for _, cache in named:
        if cache.model != first.model:
            raise PackMismatch(first.model, cache.model, first_name)
        if cache.embeddings.shape[1] != first.embeddings.shape[1]:
            dims = f"{first.embeddings.shape[1]} and {cache.embeddings.shape[1]}"
            raise UsageError(f"both say {first.model}, but their vectors have {dims} numbers: one of the files is mislabelled")
    merging = _Merging(Merged(Cache(first.model, first.embeddings[:0])))
    for name, cache in named:
        merging.add(name, cache)
    merging.done.cache.embeddings = np.concatenate(merging.rows) if merging.rows else first.embeddings[:0]
    return merging.done


class _Merging:
    def __init__(self, done: Merged) -> None:
        self.done, self.rows = done, list[npt.NDArray[np.float32]]()
        self.photos: dict[str, tuple[str, list[dict[str, Any]], npt.NDArray[np.float32]]] = {}  # photo -> path, meta, vectors
        self.bytes_of: dict[str, str] = {}  # path -> sha256, where known
        self.processed: set[str] = set()

    def add(self, name: str, cache: Cache) -> None:
        at: dict[str, list[int]] = {}
        for i, row in enumerate(cache.meta):
            at.setdefault(str(row.get("sha256") or row.get("path")), []).append(i)
        moved: set[str] = set()  # paths whose photo stands under another path already
        for photo, rows in at.items():
            moved |= self._photo(name, photo, [cache.meta[i] for i in rows], cache.embeddings[rows])
        for path in cache.processed:
            if path not in self.processed and path not in moved:
                self.processed.add(path)
                self.done.cache.processed.append(path)
        for path, kept in cache.path_aliases.items():
            self._alias(name, path, kept)
        for path, failure in cache.failed.items():
            self.done.cache.failed.setdefault(path, failure)
        for path in self.processed & self.done.cache.failed.keys():
            del self.done.cache.failed[path]  # another machine could read it

    def _photo(self, name: str, photo: str, meta: list[dict[str, Any]], vectors: npt.NDArray[np.float32]) -> set[str]:
        path = str(meta[0].get("path") or "")
        if photo in self.photos:
            self.done.photos_again += 1
            kept_path, kept_meta, kept = self.photos[photo]
            if not _agree(kept, vectors):
                what = f"{len(kept_meta)} faces and {len(meta)}" if len(kept) != len(vectors) else "other vectors"
                self.done.conflicts.append(f"{name}: {path}: {what}; the first cache's are kept")
            if path == kept_path:
                return set()
            self._alias(name, path, kept_path)
            return {path}
        known = self.bytes_of.get(path)
        if path and known is not None:
            self.done.conflicts.append(f"{name}: {path}: the first cache has a photo of other bytes under this path, which is kept")
            return set()
        self.bytes_of[path] = photo
        self.photos[photo] = (path, meta, vectors)
        self.done.cache.meta += meta
        self.rows.append(vectors)
        return set()

    def _alias(self, name: str, path: str, kept: str) -> None:
        there = self.done.cache.path_aliases.get(path)
        if path in self.bytes_of or (there is not None and there != kept):
            self.done.conflicts.append(
                f"{name}: {path} is listed as a copy of {kept}, but the first cache has it as {there or path}; that is kept"
            )
            return
        self.done.aliases += there is None
        self.done.cache.path_aliases[path] = kept
        if path not in self.processed:
            self.processed.add(path)
            self.done.cache.processed.append(path)


def _agree(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    return a.shape == b.shape and bool((np.einsum("ij,ij->i", a.astype(np.float64), b) >= _SAME).all())
