"""Existing sets become identities: their images are embedded to get a centroid; nothing is ever written into them.

A set that was made here with another pack is known by this pack's vectors of the same faces in the same photos. Of Immich's own vectors
no image gives any, unless the same model is here too: a set that cannot be known is said, and left as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..embedding import Decoders, Pack, find_faces, read_image
from ..embedding.packs.detection import same_face
from ..embedding.packs.immich_db import from_database
from ..errors import PackUnavailable, UnreadableImage
from ..export.existing import ExistingSet, existing_sets, file_facts, highest_number
from ..identity import centroid as centroid_of
from ..progress import Progress
from ..records import Centroid, Face, FaceSet, Reason
from ..registry import Registry, assets, faces, sets, told
from ..workspace import Workspace

log = logging.getLogger(__name__)


def adopt(
    workspace: Workspace, registry: Registry, pack: Pack, run_id: int, progress: Progress, decoders: Decoders
) -> None:
    """Make every set on disk known, with its files' hashes and a centroid for this pack.

    A set that changed since (its owner curates it) gets its centroid from what it holds now, and this is said.
    """
    found, strange = existing_sets(workspace.facesets), list[str]()
    have = {centroid.name for centroid in sets.centroids(registry, pack.id)}
    with progress.task("reading existing sets", len(found), "sets") as task:
        for existing in found:
            if not _adopt_one(registry, existing, pack, run_id, existing.name in have, progress, decoders):
                strange.append(existing.name)
            task.advance()
    if strange:
        progress.note(
            f"{len(strange)} sets that are here ({', '.join(strange[:10])}{', ...' if len(strange) > 10 else ''}) cannot be compared "
            f"with Immich's vectors: the model {pack.version} is not on this machine. They stay as they are, and people in them may "
            "get sets of their own. To have them recognised, install it, or name Immich's machine-learning service: [embed] immich_ml."
        )
    with registry.transaction():
        sets.see_number(registry, highest_number(workspace.facesets))


def _adopt_one(
    registry: Registry, existing: ExistingSet, pack: Pack, run_id: int, has_centroid: bool, progress: Progress, decoders: Decoders
) -> bool:
    """Whether it can be compared with this pack's vectors, or holds no face."""
    known = sets.find(registry, existing.name)
    facts = file_facts(existing.path)
    recorded = sets.files(registry, existing.name) if known else []
    if known and recorded == facts and has_centroid:
        return True
    if known and recorded != facts:
        hashes = {file.path: file.sha256 for file in recorded}
        if any(hashes.get(file.path, file.sha256) != file.sha256 for file in facts):
            # never taken for curation: it may be a failing disk, and what was recorded is the only proof of it
            progress.note(f"{existing.name}: files have other bytes than when they were recorded; facesets verify names them.")
            if has_centroid:
                return True
            facts = recorded
        else:
            progress.note(f"{existing.name} was changed by hand since the last run; its centroid is taken from what it holds now.")
    if existing.left_aside:
        progress.note(f"{existing.name}: {len(existing.left_aside)} images are links to outside of the folder of sets; not read.")
    centroid, readable = _of_same_faces(registry, existing, pack.id), True
    if centroid is None:
        try:
            centroid = _centroid(existing, pack, decoders)
        except PackUnavailable:
            if not from_database(pack.id):
                raise
            readable = has_centroid  # of a set made here that was thinned out: the one of all its faces will do
    with registry.transaction():
        if known is None:
            sets.add(registry, FaceSet(existing.name, existing.number, "adopted", pack.id), run_id, written=True)
        sets.set_files(registry, existing.name, facts)
        if centroid is not None:
            sets.set_centroid(registry, pack.id, centroid)
        elif readable and not has_centroid:
            progress.note(f"{existing.name}: no face found in its images, so nothing can match it.")
    return readable


def _of_same_faces(registry: Registry, existing: ExistingSet, pack: str) -> Centroid | None:
    """Where a set that another pack made here lies in the space of this one, which has been through the same photos: by the faces at
    the same places. None where fewer than half of its images are known that way.
    """
    here, vectors = {path.name for path in existing.images}, list[NDArray[np.float32]]()
    for number, (_, face_id, _) in enumerate(sets.members(registry, existing.name), 1):
        row = faces.find(registry, face_id) if f"{number:04d}.png" in here else None
        if row is None or (row.face.pack == pack and not from_database(pack)):
            continue  # a pack that made the set itself looks at what is left of it
        if (vector := _at_same_place(registry, row.face, pack)) is not None:
            vectors.append(vector)
    if not vectors or 2 * len(vectors) < len(here):
        return None
    return Centroid(existing.name, centroid_of(np.stack(vectors)), len(vectors))


def _at_same_place(registry: Registry, face: Face, pack: str) -> NDArray[np.float32] | None:
    asset = assets.with_bytes(registry, sha256=face.sha256) or told.photo(registry, face.sha256)
    for key in filter(None, (asset.sha256, asset.content) if asset else ()):
        for row in faces.select(registry, pack=pack, sha256=key):
            if row.reason is not Reason.UNMEASURED and same_face(row.face.box, face.box):
                return row.vector
    return None


def _centroid(existing: ExistingSet, pack: Pack, decoders: Decoders) -> Centroid | None:
    """The mean over one face an image: the largest, as such images show one person."""
    vectors = [vector for path in existing.images if (vector := _main_face(path, pack, decoders)) is not None]
    if not vectors:
        return None
    return Centroid(existing.name, centroid_of(np.stack(vectors)), len(vectors))


def _main_face(path: Path, pack: Pack, decoders: Decoders) -> NDArray[np.float32] | None:
    try:
        found, vectors = find_faces(read_image(path, decoder=decoders), "", pack)
    except (UnreadableImage, OSError) as err:
        log.warning("%s: %s", path, err)
        return None
    if not found:
        return None
    largest: NDArray[np.float32] = vectors[max(range(len(found)), key=lambda i: (found[i].face_short, -i))]
    return largest
