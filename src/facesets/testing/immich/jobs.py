"""What Immich's own jobs do to faces and people: look again, recognise again, begin anew, read metadata.

Seen on real servers of 2.7.2 and 3.1.0, whose jobs ran. In place of vectors there are identities: faces of one identity are near one
another, and near nobody else. The jobs run at once, where Immich queues them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from facesets.testing.immich import portraits
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import Asset, Detection, Face, Person, Tag

MIN_FACES = 3  # the server's default: fewer faces make no new person
_SAME = 0.5  # intersection over union from which a box that is found is one that is known


class JobFailed(Exception):
    """A job ended with an error, which Immich notes in its log only."""


def detect(library: Library, assets: Iterable[Asset], *, thumbnails: bool) -> list[str]:
    """Look at these photos again ("refresh"), then give new faces to whom they resemble. Gives the ids of photos where that failed.

    A face that is found again keeps id and person; one that is not goes; faces drawn by hand stay.
    """
    failed = []
    for asset in assets:
        try:
            _look(library, asset)
        except JobFailed:
            failed.append(asset.id)
    recognise(library, thumbnails=thumbnails)
    return failed


def detect_anew(library: Library, assets: Iterable[Asset], *, thumbnails: bool) -> None:
    """Throw away every face that was found by machine ("reset"), the deleted ones too, and look anew: new ids, new people."""
    rows = list(assets)
    for asset in rows:
        for face in [f for f in asset.faces if f.source_type == "machine-learning"]:
            asset.faces.remove(face)
            for person in tuple(library.people.values()):
                if person.face_id == face.id:
                    person.face_id = None
    detect(library, rows, thumbnails=thumbnails)


def _look(library: Library, asset: Asset) -> None:
    if asset.edits or not asset.has_preview:  # an edited photo has two previews, and the job gives up
        raise JobFailed(asset.id)
    alive = [f for f in asset.faces if f.source_type != "exif"]
    frame = next(((d.image_width, d.image_height) for d in asset.detections), None)
    # boxes are compared in the frame of the first row, the wrong way round: nothing matches where a face was drawn in another frame
    comparable = all((f.image_width, f.image_height) == frame for f in alive)
    unseen = {f.id for f in alive if f.source_type == "machine-learning"}
    found: list[Face] = []
    vectors: list[Face] = []
    for detection in asset.detections:
        match = next((f for f in asset.faces if comparable and _overlap(f, detection) > _SAME), None)
        if match is None:
            found.append(_face(library, detection))
        elif match.id in unseen:
            unseen.discard(match.id)
        elif match.has_vector:
            raise JobFailed(f"duplicate key: face_search_pkey of {match.id}")
        else:
            vectors.append(match)
            match.identity = detection.identity
    for face in vectors:
        face.has_vector = True
    gone = {f.id for f in asset.faces if f.id in unseen}
    asset.faces[:] = [f for f in asset.faces if f.id not in gone] + found
    for person in tuple(library.people.values()):
        if person.face_id in gone:
            person.face_id = None


def _face(library: Library, one: Detection) -> Face:
    return Face(
        library.new_id("face"), one.x1, one.y1, one.x2, one.y2, one.image_width, one.image_height,
        updated_at=library.now(), identity=one.identity,
    )  # fmt: skip


def _overlap(face: Face, one: Detection) -> float:
    width = min(face.x2, one.x2) - max(face.x1, one.x1)
    height = min(face.y2, one.y2) - max(face.y1, one.y1)
    inside = max(0, width) * max(0, height)
    both = (face.x2 - face.x1) * (face.y2 - face.y1) + (one.x2 - one.x1) * (one.y2 - one.y1) - inside
    return inside / both if both else 0.0


def recognise(library: Library, *, thumbnails: bool, anew: bool = False) -> None:
    """Give faces without a person to the person whose faces they resemble, or make an unnamed one of three faces and more.

    ``anew`` ("reset") takes every face that was found by machine from its person first; the people stay, if with nobody's faces.
    """
    for group in dict.fromkeys(u.cluster_group_id or u.id for u in library.users.values()):
        members = library.members_of(group) or frozenset({group})
        rows = [(a, f) for a in library.owned_by(members) if not a.is_trashed for f in a.faces if f.deleted_at is None]
        if anew:
            for _, face in rows:
                if face.source_type == "machine-learning":
                    face.person_id, face.updated_at = None, library.now()
        _assign(library, rows, thumbnails=thumbnails)


def _assign(library: Library, rows: list[tuple[Asset, Face]], *, thumbnails: bool) -> None:
    same_person: dict[str, list[tuple[Asset, Face]]] = {}
    for asset, face in rows:
        if face.identity and face.has_vector:
            same_person.setdefault(face.identity, []).append((asset, face))
    for group in same_person.values():
        people = Counter(f.person_id for _, f in group if f.person_id)
        nobodys = [(a, f) for a, f in group if f.person_id is None and f.source_type == "machine-learning"]
        if not nobodys or (not people and len(group) < MIN_FACES):
            continue
        person_id = people.most_common(1)[0][0] if people else library.new_id("person")
        for asset, face in nobodys:
            portraits.give(library, asset, face, _person(library, person_id, asset.owner_id), thumbnails=thumbnails)


def _person(library: Library, person_id: str, owner_id: str) -> Person:
    """The person of this id as this user has it, made where another user of the cluster group alone has it."""
    if known := library.person_of(person_id, owner_id):
        return known
    made = Person(person_id, owner_id, created_at=library.now())
    made.updated_at = made.created_at
    library.people[f"{owner_id}/{person_id}" if person_id in library.people else person_id] = made
    return made


def read_metadata(library: Library, asset: Asset) -> None:
    """Read the file and what lies beside it again: tags in the sidecar come back, also those that were deleted since."""
    for value in asset.sidecar_tags or ():
        tag = upsert_tag(library, asset.owner_id, value)
        if tag.id not in asset.tag_ids:
            asset.tag_ids.append(tag.id)


def write_sidecar(library: Library, asset: Asset) -> None:
    """After tagging: the tags go into an XMP file beside the original, whoever's it is; its owner gets them as tags too."""
    asset.sidecar_tags = [library.tags[t].value for t in asset.tag_ids if t in library.tags]
    asset.updated_at = library.now()
    read_metadata(library, asset)


def upsert_tag(library: Library, owner_id: str, value: str) -> Tag:
    """The tag of this path, made with its parents where it is not there."""
    parent: Tag | None = None
    parts = value.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        tag = next((t for t in tuple(library.tags.values()) if t.owner_id == owner_id and t.value == path), None)
        if tag is None:
            tag = Tag(library.new_id("tag"), owner_id, path, parent_id=parent.id if parent else None)
            tag.created_at = tag.updated_at = library.now()
            library.tags[tag.id] = tag
        parent = tag
    assert parent is not None
    return parent
