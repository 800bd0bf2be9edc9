"""A user's embedding cache: the registry's faces of one pack as a v2 .npz that other tools, and other machines, can load."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from facesets.errors import UsageError
from facesets.exchange import Cache, QueueEntry, meta_of, save_cache, stored_model, stored_state
from facesets.models import Pack, from_database
from facesets.records import Reason
from facesets.registry import Registry, assets, faces, measurements
from facesets.workspace import Workspace


def write_cache(workspace: Workspace, registry: Registry, label: str, pack: Pack) -> None:
    """Bring the cache of ``label`` up to what the registry knows, where that changed; another model's vectors have their own file."""
    path = workspace.cache(label)
    if path.exists() and stored_model(path) != pack.id:
        path = path.with_name(f"{label}.{pack.name}.npz")
    entries, aliases = _photos(registry, label, pack.id)
    known = [dataclasses.astuple(entry) for entry in entries.values()]
    state = hashlib.sha256(json.dumps([pack.id, sorted(known), sorted(aliases.items())]).encode()).hexdigest()
    if stored_state(path) != state:
        save_cache(path, export_cache(registry, label, pack.id, dim=pack.dim), state=state)


def export_cache(registry: Registry, label: str, pack: str | None = None, *, dim: int = 0) -> Cache:
    """The registry's faces of a user's photos. Raises UsageError where ``pack`` is not given and not plain."""
    dims = measurements.packs(registry)
    if pack is None:
        if len(dims) != 1:
            raise UsageError(f"say whose vectors: --model {' or --model '.join(dims)}" if dims else "no photo is embedded here yet")
        (pack,) = dims
    if from_database(pack):
        raise UsageError(f"{pack}: a cache knows photos by their bytes, which never came. These vectors are in Immich's database")
    entries, aliases = _photos(registry, label, pack)
    found = [row for row in faces.select(registry, pack=pack, labels=[label]) if row.face.sha256 in entries]
    return Cache(
        model=pack,
        embeddings=np.stack([row.vector for row in found]) if found else np.zeros((0, dims.get(pack, dim)), np.float32),
        meta=[meta_of(row.face, entries[row.face.sha256]) for row in found],
        processed=sorted(entry.path for entry in entries.values()),
        path_aliases=aliases,
    )


def _photos(registry: Registry, label: str, pack: str) -> tuple[dict[str, QueueEntry], dict[str, str]]:
    """The photos of a user that ``pack`` has been through, by their hash, and the paths of copies with the path that was kept."""
    through = list(assets.select(registry, labels=[label], reasons=(Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE)))
    entries = {
        row.sha256: QueueEntry(row.asset.asset_id, row.path, sha256=row.sha256, taken_at=row.asset.taken_at)
        for row in through
        if row.sha256 and row.path and measurements.is_embedded(registry, row.sha256, pack)
    }
    kept = {row.id: row.path for row in through}
    copies = assets.select(registry, labels=[label], reasons=[Reason.DUP_STAGED])
    return entries, {row.asset.original_path: path for row in copies if row.kept_id and (path := kept.get(row.kept_id))}
