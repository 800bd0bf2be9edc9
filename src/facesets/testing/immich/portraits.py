"""Whose a face is, and which face stands for a person: what a change of one does to the other, as Immich does it."""

from __future__ import annotations

from facesets.testing.immich.library import Library
from facesets.testing.immich.records import Asset, Face, Person


def feature(library: Library, person: Person, asset: Asset, face: Face, *, thumbnails: bool) -> None:
    """Take this face as the person's featured one and cut the thumbnail anew; ``thumbnails`` False: nobody makes any."""
    person.face_id = face.id
    if thumbnails and asset.has_preview:
        person.thumbnail = asset.id
    person.updated_at = library.now()


def feature_another(library: Library, person: Person, *, thumbnails: bool) -> None:
    """Choose another featured face; a person who has none left keeps the old one, somebody else's by now, and the thumbnail."""
    left = ((a, f) for a, f in library.faces_of(person.id) if a.owner_id == person.owner_id and f.is_visible and f.deleted_at is None)
    if found := next(left, None):
        feature(library, person, *found, thumbnails=thumbnails)


def give(library: Library, asset: Asset, face: Face, person: Person, *, thumbnails: bool) -> None:
    """Give a face to a person, and both people a featured face where that is needed."""
    before = library.person_of(face.person_id, person.owner_id)
    face.person_id, face.updated_at = person.id, library.now()
    if person.face_id is None:
        feature(library, person, asset, face, thumbnails=thumbnails)
    if before and before is not person and before.face_id == face.id:
        feature_another(library, before, thumbnails=thumbnails)


def remove(library: Library, person: Person) -> None:
    """The person goes; the faces of the same owner stay, nobody's."""
    for asset, face in library.faces_of(person.id):
        if asset.owner_id == person.owner_id or library.person_of(person.id, asset.owner_id) is None:
            face.person_id, face.updated_at = None, library.now()
    for key in [k for k, p in library.people.items() if p is person]:
        del library.people[key]


def merge(library: Library, heir: Person, other: Person) -> None:
    """Move the faces of ``other``, who goes, to ``heir``; only name and birth date are taken over, where there were none.

    The featured face is not: an heir who had none stays without one and without a thumbnail.
    """
    for asset, face in library.faces_of(other.id):
        if asset.owner_id == heir.owner_id or library.person_of(other.id, asset.owner_id) is None:
            face.person_id, face.updated_at = heir.id, library.now()
    if (heir.name, heir.birth_date) != (names := (heir.name or other.name, heir.birth_date or other.birth_date)):
        heir.name, heir.birth_date = names
        heir.updated_at = library.now()
    remove(library, other)
