"""Existing sets become identities: their images are embedded to get a centroid; nothing is ever written into them.

A set that was made here with another pack is known by this pack's vectors of the same faces in the same photos. Of Immich's own vectors
no image gives any, unless the same model is here too: a set that cannot be known is said, and left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import centroid as centroid_of
from facesets.errors import PackUnavailable, UnreadableImage
from facesets.export.described import described_set
from facesets.export.existing_sets import (
    ExistingSet,
    Stamp,
    existing_sets,
    file_facts,
    highest_number,
    name_of_file,
    renamed_folder,
    stamps,
)
from facesets.export.folders import crop_name
from facesets.faces import find_faces, read_image
from facesets.identity import what_stands
from facesets.models import Pack, from_database
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.records import Centroid, FaceSet
from facesets.registry import FileFact, Registry, decisions, faces, measurements, own_images, people, sets
from facesets.wording import count_of
from facesets.workspace import Workspace

log = logging.getLogger(__name__)
_Seen = tuple[str, NDArray[np.float32]]  # an image's SHA-256 ("" where it is not recorded), and the vector of its largest face


def adopt(
    workspace: Workspace, registry: Registry, pack: Pack, run_id: int, progress: Progress, decoders: DecoderPool,
    seen: Mapping[str, Mapping[str, Stamp]],
) -> None:  # fmt: skip
    """Make every set on disk known, with its files' hashes and a centroid for this pack.

    What its owner did to a recorded set by hand is said, until ``facesets accept`` says that it is right. Files whose size, time and
    inode are as recorded are not read; ``seen``: what the run found of each when it began (:func:`tree_stamps`), not looked for again.
    """
    found, strange = existing_sets(workspace.facesets), list[str]()
    _say_missing(workspace, registry, {existing.name for existing in found}, progress)
    have = {centroid.name for centroid in sets.centroids(registry, pack.id, whole=True)}
    recorded, looked_at = sets.stamps(registry), own_images.known(registry, pack.id)
    adopted = {faceset.name for faceset in sets.select(registry, origin="adopted")}
    with progress.task("reading existing sets", len(found), "sets") as task:
        for existing in found:
            known, now = existing.name in have, seen.get(existing.name) or stamps(existing.path)
            unchanged = now == recorded.get(existing.name, {})
            if not (known and unchanged) and not _adopt_one(registry, existing, pack, run_id, known, progress, decoders):
                strange.append(existing.name)
            elif known and unchanged and existing.name in adopted - looked_at:  # known from before that was kept
                _learn_images(registry, existing, pack, decoders)
            task.advance()
    if strange:
        progress.note(
            f"{count_of(len(strange), 'set')} cannot be compared with Immich's vectors ({', '.join(strange[:10])}"
            f"{', ...' if len(strange) > 10 else ''}): the model {pack.version} is not on this machine. What is there stays as it is, "
            "and people in it may get sets of their own. To have them recognised, install the model, or name Immich's "
            "machine-learning service: [embed] immich_ml."
        )
    with registry.transaction():
        sets.see_number(registry, highest_number(workspace.facesets))


def _adopt_one(
    registry: Registry, existing: ExistingSet, pack: Pack, run_id: int, has_centroid: bool, progress: Progress, decoders: DecoderPool
) -> bool:
    """Whether it can be compared with this pack's vectors, or holds no face."""
    known = sets.find(registry, existing.name)
    recorded = sets.files(registry, existing.name) if known else []
    if known is None and (was := _renamed(registry, existing)) is not None:
        progress.note(f"{was} is called {existing.name} now: facesets accept {was}  takes that for right.")
        return True
    facts = file_facts(existing.path)
    if known and recorded != facts:
        # never taken for curation unasked: it may be a failing disk, and what was recorded is the only proof of it
        progress.note(_changed(existing.name, recorded, facts))
        if has_centroid:
            return True
        facts = recorded
    elif known and has_centroid:
        with registry.transaction():
            sets.set_files(registry, existing.name, facts)  # the same bytes, copied or touched
        return True
    if existing.left_aside:
        links = count_of(len(existing.left_aside), "image")
        progress.note(f"{existing.name}: {links} not read, as they lead out of the folder of sets.")
    centroid, readable, seen = _of_same_faces(registry, existing, pack.id), True, list[_Seen]()
    if centroid is None:
        try:
            seen = _main_faces(existing, facts, pack, decoders)
            centroid = _centroid(existing.name, seen)
        except PackUnavailable:
            if not from_database(pack.id):
                raise
            readable = has_centroid  # of a set made here that was thinned out: the one of all its faces will do
    if known is None and _is_taken_back(registry, existing, facts, pack.id, run_id, progress):
        return True
    with registry.transaction():
        if known is None:
            _add(registry, FaceSet(existing.name, existing.number, "adopted", pack.id), run_id)
        sets.set_files(registry, existing.name, facts)
        own_images.add(registry, existing.name, pack.id, seen if known is None or known.origin == "adopted" else ())
        if centroid is not None:
            sets.set_centroid(registry, pack.id, centroid)
        elif readable and not has_centroid:
            progress.note(f"{existing.name}: no face found in its images, so nothing can match it.")
    return readable


def _is_taken_back(
    registry: Registry, existing: ExistingSet, facts: Sequence[FileFact], pack: str, run_id: int, progress: Progress
) -> bool:
    """Whether it is a set of this workspace that its registry does not know, as after a backup from before it was brought back: it is
    known again then, with its faces, and the name that its number was given.
    """
    own = described_set(existing.path, existing.number, (fact.path for fact in facts))
    if own is None or own.missing or not own.members or any(faces.find(registry, key) is None for key, _, _ in own.members):
        return False
    name = existing.name
    with registry.transaction():
        _add(registry, FaceSet(name, existing.number, "made", own.pack), run_id)
        sets.set_files(registry, name, facts)
        sets.take_members(registry, name, own.members)
        sets.set_centroid(registry, own.pack, Centroid(name, own.centroid, len(own.members)))
        if own.pack != pack and (here := _of_same_faces(registry, existing, pack)) is not None:
            sets.set_centroid(registry, pack, here)
    n = len(own.members)
    progress.note(f"{name} was written here before, and is known again with {'its 1 face' if n == 1 else f'all its {n:,} faces'}.")
    return True


def _add(registry: Registry, faceset: FaceSet, run_id: int) -> None:
    """A set on disk is known, with what was decided of its number before: a registry of an earlier day may have come back."""
    stand = what_stands((made.id, made.act, made.payload) for made in decisions.select(registry) if made.stands)
    sets.add(registry, replace(faceset, person_name=stand.names.get(faceset.number)), run_id, written=True)
    person = people.of_set(registry, faceset.name)
    if person is not None and faceset.number in stand.ignored:
        people.set_standing(registry, person.id, "ignored")


def _changed(name: str, recorded: Sequence[FileFact], facts: Sequence[FileFact]) -> str:
    then, now = ({file.path: file.sha256 for file in files} for files in (recorded, facts))
    said = [
        f"{count:,} {'file' if count == 1 else 'files'} {what}"
        for count, what in (
            (len(then.keys() - now.keys()), "missing"),
            (len(now.keys() - then.keys()), "new"),
            (sum(then[path] != now[path] for path in then.keys() & now.keys()), "with other bytes than recorded"),
        )
        if count
    ]
    return f"{name}: {', '.join(said)}; facesets verify names them. If that is your work: facesets accept {name}"


def _say_missing(workspace: Workspace, registry: Registry, found: Collection[str], progress: Progress) -> None:
    for faceset in sets.select(registry, written=True):
        if faceset.name not in found and not (workspace.facesets / faceset.name).is_dir():
            progress.note(f"{faceset.name}: its folder is missing. If you removed or renamed it: facesets accept {faceset.name}")


def _renamed(registry: Registry, existing: ExistingSet) -> str | None:
    """The recorded set whose folder is missing and whose bytes this one has."""
    for faceset in sets.select(registry, written=True):
        if not (existing.path.parent / faceset.name).is_dir():
            recorded = sets.files(registry, faceset.name)
            if recorded and renamed_folder(existing.path.parent, recorded, set()) == existing.name:
                return faceset.name
    return None


def _of_same_faces(registry: Registry, existing: ExistingSet, pack: str) -> Centroid | None:
    """Where a set that another pack made here lies in the space of this one, which has been through the same photos: by the faces at
    the same places. None where fewer than half of its images are known that way.
    """
    here, vectors = {path.name for path in existing.images}, list[NDArray[np.float32]]()
    for number, (face_id, _, file) in enumerate(sets.member_files(registry, existing.name), 1):
        row = faces.find(registry, face_id) if Path(file or crop_name(number)).name in here else None
        if row is None or (row.face.pack == pack and not from_database(pack)):
            continue  # a pack that made the set itself looks at what is left of it
        if (vector := measurements.measured_by(registry, face_id, pack)) is not None:
            vectors.append(vector)
    if not vectors or 2 * len(vectors) < len(here):
        return None
    return Centroid(existing.name, centroid_of(np.stack(vectors)), len(vectors))


def _learn_images(registry: Registry, existing: ExistingSet, pack: Pack, decoders: DecoderPool) -> None:
    try:
        seen = _main_faces(existing, sets.files(registry, existing.name), pack, decoders)
    except PackUnavailable:
        if not from_database(pack.id):
            raise
        return  # Immich's own vectors are of no image
    with registry.transaction():
        own_images.add(registry, existing.name, pack.id, seen)


def _centroid(name: str, seen: Sequence[_Seen]) -> Centroid | None:
    """The mean over one face an image."""
    return Centroid(name, centroid_of(np.stack([vector for _, vector in seen])), len(seen)) if seen else None


def _main_faces(existing: ExistingSet, facts: Sequence[FileFact], pack: Pack, decoders: DecoderPool) -> list[_Seen]:
    """One face an image: the largest, as such images show one person."""
    hashes = {fact.path: fact.sha256 for fact in facts}
    named = ((path, hashes.get(name_of_file(path, existing.path), "")) for path in existing.images)
    return [(sha256, vector) for path, sha256 in named if (vector := _main_face(path, pack, decoders)) is not None]


def _main_face(path: Path, pack: Pack, decoders: DecoderPool) -> NDArray[np.float32] | None:
    try:
        found, vectors = find_faces(read_image(path, decoder=decoders), "", pack)
    except (UnreadableImage, OSError) as err:
        log.warning("%s: %s", path, err)
        return None
    if not found:
        return None
    largest: NDArray[np.float32] = vectors[max(range(len(found)), key=lambda i: (found[i].face_short, -i))]
    return largest
