"""What stands on a testing server, as plain dataclasses: users, keys, people, photos with faces, albums, tags."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from facesets.testing.immich import pictures
from facesets.testing.immich.ids import EPOCH, make_thumbhash

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
    cluster_group_id: str = ""  # from 3.2 on: whose photos are clustered together with this user's; "" is a group of one


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
    face_id: str | None = None  # its featured face, which may since be somebody else's
    thumbnail: str | None = None  # the photo that its thumbnail was cut from, None where none was made
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
    identity: str | None = None  # faces of one identity are near one another to Immich's model; None is near nobody
    has_vector: bool = True  # False where Immich never measured it, as of faces drawn by hand


@dataclass(frozen=True)
class Detection:
    """What Immich's detector finds on a photo each time it looks: pixels of the preview ``image_width x image_height``."""

    x1: int
    y1: int
    x2: int
    y2: int
    image_width: int
    image_height: int
    identity: str | None = None


@dataclass(frozen=True)
class Box:
    """A face for ``Library.photo``: pixels of the upright original, or of ``frame`` where one is given.

    ``person`` is whom Immich gave it to, ``resembles`` whom its vector is near to where that is somebody else.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    person: Person | None = None
    frame: tuple[int, int] | None = None
    resembles: Person | None = None
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
    detections: list[Detection] = field(default_factory=list)
    sidecar_tags: list[str] | None = None  # in the XMP file that Immich wrote beside the original; None where it wrote none
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
        orientation = int(self.exif.orientation) if self.exif.orientation and self.exif.orientation.isdecimal() else None
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
