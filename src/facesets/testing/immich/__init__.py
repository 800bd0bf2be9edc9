"""Testing room: an Immich over real HTTP on loopback, as true as recordings of real servers allow, that misbehaves on command."""

from . import faults
from .faults import Fault, Faults
from .library import Library
from .records import Album, ApiKey, Asset, Box, Edit, Exif, ExternalLibrary, Face, Partner, Person, Stack, Tag, User
from .server import Exchange, ImmichServer, immich_server
from .synthetic import SyntheticLibrary

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
    "SyntheticLibrary",
    "Tag",
    "User",
    "faults",
    "immich_server",
]
