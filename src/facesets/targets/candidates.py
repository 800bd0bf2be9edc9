"""A set's faces with all that a target may ask of them. Reads registry and folder of sets; an owner's own images are looked at."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from facesets.errors import FacesetsError, UnreadableImage
from facesets.export import existing_sets
from facesets.faces import find_faces
from facesets.records import Box, Reason
from facesets.registry import Registry, exports, faces, gallery, preembedded, sets
from facesets.targets.job import Outcome
from facesets.targets.pictures import Pictures
from facesets.targets.terms import Candidate
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
    if recognised:
        there = {key for key, _, _ in members}
        more = [row for key, row in rows.items() if key not in there and row.reason in _THEIRS]
        members = members + [(row.face.face_id, row.distance or 0.0, None) for row in more]
    boxes: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    for sha256 in sorted({rows[key].face.sha256 for key, _, _ in members if key in rows}):
        for row in faces.select(registry, sha256=sha256, pack=person.pack):
            boxes[sha256].append((row.face.face_id, row.face.box))
    for key, distance, file in members:
        member = rows.get(key) or faces.find(registry, key)
        if member is None:
            continue
        asset = preembedded.photo(registry, member.face.sha256)
        crop = workspace.facesets / person.set_name / file if file else None
        others = tuple(box for face_id, box in boxes[member.face.sha256] if face_id != key)
        yield Candidate(member.face, member.vector, distance, crop, asset, asset.asset.taken_at if asset else None, others)


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
