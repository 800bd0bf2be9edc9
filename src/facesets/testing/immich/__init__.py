"""An Immich over real HTTP on loopback, as true as recordings of real servers allow, that misbehaves on command."""

from facesets.testing.immich import faults
from facesets.testing.immich.faults import Fault, Faults
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import (
    Album,
    ApiKey,
    Asset,
    Box,
    Edit,
    Exif,
    ExternalLibrary,
    Face,
    Partner,
    Person,
    Stack,
    Tag,
    User,
)
from facesets.testing.immich.server import Exchange, ImmichServer, immich_server

__all__ = [
    "Album",
    "ApiKey",
    "Asset",
    "Box",
    "Edit",
    "Exchange",
    "Exif",
    "ExternalLibrary",
    "Face",
    "Fault",
    "Faults",
    "ImmichServer",
    "Library",
    "Partner",
    "Person",
    "Stack",
    "Tag",
    "User",
    "faults",
    "immich_server",
]
