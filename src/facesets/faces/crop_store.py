"""Doing without originals: crops are cut while a photo's pixels are at hand, as export would cut them, and the photo may go.

A photo of the user's own (a folder source's) is never removed, only what staging put under ``photos``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from facesets.faces.embed import read_image
from facesets.files import disk_error, replace_file
from facesets.models import Pack
from facesets.photos import Decoded, DecoderPool, crops
from facesets.records import Face, State
from facesets.registry import Registry, assets, faces, measurements
from facesets.workspace import Workspace


def crop_file(workspace: Workspace, face_id: str) -> Path:
    """Where the crop of a face is kept, as the settings of this day would have it."""
    export = workspace.settings.export
    return workspace.root / "crops" / f"{export.size}-{export.margin:g}" / face_id[:2] / f"{face_id}.png"


def crop_keeper(workspace: Workspace) -> Callable[[Callable[[], Decoded], tuple[Face, ...]], None] | None:
    """What cuts and keeps the crops of a photo's faces, where originals are not kept. Raises FacesetsError where the disk will not."""
    if workspace.settings.stage.keep_originals:
        return None
    export = workspace.settings.export

    def save_crops(full: Callable[[], Decoded], found: tuple[Face, ...]) -> None:
        wanted = _without_crop(workspace, found)
        rgb = full().rgb if wanted else None
        for face in wanted:
            assert rgb is not None
            path = crop_file(workspace, face.face_id)
            try:
                replace_file(path, crops.encode(crops.crop(rgb, face.landmarks, export.size, export.margin)))
            except OSError as err:
                raise disk_error(err, path) from err

    return save_crops


def remove_originals(workspace: Workspace, paths: Iterable[str | None]) -> None:
    """Remove staged originals, where they are not kept, once their faces are on record."""
    if workspace.settings.stage.keep_originals:
        return
    for path in paths:
        if path is not None and (file := workspace.root / path).is_relative_to(workspace.root / "photos"):
            file.unlink(missing_ok=True)


def remove_unknown_crops(workspace: Workspace, registry: Registry, found: Iterable[Face]) -> None:
    """Crops of faces that are on record with a box a little elsewhere, which has a crop of its own."""
    for face in found:
        if not workspace.settings.stage.keep_originals and not measurements.is_known(registry, face.face_id):
            crop_file(workspace, face.face_id).unlink(missing_ok=True)


def tidy(workspace: Workspace, registry: Registry, pack: Pack, decoders: DecoderPool) -> None:
    """Originals that are still here although their faces are on record: crops that lack are cut, then the original goes."""
    save_crops = crop_keeper(workspace)
    if save_crops is None:
        return
    for row in assets.select(registry, reasons=assets.REASONS_OF[State.DONE]):
        if row.path is None or row.sha256 is None or (workspace.root / "photos") not in (file := workspace.root / row.path).parents:
            continue
        if file.is_file() and measurements.is_embedded(registry, row.sha256, pack.id):
            found = tuple(face.face for face in faces.select(registry, pack=pack.id, sha256=row.sha256))
            save_crops(lambda file=file, row=row: read_image(file, sha256=row.sha256 or "", decoder=decoders), found)  # type: ignore[misc]
            remove_originals(workspace, [row.path])


def _without_crop(workspace: Workspace, found: Iterable[Face]) -> list[Face]:
    """Faces that may come into a set by their size, and have no crop yet."""
    least = workspace.settings.gates.min_face_short
    return [face for face in found if face.face_short >= least and not crop_file(workspace, face.face_id).is_file()]
