"""Carrying out the plan: each planned set is written beside, renamed into place and recorded; then the manifest follows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..embedding import Decoders, read_image
from ..embedding.packs.immich_db import from_database
from ..errors import RetryableLeft
from ..export.folders import Member, SetPlan, write_set
from ..export.manifest import ManifestEntry, merge_manifest
from ..progress import Progress
from ..records import Face, FaceSet, Reason
from ..registry import Registry, assets, faces, runs, sets
from ..workspace import Workspace
from .keep import crop_file
from .members import Picture


class PhotosNeeded(RetryableLeft):
    """A planned set lacks photos, which are fetched again by the next run. ``written`` names those that did not wait for it."""

    written: tuple[str, ...] = ()


def write_planned(workspace: Workspace, registry: Registry, progress: Progress, decoders: Decoders) -> list[str]:
    """Write every planned set that is not on disk yet; returns their names. Repeating it after a kill ends in the same tree.

    Raises PhotosNeeded where some could not be written, once all others are.
    """
    planned, wrote = list(sets.select(registry, written=False)), list[str]()
    needed: PhotosNeeded | None = None
    if planned:
        workers = workspace.settings.embed.workers or os.cpu_count() or 1
        workspace.facesets.mkdir(mode=0o700, parents=True, exist_ok=True)
        with progress.task("writing sets", len(planned), "sets") as task:
            for faceset in planned:
                try:
                    plan = _plan(workspace, registry, faceset)
                    _need(workspace, registry, plan)
                except PhotosNeeded as err:
                    needed = needed or err
                    continue
                load = _loader(workspace, decoders)
                facts = write_set(workspace.facesets, plan, load, export=workspace.settings.export, workers=workers)
                with registry.transaction():
                    sets.set_files(registry, faceset.name, facts)
                    sets.mark_written(registry, faceset.name)
                    runs.note(registry, None, "set written", name=faceset.name)
                wrote.append(faceset.name)
                task.advance()
    made = list(sets.select(registry, written=True, origin="made"))
    if made:
        merge_manifest(workspace.facesets, [_entry(registry, faceset) for faceset in made])
    if needed is not None:
        needed.written = tuple(wrote)
        raise needed
    return wrote


def _plan(workspace: Workspace, registry: Registry, faceset: FaceSet) -> SetPlan:
    members = []
    for _, face_id, distance in sets.members(registry, faceset.name):
        row = faces.find(registry, face_id)
        assert row is not None, face_id
        if from_database(faceset.pack):
            members.append(_measured(workspace, registry, faceset, row.face, distance))
            continue
        asset = assets.with_bytes(registry, sha256=row.face.sha256)
        if asset is None or asset.path is None:
            raise PhotosNeeded(
                f"{faceset.name} is planned, but the photo of its face {face_id} is no longer here; run stage again to fetch it"
            )
        members.append(Member(row.face, distance, asset.asset.owner_id, asset.asset.asset_id, asset.asset.taken_at, asset.path))
    centroid = next(c for c in sets.centroids(registry, faceset.pack) if c.name == faceset.name)
    return SetPlan(faceset.name, faceset.number, _identity(members), faceset.pack, centroid.vector, members)


def _measured(workspace: Workspace, registry: Registry, faceset: FaceSet, face: Face, distance: float) -> Member:
    """A member that was measured before its bytes came: it is written down with what these turned out to be."""
    picture = Picture.of(registry, face.sha256)
    if picture is None or not picture.serves(workspace, face) or picture.bytes.sha256 is None or picture.bytes.path is None:
        raise PhotosNeeded(
            f"{faceset.name} is planned, and some of its photos have not come yet. The next run asks for them again; --accept-missing "
            "leaves out those that fail"
        )
    asset = picture.row.asset
    named = replace(face, sha256=picture.bytes.sha256)
    return Member(named, distance, asset.owner_id, asset.asset_id, asset.taken_at, picture.bytes.path)


def _identity(members: list[Member]) -> str:
    """An identity's id follows from the faces that founded it."""
    return hashlib.sha256("\n".join(sorted(m.face.face_id for m in members)).encode()).hexdigest()[:16]


def _entry(registry: Registry, faceset: FaceSet) -> ManifestEntry:
    return ManifestEntry(
        faceset.name,
        faceset.number,
        len(sets.members(registry, faceset.name)),
        faceset.pack,
        faceset.person_name,
        sets.files(registry, faceset.name),
    )


def _need(workspace: Workspace, registry: Registry, plan: SetPlan) -> None:
    """Every member's crop or photo must be here; photos that are not are asked for again. Raises PhotosNeeded."""
    away = {
        member.face.sha256
        for member in plan.members
        if not crop_file(workspace, member.face.face_id).is_file() and not (workspace.root / member.path).is_file()
    }
    if away:
        with registry.transaction():
            for sha256 in away:
                if row := assets.with_bytes(registry, sha256=sha256):
                    assets.settle(registry, row.id, Reason.LISTED)
        raise PhotosNeeded(
            f"{plan.name} is planned, and photos of its faces ({len(away)}) are not here any more "
            "(crops of another size are wanted, or somebody removed them). The next run fetches them again."
        )


def _loader(workspace: Workspace, decoders: Decoders) -> Callable[[Member], NDArray[np.uint8] | bytes]:
    def load(member: Member) -> NDArray[np.uint8] | bytes:
        crop = crop_file(workspace, member.face.face_id)
        if crop.is_file():
            return crop.read_bytes()
        return read_image(workspace.root / member.path, sha256=member.face.sha256, decoder=decoders).rgb

    return load
