"""The doctor: what each thing that facesets does with an Immich needs of an API key, by Immich's names. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from facesets import publish
from facesets.immich import backups
from facesets.immich import server as api
from facesets.settings import Settings


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature by its ``name`` (what ``--for`` takes) and in words. ``by_default``: a run makes use of it where the key lets it.
    ``for_admins``: with no other's key, whatever it may do.
    """

    name: str
    what: str
    needs: tuple[str, ...]
    by_default: bool = False
    for_admins: bool = False


FEATURES = (
    Feature("run", "run and stage", api.PERMISSIONS, by_default=True),
    Feature("previews", "previews (a second look, and photos that cannot be decoded here)", ("asset.view",), by_default=True),
    Feature("edits", "faces of edited photos on 3.x", ("asset.edit.get",), by_default=True),
    Feature("names", "names of people", ("person.read",), by_default=True),
    Feature("proof", "proof that the listing is whole, a second opinion", ("asset.statistics",), by_default=True),
    Feature("dump", "Immich's nightly dump from the server (an administrator's key)", backups.PERMISSIONS, for_admins=True),
    *(
        Feature(f"publish-{name}", f"publishing {what}", publish.needed([kind]))
        for name, kind, what in (
            ("names", "names", "names"),
            ("faces", "faces", "whose a face is"),
            ("new-faces", "add_faces", "faces that Immich missed"),
            ("albums", "albums", "albums"),
            ("tags", "tags", "tags"),
        )
    ),
    *(
        Feature(f"undo-{name}", f"taking back published {name}", publish.needed(kinds, undo=True))
        for name, kinds in (("faces", ["names", "faces", "add_faces"]), ("albums", ["albums"]), ("tags", ["tags"]))
    ),
)


_OF_LISTING = ("edits", "names", "proof")  # which a database does without the key


def asked_for(settings: Settings, named: Collection[str]) -> list[Feature]:
    """What a run does with the settings, and the features with these names."""
    if settings.immich_db.url:
        found = [one for one in FEATURES if (one.by_default and one.name not in _OF_LISTING) or one.name in named]
        return [replace(one, needs=api.BESIDE_DATABASE) if one.name == "run" else one for one in found]
    dump = {"dump"} if settings.immich_dump.file == "server" else set[str]()
    return [one for one in FEATURES if one.by_default or one.name in dump or one.name in named]
