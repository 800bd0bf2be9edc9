"""Carrying out the plan: each planned set is written beside, renamed into place and recorded; then the manifest follows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facesets.changes.interrupted import identity, is_in_place
from facesets.changes.member_photos import Picture
from facesets.changes.record import waiting
from facesets.errors import CorruptFile, FacesetsError, RetryableLeft, UnreadableImage
from facesets.export import ManifestEntry, Member, SetPlan, crop_name, existing_sets, file_facts, merge_manifest, write_set
from facesets.faces import crop_file, read_image
from facesets.photos import DecoderPool, crops
from facesets.progress import Progress
from facesets.records import FaceSet, Reason
from facesets.registry import FaceRow, FileFact, Registry, changes, faces, gallery, originals, runs, sets
from facesets.workspace import Workspace


class PhotosNeeded(RetryableLeft):
    """A planned set lacks photos. ``written`` names the sets that did not wait for it; ``changed``: what is here was found to be
    something else just now, so that looking again may help at once.
    """

    written: tuple[str, ...] = ()
    changed = False


class _Unusable(FacesetsError):
    """A member's photo, which was here, cannot be used; ``why`` is what reading it said."""

    def __init__(self, member: Member, why: UnreadableImage | CorruptFile | OSError) -> None:
        super().__init__(str(why))
        self.member, self.why = member, why


def write_planned(workspace: Workspace, registry: Registry, progress: Progress, decoders: DecoderPool) -> list[str]:
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
                    load = _loader(workspace, decoders)
                    facts = write_set(workspace.facesets, plan, load, export=workspace.settings.export, workers=workers)
                except (PhotosNeeded, _Unusable) as err:
                    if is_in_place(workspace, registry, faceset):
                        _mark_written(registry, faceset, file_facts(workspace.facesets / faceset.name))
                        wrote.append(faceset.name)
                        task.advance()
                        continue
                    if isinstance(err, PhotosNeeded):
                        needed = needed or err
                        continue
                    with registry.transaction():
                        _set_aside(registry, err)
                    changed = needed is None or needed.changed
                    needed = needed or _needed(faceset.name)
                    needed.changed = changed or needed.changed
                    continue
                _mark_written(registry, faceset, facts)
                wrote.append(faceset.name)
                task.advance()
    settle_plans(registry)
    later = waiting(registry)
    made = [faceset for faceset in sets.select(registry, written=True, origin="made") if faceset.name not in later]
    if made:
        there = {found.name for found in existing_sets(workspace.facesets)}
        files, sizes = sets.files_by_set(registry), gallery.faces_by_set(registry)
        merge_manifest(
            workspace.facesets,
            [
                ManifestEntry(each.name, each.number, sizes.get(each.name, 0), each.pack, each.person_name, files.get(each.name, []))
                for each in made
                if each.name in there
            ],
        )
    if needed is not None:
        needed.written = tuple(wrote)
        raise needed
    return wrote


def _mark_written(registry: Registry, faceset: FaceSet, facts: list[FileFact]) -> None:
    with registry.transaction():
        sets.set_files(registry, faceset.name, facts)
        members = len(sets.members(registry, faceset.name))
        sets.mark_written(registry, faceset.name, [crop_name(n) for n in range(1, 1 + members)])
        runs.note(registry, None, "set written", name=faceset.name)


def settle_plans(registry: Registry) -> None:
    """A run's plan is applied once each of its sets is written, and given up where none of them came to be."""
    waiting = {faceset.name for faceset in sets.select(registry, written=False)}
    for change in changes.planned(registry, "plan"):
        names = change.payload["sets"]
        if not waiting.intersection(names):
            there = any(sets.find(registry, name) for name in names)
            with registry.transaction():
                changes.settle(
                    registry, change.id, "applied" if there else "given_up", None if there else "too few of its photos were left"
                )


def member_of(workspace: Workspace, registry: Registry, row: FaceRow, distance: float, name: str) -> Member:
    """A face as the set of this name writes it down. Raises PhotosNeeded where neither its photo nor its crop is here."""
    picture = Picture.of(registry, row.face.sha256)
    if picture is None or not picture.serves(workspace, row.face) or picture.bytes.sha256 is None or picture.bytes.path is None:
        raise _needed(name)
    asset = picture.row.asset
    # a face that was measured before its bytes came is written down with what these turned out to be
    named = replace(row.face, sha256=picture.bytes.sha256)
    return Member(named, distance, asset.owner_id, asset.asset_id, asset.taken_at, picture.bytes.path)


def crop_of(workspace: Workspace, registry: Registry, face_id: str, decoders: DecoderPool) -> bytes:
    """The PNG of a face's crop, kept or cut anew. Raises PhotosNeeded where its photo is not here."""
    row = faces.find(registry, face_id)
    assert row is not None, face_id
    member = member_of(workspace, registry, row, 0.0, "a set")
    try:
        got = _loader(workspace, decoders)(member)
    except _Unusable as err:
        raise PhotosNeeded(f"the photo of face {face_id[:12]} cannot be used: {err.why}") from err
    export = workspace.settings.export
    return got if isinstance(got, bytes) else crops.encode(crops.crop(got, member.face.landmarks, export.size, export.margin))


def _needed(name: str) -> PhotosNeeded:
    return PhotosNeeded(
        f"{name} is planned, and some of its photos are not here. The next run asks for them again; --accept-missing "
        "leaves out "
        "those that fail"
    )


def _plan(workspace: Workspace, registry: Registry, faceset: FaceSet) -> SetPlan:
    members = []
    for _, face_id, distance in sets.members(registry, faceset.name):
        row = faces.find(registry, face_id)
        assert row is not None, face_id
        members.append(member_of(workspace, registry, row, distance, faceset.name))
    centroid = next(c for c in sets.centroids(registry, faceset.pack, whole=True) if c.name == faceset.name)
    return SetPlan(faceset.name, faceset.number, identity(m.face.face_id for m in members), faceset.pack, centroid.vector, members)


def _set_aside(registry: Registry, err: _Unusable) -> None:
    """No decoder takes the photo of a member any more, or another file lies in its place, which is looked at anew."""
    sha256, why = err.member.face.sha256, err.why
    if isinstance(why, UnreadableImage):
        originals.settle_bytes(registry, sha256, Reason(why.reason), why.detail)
    elif row := originals.with_bytes(registry, sha256=sha256):
        originals.ask_for_bytes(registry, row.id)


def _loader(workspace: Workspace, decoders: DecoderPool) -> Callable[[Member], NDArray[np.uint8] | bytes]:
    def load(member: Member) -> NDArray[np.uint8] | bytes:
        crop = crop_file(workspace, member.face.face_id)
        if crop.is_file():
            return crop.read_bytes()
        try:
            return read_image(workspace.root / member.path, sha256=member.face.sha256, decoder=decoders).rgb
        except (UnreadableImage, CorruptFile, OSError) as err:
            raise _Unusable(member, err) from err

    return load
