"""A library for the testing server, with builders that derive all that a test does not say.

Ids, times, paths and keys follow from the library's seed and the order of calls. A running server sees every change at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from facesets.testing.immich import pictures
from facesets.testing.immich.ids import EPOCH, as_time, hours, make_secret, make_thumbhash, make_uuid
from facesets.testing.immich.records import (
    SEEDED,
    Album,
    ApiKey,
    Asset,
    Box,
    Detection,
    Edit,
    Exif,
    ExternalLibrary,
    Face,
    Media,
    Partner,
    Person,
    Stack,
    Tag,
    User,
    after_edit,
    read_media,
)


class Library:
    """Everything a testing server shows. Build with ``user``, ``person``, ``photo`` and the rest; change it while it is served."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.users: dict[str, User] = {}
        self.keys: dict[str, ApiKey] = {}  # by secret
        self.people: dict[str, Person] = {}
        self.assets: dict[str, Asset] = {}
        self.albums: dict[str, Album] = {}
        self.libraries: dict[str, ExternalLibrary] = {}
        self.tags: dict[str, Tag] = {}
        self.stacks: dict[str, Stack] = {}
        self.partners: list[Partner] = []
        self.backups: dict[str, bytes] = {}  # of the database, by file name
        self.machine_learning = True  # 2.x makes no thumbnails of people without
        self._made = 0

    def _uuid(self, kind: str, *parts: object) -> str:
        self._made += 1
        return make_uuid(self.seed, kind, self._made, *parts)

    def _tick(self) -> datetime:
        return SEEDED + timedelta(seconds=self._made, microseconds=self._made * 1009 % 1_000_000)

    def user(self, name: str, *, id: str | None = None, email: str | None = None, is_admin: bool | None = None) -> User:  # noqa: A002
        """An account with one key that may do all; the first user is the admin, as on a new server."""
        first = not self.users
        user = User(
            id=id or self._uuid("user", name),
            name=name,
            email=email or f"{make_uuid(self.seed, name)[:8] if not name.isascii() else name.lower().replace(' ', '.')}@example.test",
            is_admin=first if is_admin is None else is_admin,
            created_at=self._tick(),
            storage_label="admin" if first else None,
        )
        user.updated_at = user.created_at
        user.cluster_group_id = make_uuid(self.seed, "cluster group", user.id)
        self.users[user.id] = user
        self.key(user)
        return user

    def key(self, owner: User, permissions: Sequence[str] = ("all",), *, secret: str | None = None, name: str | None = None) -> ApiKey:
        """A further API key of ``owner`` with these permissions only."""
        key_id = self._uuid("key", owner.id)
        key = ApiKey(
            secret=secret or make_secret(self.seed, key_id),
            owner_id=owner.id,
            id=key_id,
            name=name or f"key {sum(k.owner_id == owner.id for k in tuple(self.keys.values())) + 1}",
            permissions=tuple(permissions),
            created_at=self._tick(),
        )
        key.updated_at = key.created_at
        self.keys[key.secret] = key
        return key

    def person(self, owner: User, name: str = "", **fields: object) -> Person:
        """A person of ``owner``; ``fields`` are further fields of :class:`Person`."""
        person = Person(id=self._uuid("person", owner.id), owner_id=owner.id, name=name, created_at=self._tick())
        person.updated_at = person.created_at
        for key, value in fields.items():
            _set(person, key, value)
        self.people[person.id] = person
        return person

    def photo(
        self,
        owner: User,
        data: Media,
        *,
        file_name: str | None = None,
        taken_at: str | datetime | None = None,
        local_offset_hours: float = 0,
        faces: Iterable[Box] = (),
        original_path: str | None = None,
        library: ExternalLibrary | None = None,
        id: str | None = None,  # noqa: A002
        **fields: object,
    ) -> Asset:
        """Add a photo (or, by its name's ending, a video).

        Size, orientation and checksum are read off the bytes, ``taken_at`` (ISO 8601 or UTC) off the EXIF where not given, and
        boxes in original pixels are put into the preview's frame as Immich's detector would. ``fields``: more of :class:`Asset`.
        """
        content = read_media(data)
        number = len(self.assets) + 1
        name = f"photo_{number:04d}.jpg" if file_name is None else file_name
        mime = pictures.mime_type(name)
        found = pictures.measure(content) if mime.startswith("image/") else pictures.Measured()
        asset_id = id or self._uuid("asset", owner.id, name)
        path = original_path or self._stored_path(owner, asset_id, name, library)
        taken = as_time(taken_at, found.taken_at or EPOCH + hours(number))
        readable = found.width is not None
        asset = Asset(
            id=asset_id,
            owner_id=owner.id,
            file_name=name,
            original_path=path,
            data=data,
            size=len(content),
            sha1=hashlib.sha1(f"path:{path}".encode() if library else content, usedforsecurity=False).digest(),
            type="VIDEO" if mime.startswith("video/") else "IMAGE",
            mime_type=mime,
            exif=Exif(
                width=found.width,
                height=found.height,
                orientation=None if found.orientation is None else str(found.orientation),
                date_time_original=taken,
                modify_date=taken,
                make=found.make,
                model=found.model,
            ),
            file_created_at=taken,
            file_modified_at=taken,
            local_time=taken + hours(local_offset_hours),
            created_at=self._tick(),
            library_id=library.id if library else None,
            thumbhash=make_thumbhash(asset_id) if readable else None,
            has_preview=readable,
            device_asset_id=name if library else f"{name}-{number}",
            device_id="Library Import" if library else "test",
        )
        asset.updated_at = asset.created_at
        for key, value in fields.items():
            _set(asset, key, value)
        asset.faces = [self._face(asset, box) for box in faces]
        self.assets[asset.id] = asset
        return asset

    def _face(self, asset: Asset, box: Box) -> Face:
        size = asset.size_upright or (0, 0)
        frame, scale = box.frame, 1.0
        if frame is None:
            frame = pictures.fit_short(*size, pictures.PREVIEW_SHORT) if min(size) else (0, 0)
            scale = frame[0] / size[0] if size[0] else 1.0
        face = Face(
            id=self._uuid("face", asset.id),
            x1=round(box.x1 * scale),
            y1=round(box.y1 * scale),
            x2=round(box.x2 * scale),
            y2=round(box.y2 * scale),
            image_width=frame[0],
            image_height=frame[1],
            person_id=box.person.id if box.person else None,
            source_type=box.source_type,
            is_visible=box.is_visible,
            updated_at=self._tick(),
            identity=who.id if (who := box.resembles or box.person) else None,
            has_vector=box.source_type == "machine-learning",
        )
        if face.has_vector:
            asset.detections.append(Detection(face.x1, face.y1, face.x2, face.y2, face.image_width, face.image_height, face.identity))
        if box.person and box.person.face_id is None:
            box.person.face_id, box.person.thumbnail = face.id, asset.id
        return face

    def face(self, asset: Asset, box: Box) -> Face:
        """Add one more face to a photo; as on a real server the photo's ``updated_at`` stays."""
        face = self._face(asset, box)
        asset.faces.append(face)
        return face

    @staticmethod
    def _stored_path(owner: User, asset_id: str, name: str, library: ExternalLibrary | None) -> str:
        if library:
            return f"{library.import_paths[0]}/{name}"
        ending = "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""
        return f"/data/upload/{owner.id}/{asset_id[:2]}/{asset_id[2:4]}/{asset_id}{ending}"

    def external(self, owner: User, name: str = "External", *, import_paths: Sequence[str] = ("/mnt/media",)) -> ExternalLibrary:
        """An external library of ``owner``; photos in it carry path checksums."""
        made = ExternalLibrary(self._uuid("library"), owner.id, name, tuple(import_paths), created_at=self._tick())
        self.libraries[made.id] = made
        return made

    def partner(self, sharer: User, viewer: User, *, in_timeline: bool = False) -> Partner:
        """``sharer`` shares its timeline with ``viewer``."""
        made = Partner(sharer.id, viewer.id, in_timeline)
        self.partners.append(made)
        return made

    def album(self, owner: User, name: str, assets: Iterable[Asset], *, shared_with: Iterable[User] = ()) -> Album:
        """An album, perhaps shared."""
        made = Album(
            self._uuid("album"), owner.id, name, [a.id for a in assets], {u.id: "viewer" for u in shared_with}, created_at=self._tick()
        )
        made.updated_at = made.created_at
        self.albums[made.id] = made
        return made

    def stack(self, primary: Asset, *others: Asset) -> Stack:
        """Show these assets as one, ``primary`` on top."""
        made = Stack(self._uuid("stack"), primary.owner_id, primary.id, [primary.id, *(a.id for a in others)])
        for asset in (primary, *others):
            asset.stack_id = made.id
        self.stacks[made.id] = made
        return made

    def tag(self, owner: User, value: str, assets: Iterable[Asset] = ()) -> Tag:
        """A tag, put on these assets."""
        made = Tag(self._uuid("tag"), owner.id, value, created_at=self._tick())
        self.tags[made.id] = made
        for asset in assets:
            asset.tag_ids.append(made.id)
        return made

    def duplicates(self, *assets: Asset) -> str:
        """Mark these assets as duplicates of each other, as Immich's similarity search would; gives the group's id."""
        group = self._uuid("duplicate")
        for asset in assets:
            asset.duplicate_id = group
        return group

    def edit(self, asset: Asset, action: Literal["crop", "rotate", "mirror"], **parameters: float | str) -> Edit:
        """Add a step to the photo's non-destructive edit; a crop hides the faces that it mostly cuts off."""
        made = Edit(self._uuid("edit"), action, dict(parameters))
        asset.edits.append(made)
        asset.updated_at = self.now()
        after_edit(asset)
        return made

    def key_for(self, user: User | str) -> str:
        """The secret of the first key of ``user`` (the user, its id or its name)."""
        for key in tuple(self.keys.values()):
            owner = self.users[key.owner_id]
            if owner is user or user in (owner.id, owner.name):
                return key.secret
        raise KeyError(f"no API key of {user!r} in this library")

    def now(self) -> datetime:
        """The library's own clock: it goes on with every change, and with nothing else."""
        self._made += 1
        return self._tick()

    def new_id(self, kind: str) -> str:
        """The next id of this library."""
        return self._uuid(kind)

    # what the routes ask; a library that makes its photos when they are asked for overrides these

    def asset(self, asset_id: str) -> Asset | None:
        """The asset of this id, whoever owns it."""
        return self.assets.get(asset_id)

    def owned_by(self, owner_ids: frozenset[str]) -> Iterable[Asset]:
        """All assets of these users, in the order they were added."""
        return [a for a in tuple(self.assets.values()) if a.owner_id in owner_ids]

    def rows(
        self, owner_ids: frozenset[str], taken: tuple[datetime | None, datetime | None] = (None, None), *, descending: bool = True
    ) -> Sequence[Asset] | None:
        """A lazy library's photos in order of time, plain as they are; None here, where all can be looked through."""
        del owner_ids, taken, descending
        return None

    def usage(self, user_id: str) -> int:
        """Bytes of a user's own uploads."""
        return sum(a.size for a in self.owned_by(frozenset({user_id})) if a.library_id is None)

    def face_counts(self, user_id: str) -> dict[str, int]:
        """How many faces each person of a user has in the timeline."""
        counts: dict[str, int] = {}
        for asset in self.owned_by(frozenset({user_id})):
            for face in asset.faces if asset.visibility == "timeline" and not asset.is_trashed else ():
                if face.person_id and face.is_visible and face.deleted_at is None:
                    counts[face.person_id] = counts.get(face.person_id, 0) + 1
        return counts

    def person_of(self, person_id: str | None, owner_id: str) -> Person | None:
        """The person of this id as this user has it: in a cluster group several users may have one of the same id."""
        if person_id is None:
            return None
        shared = self.people.get(f"{owner_id}/{person_id}")
        found = shared or self.people.get(person_id)
        return found if found and found.owner_id == owner_id else None

    def members_of(self, cluster_group_id: str) -> frozenset[str]:
        """Ids of the users whose photos are clustered together."""
        return frozenset(u.id for u in tuple(self.users.values()) if u.cluster_group_id == cluster_group_id)

    def partners_of(self, viewer_id: str, *, in_timeline: bool = False) -> frozenset[str]:
        """Ids of the users who share with ``viewer_id``."""
        return frozenset(p.sharer_id for p in self.partners if p.viewer_id == viewer_id and (p.in_timeline or not in_timeline))

    def faces_of(self, person_id: str) -> list[tuple[Asset, Face]]:
        """Where a person stands, whoever's photos those are, in the order they were added."""
        return [(a, f) for a in self.owned_by(frozenset(self.users)) for f in a.faces if f.person_id == person_id]


def _set(record: object, name: str, value: object) -> None:
    if not hasattr(record, name):
        raise TypeError(f"{type(record).__name__} has no field {name!r}")
    setattr(record, name, value)
