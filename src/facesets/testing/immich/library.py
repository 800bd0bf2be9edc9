"""Testing room: what stands on the testing server, as plain dataclasses, and builders that derive all a test does not say.

Ids, times, paths and keys follow from the library's seed and the order of calls. A running server sees every change at once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from . import pictures
from .ids import EPOCH, as_time, hours, make_secret, make_thumbhash, make_uuid

Media = bytes | Path | Callable[[], bytes]
Visibility = Literal["timeline", "archive", "hidden", "locked"]
SEEDED = datetime.fromisoformat("2024-01-01T00:00:00+00:00")  # when the server's rows were made


@dataclass
class User:
    """An account. ``password`` is for the login that opens the sync stream."""

    id: str
    name: str
    email: str
    is_admin: bool = False
    password: str = "password"  # noqa: S105  nobody's: the server exists in tests only
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED
    avatar_color: str = "primary"
    storage_label: str | None = None


@dataclass
class ApiKey:
    """A key of ``owner_id``; ``permissions`` are Immich's names, ``all`` grants every one."""

    secret: str
    owner_id: str
    id: str
    name: str
    permissions: tuple[str, ...] = ("all",)
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED


@dataclass
class Person:
    """A person as Immich knows one: belongs to one user; an empty name is an unnamed cluster."""

    id: str
    owner_id: str
    name: str = ""
    birth_date: str | None = None
    is_hidden: bool = False
    is_favorite: bool = False
    color: str | None = None
    face_id: str | None = None  # its featured face
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED


@dataclass
class Face:
    """A face row: whole pixels in the upright frame of ``image_width x image_height`` (usually the preview)."""

    id: str
    x1: int
    y1: int
    x2: int
    y2: int
    image_width: int
    image_height: int
    person_id: str | None = None
    source_type: Literal["machine-learning", "manual", "exif"] = "machine-learning"
    is_visible: bool = True
    deleted_at: datetime | None = None
    updated_at: datetime = SEEDED


@dataclass(frozen=True)
class Box:
    """A face for ``Library.photo``: pixels of the upright original, or of ``frame`` where one is given."""

    x1: float
    y1: float
    x2: float
    y2: float
    person: Person | None = None
    frame: tuple[int, int] | None = None
    source_type: Literal["machine-learning", "manual", "exif"] = "machine-learning"
    is_visible: bool = True


@dataclass
class Edit:
    """One step of a non-destructive edit: crop {x, y, width, height}, rotate {angle}, mirror {axis}."""

    id: str
    action: Literal["crop", "rotate", "mirror"]
    parameters: dict[str, float | str]


@dataclass
class Exif:
    """What Immich read off the file. ``width`` and ``height`` are raw: not turned by ``orientation``."""

    width: int | None = None
    height: int | None = None
    orientation: str | None = None
    date_time_original: datetime | None = None
    modify_date: datetime | None = None
    time_zone: str | None = None
    make: str | None = None
    model: str | None = None
    description: str = ""
    more: dict[str, object] = field(default_factory=dict)  # further exifInfo fields, by their wire names


@dataclass
class Asset:
    """A photo or video. ``sha1`` is the bytes' own for uploads, of ``path:<originalPath>`` in external libraries."""

    id: str
    owner_id: str
    file_name: str
    original_path: str
    data: Media
    size: int
    sha1: bytes
    type: Literal["IMAGE", "VIDEO", "AUDIO", "OTHER"] = "IMAGE"
    mime_type: str = "image/jpeg"
    exif: Exif = field(default_factory=Exif)
    file_created_at: datetime = EPOCH
    file_modified_at: datetime = EPOCH
    local_time: datetime = EPOCH
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED
    visibility: Visibility = "timeline"
    is_favorite: bool = False
    deleted_at: datetime | None = None
    is_offline: bool = False
    library_id: str | None = None
    live_photo_video_id: str | None = None
    stack_id: str | None = None
    duplicate_id: str | None = None
    duration_ms: int | None = None
    thumbhash: str | None = None
    has_preview: bool = True
    has_metadata: bool = True
    preview: Media | None = None  # given bytes instead of a rendered preview
    faces: list[Face] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    tag_ids: list[str] = field(default_factory=list)
    device_asset_id: str = ""
    device_id: str = "test"

    @property
    def is_trashed(self) -> bool:
        """In the trash; an offline file is there too."""
        return self.deleted_at is not None

    @property
    def checksum(self) -> str:
        """Base64, as the wire carries it."""
        return base64.b64encode(self.sha1).decode()

    @property
    def size_upright(self) -> tuple[int, int] | None:
        """Width and height of the original as displayed; None where Immich could not read the file."""
        if not self.exif.width or not self.exif.height:
            return None
        orientation = int(self.exif.orientation) if self.exif.orientation and self.exif.orientation.isdigit() else None
        return pictures.oriented(self.exif.width, self.exif.height, orientation)

    def read(self) -> bytes:
        """The original's bytes."""
        return read_media(self.data)


@dataclass
class Partner:
    """``sharer_id`` shows its timeline to ``viewer_id``; ``in_timeline`` mixes it into the viewer's own."""

    sharer_id: str
    viewer_id: str
    in_timeline: bool = False


@dataclass
class Album:
    """An album of ``owner_id``, shared with ``shared_with`` (user id -> role)."""

    id: str
    owner_id: str
    name: str
    asset_ids: list[str] = field(default_factory=list)
    shared_with: dict[str, str] = field(default_factory=dict)
    description: str = ""
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED


@dataclass
class ExternalLibrary:
    """A folder on the server that Immich indexes in place."""

    id: str
    owner_id: str
    name: str
    import_paths: tuple[str, ...] = ("/mnt/media",)
    exclusion_patterns: tuple[str, ...] = ("**/@eaDir/**", "**/._*", "**/#recycle/**")
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED
    refreshed_at: datetime | None = SEEDED


@dataclass
class Tag:
    """A tag of one user; ``value`` is its path (``a/b``)."""

    id: str
    owner_id: str
    value: str
    color: str | None = None
    parent_id: str | None = None
    created_at: datetime = SEEDED
    updated_at: datetime = SEEDED


@dataclass
class Stack:
    """Assets shown as one."""

    id: str
    owner_id: str
    primary_id: str
    asset_ids: list[str]


def read_media(media: Media) -> bytes:
    """The bytes behind a :data:`Media`."""
    if isinstance(media, bytes):
        return media
    return media.read_bytes() if isinstance(media, Path) else media()


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
        self.users[user.id] = user
        self.key(user)
        return user

    def key(
        self, owner: User, permissions: Sequence[str] = ("all",), *, secret: str | None = None, name: str | None = None
    ) -> ApiKey:
        """A further API key of ``owner`` with these permissions only."""
        key_id = self._uuid("key", owner.id)
        key = ApiKey(
            secret=secret or make_secret(self.seed, key_id),
            owner_id=owner.id,
            id=key_id,
            name=name or f"key {sum(k.owner_id == owner.id for k in self.keys.values()) + 1}",
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
        )
        if box.person and box.person.face_id is None:
            box.person.face_id = face.id
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
        for key in self.keys.values():
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

    # what the routes ask; a lazily answered library overrides these

    def asset(self, asset_id: str) -> Asset | None:
        """The asset of this id, whoever owns it."""
        return self.assets.get(asset_id)

    def owned_by(self, owner_ids: frozenset[str]) -> Iterable[Asset]:
        """All assets of these users, in the order they were added."""
        return [a for a in tuple(self.assets.values()) if a.owner_id in owner_ids]

    def partners_of(self, viewer_id: str, *, in_timeline: bool = False) -> frozenset[str]:
        """Ids of the users who share with ``viewer_id``."""
        return frozenset(p.sharer_id for p in self.partners if p.viewer_id == viewer_id and (p.in_timeline or not in_timeline))

    def faces_of(self, person_id: str) -> list[tuple[Asset, Face]]:
        """Where a person stands, in the order the photos were added."""
        owner = self.people[person_id].owner_id
        return [(a, f) for a in self.owned_by(frozenset({owner})) for f in a.faces if f.person_id == person_id]


def after_edit(asset: Asset) -> None:
    """What Immich's job does after an edit: a new thumbhash, and faces visible where at least half of the box is inside the crop."""
    if asset.thumbhash:
        asset.thumbhash = make_thumbhash(asset.id, *((e.action, sorted(e.parameters.items())) for e in asset.edits))
    full = asset.size_upright
    crop = next((e.parameters for e in asset.edits if e.action == "crop"), None)
    for face in asset.faces if full else ():
        assert full is not None
        if crop is None or not face.image_width:
            face.is_visible = True
            continue
        scale = full[0] / face.image_width
        left, top = float(crop["x"]) / scale, float(crop["y"]) / scale
        right, bottom = left + float(crop["width"]) / scale, top + float(crop["height"]) / scale
        inside = max(0.0, min(face.x2, right) - max(face.x1, left)) * max(0.0, min(face.y2, bottom) - max(face.y1, top))
        face.is_visible = inside >= 0.5 * max(1, (face.x2 - face.x1) * (face.y2 - face.y1))


def _set(record: object, name: str, value: object) -> None:
    if not hasattr(record, name):
        raise TypeError(f"{type(record).__name__} has no field {name!r}")
    setattr(record, name, value)
