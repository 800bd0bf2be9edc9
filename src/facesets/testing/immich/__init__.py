"""Testing room: an Immich over real HTTP on loopback, as true as recordings of real servers allow, that misbehaves on command."""

from . import faults
from .faults import Fault, Faults
from .library import Album, ApiKey, Asset, Box, Edit, ExternalLibrary, Face, Library, Partner, Person, Stack, Tag, User
from .server import Exchange, ImmichServer, immich_server

__all__ = [
    "Album",
    "ApiKey",
    "Asset",
    "Box",
    "Edit",
    "Exchange",
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
