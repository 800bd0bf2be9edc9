"""A user's embedding cache: the registry's faces of one pack as a v2 .npz that other tools, and other machines, can load."""

from __future__ import annotations

import numpy as np

from ..embedding import Cache, Pack, QueueEntry, meta_of, save_cache
from ..embedding.cache import stored_model
from ..embedding.packs.immich_db import from_database
from ..errors import UsageError
from ..records import Reason
from ..registry import Registry, assets, faces
from ..workspace import Workspace


def write_cache(workspace: Workspace, registry: Registry, label: str, pack: Pack) -> None:
    """Bring the cache of ``label`` up to what the registry knows; vectors of another model go to a file of their own."""
    path = workspace.cache(label)
    if path.exists() and stored_model(path) != pack.id:
        path = path.with_name(f"{label}.{pack.name}.npz")
    save_cache(path, export_cache(registry, label, pack.id, dim=pack.dim))


def export_cache(registry: Registry, label: str, pack: str | None = None, *, dim: int = 0) -> Cache:
    """The registry's faces of a user's photos. Raises UsageError where ``pack`` is not given and not plain."""
    dims = faces.packs(registry)
    if pack is None:
        if len(dims) != 1:
            raise UsageError(f"say whose vectors: --model {' or --model '.join(dims)}" if dims else "no photo is embedded here yet")
        (pack,) = dims
    if from_database(pack):
        raise UsageError(f"{pack}: a cache knows photos by their bytes, which never came. These vectors are in Immich's database")
    through = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE)
    entries = {
        row.sha256: QueueEntry(row.asset.asset_id, row.path, sha256=row.sha256, taken_at=row.asset.taken_at)
        for row in assets.select(registry, labels=[label], reasons=through)
        if row.sha256 and row.path and faces.is_embedded(registry, row.sha256, pack)
    }
    found = [row for row in faces.select(registry, pack=pack, labels=[label]) if row.face.sha256 in entries]
    kept = {row.id: row.path for row in assets.select(registry, labels=[label], reasons=through)}
    return Cache(
        model=pack,
        embeddings=np.stack([row.vector for row in found]) if found else np.zeros((0, dims.get(pack, dim)), np.float32),
        meta=[meta_of(row.face, entries[row.face.sha256]) for row in found],
        processed=sorted(entry.path for entry in entries.values()),
        path_aliases={
            row.asset.original_path: kept_path
            for row in assets.select(registry, labels=[label], reasons=[Reason.DUP_STAGED])
            if row.kept_id and (kept_path := kept.get(row.kept_id))
        },
    )
