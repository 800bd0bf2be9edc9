"""What a key needs for each thing that a publish writes, and for taking it back, by Immich's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

#: What every publish reads, a dry run included.
READING = ("user.read", "asset.read", "face.read", "person.read", "person.statistics")
#: What is written -> the permissions that it needs beyond these.
WRITING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "names": ("person.update",),
        "faces": ("face.update", "person.create", "person.update"),
        "add_faces": ("face.create", "person.create", "person.update"),
        "albums": ("album.read", "album.create", "album.update", "albumAsset.create", "albumAsset.delete"),
        "tags": ("tag.read", "tag.create", "tag.asset"),
    }
)
#: The same -> what an undo of it needs beyond those.
UNDOING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "names": (),
        "faces": ("person.delete",),
        "add_faces": ("face.delete", "person.delete"),
        "albums": ("album.delete",),
        "tags": ("tag.delete",),
    }
)


def reading(what: Iterable[str]) -> tuple[str, ...]:
    """What a dry run of these needs."""
    return (*READING, *(name for each in what for name in WRITING[each] if name in ("album.read", "tag.read")))


def needed(what: Iterable[str], *, undo: bool = False) -> tuple[str, ...]:
    """All that a key needs to publish these (keys of :data:`WRITING`); ``undo``: and to take it back."""
    tables = (WRITING, UNDOING) if undo else (WRITING,)
    wanted = list(what)
    return tuple(dict.fromkeys([*READING, *(name for table in tables for each in wanted for name in table[each])]))
