"""Collects what the report shows from registry, sets and photos. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...identity.match import distances, nearest_sets
from ...progress import Progress
from ...records import Centroid, FaceSet, Reason, State
from ...registry import Registry, assets, faces, runs, sets
from ...registry.assets import REASONS_OF, AssetRow
from ...registry.faces import FaceRow
from ...workspace import Workspace
from ..existing import FACES, ExistingSet, existing_sets
from . import tiles
from .facts import Distances, Report, Sheet, Tile

_RECOGNISED, _LEFT_OUT = 6, 13  # faces shown of those that match an old set, and of each gate
_BATCH = 4096


def gather(
    workspace: Workspace,
    registry: Registry,
    *,
    blur_except: Collection[str] | None,
    tiles_per_set: int,
    progress: Progress,
) -> Report:
    """All facts of the page. Tiles are blurred and names left out as :func:`facesets.export.report.write_report` says."""
    by_face = faces.counts(registry)
    centroids = _centroids(registry)
    work = _Work(workspace, assets.kept_by_sha256(registry), blur_except, tiles_per_set, centroids)
    on_disk = {found.name: found for found in existing_sets(workspace.facesets)}
    written = list(sets.select(registry, written=True))
    sheets = []
    with progress.task("drawing the report", len(written), "sets") as task:
        for faceset in written:
            sheets.append(work.sheet(registry, faceset, on_disk.get(faceset.name)))
            task.advance()
    left_out = {}
    for reason in REASONS_OF[State.LEFT_OUT]:
        if reason in by_face:
            sample = sorted(faces.select(registry, reasons=[reason]), key=lambda row: row.face.face_id)[:_LEFT_OUT]
            left_out[reason] = [work.face_tile(row) for row in sample]
    return Report(
        assets=assets.counts(registry),
        faces=by_face,
        sheets=sheets,
        distances=_distances(registry, centroids),
        left_out=left_out,
        planned=[faceset.name for faceset in sets.select(registry, written=False)],
        blurred=blur_except is not None,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    workspace: Workspace
    photos: Mapping[str, AssetRow]
    blur_except: Collection[str] | None
    tiles_per_set: int
    centroids: Mapping[str, list[Centroid]]

    def sheet(self, registry: Registry, faceset: FaceSet, found: ExistingSet | None) -> Sheet:
        blur = self.blur_except is not None and faceset.name not in self.blur_except
        rows = list(faces.select(registry, set_name=faceset.name, reasons=[Reason.MEMBER, Reason.MATCHES_SET]))
        by_id = {row.face.face_id: row for row in rows}
        members = [by_id.get(face_id) for _, face_id, _ in sets.members(registry, faceset.name)]
        images = list(found.images) if found else []
        if faceset.origin == "made":  # what should be there: a picture that is not is shown as missing
            images = [self.workspace.facesets / faceset.name / FACES / f"{rank:04d}.png" for rank in range(1, len(members) + 1)]
        matched = [row for row in rows if row.reason is Reason.MATCHES_SET]
        ordered = sorted(matched, key=lambda row: (row.distance or 0.0, row.face.face_id))
        known = [row.distance for row in rows if row.distance is not None]
        return Sheet(
            name=faceset.name,
            person=None if blur else faceset.person_name,
            made=faceset.origin == "made",
            images=len(images),
            tiles=self._tiles(images, members, blur=blur),
            matched=len(matched),
            recognised=[self.face_tile(row) for row in ordered[:_RECOGNISED]],
            distances=(min(known), max(known)) if known else None,
            years=self._years(rows),
            neighbour=self._neighbour(faceset),
        )

    def face_tile(self, row: FaceRow) -> Tile:
        """A face that is in no folder, cut from its photo; never shown plainly in a blurred report, whatever it matches."""
        asset = self.photos.get(row.face.sha256)
        if asset is None or asset.path is None or not row.face.landmarks:
            return Tile(None, self._told(row))
        margin = self.workspace.settings.export.margin
        blur = self.blur_except is not None
        return Tile(tiles.face(self.workspace.root / asset.path, row.face, tiles.SMALL, margin=margin, blur=blur), self._told(row))

    def _tiles(self, images: list[Path], members: list[FaceRow | None], *, blur: bool) -> list[Tile]:
        shown = []
        for at, path in enumerate(images[: self.tiles_per_set]):
            row = members[at] if at < len(members) else None
            told = self._told(row) if row else "" if self.blur_except is not None else path.name
            shown.append(Tile(tiles.picture(path, tiles.SMALL if at else tiles.LARGE, blur=blur), told))
        return shown

    def _told(self, row: FaceRow) -> str:
        asset = self.photos.get(row.face.sha256)
        parts = [
            f"distance {row.distance:.3f}" if row.distance is not None else "",
            f"{row.face.face_short:.0f} px",
            (asset.asset.taken_at or "")[:10] if asset else "",
            asset.asset.file_name if asset and self.blur_except is None else "",
        ]
        return " · ".join(part for part in parts if part)

    def _years(self, rows: Iterable[FaceRow]) -> tuple[str, str] | None:
        taken = [asset.asset.taken_at for row in rows if (asset := self.photos.get(row.face.sha256)) and asset.asset.taken_at]
        return (min(taken)[:4], max(taken)[:4]) if taken else None

    def _neighbour(self, faceset: FaceSet) -> tuple[str, float] | None:
        near = self.centroids.get(faceset.pack, [])
        own = [c.vector for c in near if c.name == faceset.name]
        others = [c for c in near if c.name != faceset.name]
        if not own or not others:
            return None
        away = distances(np.stack(own), np.stack([c.vector for c in others])).min(axis=0)
        return others[int(away.argmin())].name, float(away.min())


def _centroids(registry: Registry) -> dict[str, list[Centroid]]:
    """The centroids for each model that a set was made or adopted with."""
    return {pack: sets.centroids(registry, pack) for pack in sorted({faceset.pack for faceset in sets.select(registry)})}


def _distances(registry: Registry, centroids: Mapping[str, list[Centroid]]) -> Distances | None:
    """Measured anew, as the sets stand now; of the model that most faces with a set were measured with."""
    placed = Counter(
        {pack: sum(1 for _ in faces.select(registry, pack=pack, reasons=[Reason.MEMBER, Reason.MATCHES_SET])) for pack in centroids}
    )
    if not placed.total():
        return None
    pack = max(sorted(placed), key=lambda each: placed[each])
    own: list[float] = []
    other: list[float] = []
    batch: list[FaceRow] = []
    for row in faces.select(registry, pack=pack, reasons=[Reason.MEMBER, Reason.MATCHES_SET]):
        batch.append(row)
        if len(batch) == _BATCH:
            _measure(batch, centroids[pack], own, other)
            batch = []
    if batch:
        _measure(batch, centroids[pack], own, other)
    plan = runs.last_note(registry, "plan") or {}
    cuts = {str(name): float(value) for name, value in plan.get("cuts", {}).items()}
    return Distances(pack, own, other, cuts)


def _measure(rows: list[FaceRow], centroids: list[Centroid], own: list[float], other: list[float]) -> None:
    near = nearest_sets(np.stack([row.vector for row in rows]), centroids)
    for at, row in enumerate(rows):
        second = near.first[at] < 0 or near.names[int(near.first[at])] == row.set_name
        away = float((near.second_distance if second else near.first_distance)[at])
        if np.isfinite(away):
            other.append(away)
        if row.distance is not None:
            own.append(row.distance)
