"""What tests, the demo and other people's tests use. Stands beside the other rooms and imports none of them.

>>> from facesets.testing import Box, Faults, Library, faults, immich_server
"""

from facesets.testing.immich import (
    Album,
    ApiKey,
    Asset,
    Box,
    Edit,
    Exchange,
    Exif,
    ExternalLibrary,
    Face,
    Fault,
    Faults,
    ImmichServer,
    Library,
    Partner,
    Person,
    Stack,
    Tag,
    User,
    faults,
    immich_server,
)

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
