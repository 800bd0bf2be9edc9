"""Existing sets become identities: their images are embedded to get a centroid; nothing is ever written into them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..embedding import Decoders, Pack, find_faces, read_image
from ..errors import UnreadableImage
from ..export.existing import ExistingSet, existing_sets, file_facts, highest_number
from ..identity import centroid as centroid_of
from ..progress import Progress
from ..records import Centroid, FaceSet
from ..registry import Registry, sets
from ..workspace import Workspace

log = logging.getLogger(__name__)


def adopt(
    workspace: Workspace, registry: Registry, pack: Pack, run_id: int, progress: Progress, decoders: Decoders
) -> None:
    """Make every set on disk known, with its files' hashes and a centroid for this pack.

    A set that changed since (its owner curates it) gets its centroid from what it holds now, and this is said.
    """
    found = existing_sets(workspace.facesets)
    have = {centroid.name for centroid in sets.centroids(registry, pack.id)}
    with progress.task("reading existing sets", len(found), "sets") as task:
        for existing in found:
            _adopt_one(registry, existing, pack, run_id, existing.name in have, progress, decoders)
            task.advance()
    with registry.transaction():
        sets.see_number(registry, highest_number(workspace.facesets))


def _adopt_one(
    registry: Registry, existing: ExistingSet, pack: Pack, run_id: int, has_centroid: bool, progress: Progress, decoders: Decoders
) -> None:
    known = sets.find(registry, existing.name)
    facts = file_facts(existing.path)
    recorded = sets.files(registry, existing.name) if known else []
    if known and recorded == facts and has_centroid:
        return
    if known and recorded != facts:
        hashes = {file.path: file.sha256 for file in recorded}
        if any(hashes.get(file.path, file.sha256) != file.sha256 for file in facts):
            # never taken for curation: it may be a failing disk, and what was recorded is the only proof of it
            progress.note(f"{existing.name}: files have other bytes than when they were recorded; facesets verify names them.")
            if has_centroid:
                return
            facts = recorded
        else:
            progress.note(f"{existing.name} was changed by hand since the last run; its centroid is taken from what it holds now.")
    if existing.left_aside:
        progress.note(f"{existing.name}: {len(existing.left_aside)} images are links to outside of the folder of sets; not read.")
    centroid = _centroid(existing, pack, decoders)
    with registry.transaction():
        if known is None:
            sets.add(registry, FaceSet(existing.name, existing.number, "adopted", pack.id), run_id, written=True)
        sets.set_files(registry, existing.name, facts)
        if centroid is None:
            progress.note(f"{existing.name}: no face found in its images, so nothing can match it.")
        else:
            sets.set_centroid(registry, pack.id, centroid)


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
