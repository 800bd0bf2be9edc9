"""A set's faces with all that a target may ask of them. Reads registry and folder of sets; an owner's own images are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from facesets.errors import FacesetsError, UnreadableImage
from facesets.export import existing_sets
from facesets.faces import find_faces
from facesets.records import Reason
from facesets.registry import AssetRow, FaceRow, Registry, decisions, exports, faces, gallery, originals, preembedded, sets
from facesets.targets.job import Outcome
from facesets.targets.pictures import Pictures
from facesets.targets.terms import Candidate
from facesets.thresholds import thresholds_of
from facesets.workspace import Workspace

_THEIRS = (Reason.MEMBER, Reason.RECOGNISED, Reason.NEAR_DUPLICATE)


def candidates(
    workspace: Workspace, registry: Registry, person: exports.Person, pictures: Pictures, outcome: Outcome, *, recognised: bool = False
) -> list[Candidate]:
    """The faces of a person's set, best first; with ``recognised`` those too that are known to be theirs and in no folder.

    Raises FacesetsError where the set's folder is not there.
    """
    folder = workspace.facesets / person.set_name
    if not folder.is_dir():
        raise FacesetsError(f"{folder} is not there. Was the set renamed or removed? facesets verify  says what is missing")
    members = exports.files(registry, person.set_name)
    found = [
        *_measured(workspace, registry, person, members, recognised and bool(members)),
        *_own_images(workspace, registry, person, pictures, outcome, beside=bool(members)),
    ]
    return sorted(found, key=lambda c: (-c.quality, c.face.face_id))


def _measured(
    workspace: Workspace, registry: Registry, person: exports.Person, members: list[tuple[str, float, str | None]], recognised: bool
) -> Iterator[Candidate]:
    rows = {row.face.face_id: row for row in faces.select(registry, set_name=person.set_name, pack=person.pack)}
    there = {key for key, _, _ in members}
    known = {key: row for key in there if (row := rows.get(key) or faces.find(registry, key))}
    changed = _in_other_bytes(registry, known, person.pack)
    if recognised:
        now = there | {row.face.face_id for row, _ in changed.values()}
        more = [row for key, row in rows.items() if key not in now and row.reason in _THEIRS]
        members = members + [(row.face.face_id, row.distance or 0.0, None) for row in more]
        known |= {row.face.face_id: row for row in more}
    for key, distance, file in members:
        if (member := known.get(key)) is None:
            continue
        seen, asset = changed.get(key) or (member, preembedded.photo(registry, member.face.sha256))
        face = replace(member.face, sha256=seen.face.sha256, box=seen.face.box, landmarks=seen.face.landmarks)
        crop = workspace.facesets / person.set_name / file if file else None
        beside = faces.select(registry, sha256=face.sha256, pack=person.pack)
        others = tuple(row.face.box for row in beside if row.face.face_id != seen.face.face_id)
        yield Candidate(face, member.vector, distance, crop, asset, asset.asset.taken_at if asset else None, others)


def _in_other_bytes(registry: Registry, known: Mapping[str, FaceRow], pack: str) -> dict[str, tuple[FaceRow, AssetRow]]:
    """Faces (ids) of photos that no asset shows any more, since a tag was written into the file, say: the same face in the bytes that
    it has now, and the asset; where these have no such face, the face as it was, of which no picture can be had.
    """
    lost = [key for key, row in known.items() if preembedded.photo(registry, row.face.sha256) is None]
    if not lost:
        return {}
    assets = originals.changed_asset_by_key(registry)
    found = {key: (known[key], asset) for key in lost if (asset := assets.get(known[key].face.sha256))}
    lost.sort()
    same = decisions.of_content(registry, decisions.content_keys(registry, lost), pack, thresholds_of(pack).match)
    for at, keys in same.items():
        for row in filter(None, (faces.find(registry, key) for key in keys)):
            if (asset := preembedded.photo(registry, row.face.sha256)) is not None:
                found[lost[at]] = (row, asset)
    return found


def _own_images(
    workspace: Workspace, registry: Registry, person: exports.Person, pictures: Pictures, outcome: Outcome, *, beside: bool
) -> Iterator[Candidate]:
    """Of each image of the owner's own one face, the largest: such images show one person. ``beside`` measured faces it takes the pack
    of these to compare them with.
    """
    own = dict(gallery.own_images(registry, [person.id]).get(person.id, ()))
    recorded = {file.path for file in sets.files(registry, person.set_name)}
    folder = workspace.facesets / person.set_name
    for path in next((one.images for one in existing_sets(workspace.facesets) if one.name == person.set_name), ()):
        name = path.relative_to(folder).as_posix()
        if name in recorded and name not in own:
            continue
        if name in own and beside and pictures.pack.id != person.pack:
            outcome.left_out[path.name] = f"the set's faces are ranked by {person.pack}, which is not at hand to measure it"
            continue
        try:
            photo = pictures.decode(path)
        except (UnreadableImage, OSError) as err:
            outcome.left_out[path.name] = f"cannot be read ({err})"
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if own.get(name) != sha256:  # nor was it on a contact sheet that somebody looked at
            outcome.left_out[path.name] = "is new in the folder, and no run has seen it yet: facesets run"
            continue
        found, vectors = find_faces(photo, sha256, pictures.pack)
        if not found:
            outcome.left_out[path.name] = "no face is found in it"
            continue
        best = max(range(len(found)), key=lambda i: (found[i].face_short, -i))
        others = tuple(face.box for i, face in enumerate(found) if i != best)
        yield Candidate(found[best], np.asarray(vectors[best], np.float32), 0.0, path, None, None, others)
