"""Sources room: what a dump of Immich's database says of our users: their assets, faces, people, and the vectors of these faces.

Tables are read in whatever order they come. One whose rows cannot be told to be ours yet, since the table that says so stands behind
it, waits for a further reading of the dump, so that nothing of others is kept for a moment. Both forms are known: that of Immich 2.7
to 3.1, and that of 3.2 and later, whose people are ``person_group`` and keyed by owner too. Pure but for the store that it fills.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from facesets.errors import BadAnswer
from facesets.immich import wire
from facesets.sources.dump_store import DumpStore
from facesets.sources.pg_dump import Copy, Field, tables, unpacked

# a table, and which must be read before it
_AFTER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(("user", "system_metadata", "version_history", "person", "asset"), ())
    | {"asset_face": ("asset",), "face_search": ("asset_face",)}
)
_NEEDED = ("user", "person", "asset", "asset_face", "face_search")
_KEPT_AS = {"asset": "asset", "person": "person", "asset_face": "face"}
_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WHOLE = re.compile(rb"-?\d{1,9}")
_PERSON = ("personId", "personGroupId")  # before 3.2, and from it on
_LISTED = (b"timeline", b"archive", b"hidden")
_SHOWN = 3  # users of another Immich
_MODEL_AT = ("machineLearning", "facialRecognition", "modelName")

Each = Callable[[Callable[[Iterator[bytes]], "tuple[set[str], set[str]]"]], "tuple[set[str], set[str]]"]


def read_dump(each: Each, store: DumpStore, owners: Collection[str]) -> None:
    """Put into ``store`` what a dump says of the users with these ids. ``each`` calls with the bytes of the dump, anew each time.

    Raises BadAnswer where the dump is damaged, cut off or no Immich's; then nothing of it is kept.
    """
    reading, done = _Reading(store, frozenset(owner.encode() for owner in owners)), set[str]()
    while not done.issuperset(_NEEDED):
        done, there = each(lambda pieces, before=done: reading.through(pieces, before))  # type: ignore[misc]
        if missing := [name for name in _NEEDED if name not in there]:
            raise BadAnswer(f"it has no table {', '.join(missing)}: it is not of a whole database of Immich of a form that is known")


class _Elsewhere(Exception):
    """Our users are in another database of this dump, or in another schema."""


class _Reading:
    def __init__(self, store: DumpStore, owners: frozenset[bytes]) -> None:
        self.store, self.owners = store, owners
        self.place: str | None = None  # of a dump with several databases or schemas: where our tables are
        self.tried = set[str]()

    def through(self, pieces: Iterator[bytes], before: set[str]) -> tuple[set[str], set[str]]:
        """Read all tables that can be; returns those that are read by now, and those that are there."""
        done, there = set(before), dict[str, set[str]]()

        def wanted(place: str, name: str) -> bool:
            there.setdefault(place, set()).add(name)
            if self.place is None and name in _NEEDED:
                self.place = place
            return place == self.place and name in _AFTER and name not in before and done.issuperset(_AFTER[name])

        try:
            with self.store.transaction():
                for copy in tables(unpacked(pieces), wanted):
                    getattr(self, f"_{copy.table}")(copy)
                    self.store.complete(_KEPT_AS.get(copy.table, ""))
                    done.add(copy.table)
                if not before:
                    self._check_place(there)
        except _Elsewhere:
            done.clear()
        return done, there.get(self.place or "", set())

    def _check_place(self, there: Mapping[str, set[str]]) -> None:
        """Raises _Elsewhere, with another place to read, where this one is not whole or does not know our users."""
        if self.place is None:
            return
        self.tried.add(self.place)
        if there[self.place].issuperset(_NEEDED) and self.store.fact("users"):
            return
        for place, names in there.items():
            if names.issuperset(_NEEDED) and place not in self.tried:
                self.place = place
                raise _Elsewhere

    def _user(self, copy: Copy) -> None:
        places, ours, others = copy.places("id", "deletedAt"), set[str](), set[str]()
        for user, deleted in (copy.row(line, places) for batch in copy.batches for line in batch):
            if deleted is None:
                kept = ours if user in self.owners else others
                if kept is ours or len(others) < _SHOWN:
                    kept.add(_id(copy, user))
        self.store.set_fact("users", sorted(ours))
        self.store.set_fact("other_users", sorted(others))  # a few, to say whose dump it is

    def _system_metadata(self, copy: Copy) -> None:
        """The name of the model, and nothing else: passwords of mail and of OAuth stand beside it."""
        places, model = copy.places("key", "value"), None
        for batch in copy.batches:
            for key, value in (copy.row(line, places) for line in batch):
                if key == b"system-config":
                    model = _picked(copy, value)
        self.store.set_fact("model", model)
        self.store.set_fact("model_seen", True)

    def _version_history(self, copy: Copy) -> None:
        places = copy.places("createdAt", "version")
        rows = ([_text(field) for field in copy.row(line, places)] for batch in copy.batches for line in batch)
        self.store.set_fact("version", max(rows, default=["", ""])[1][:40])

    def _person(self, copy: Copy) -> None:
        key = "id" if "id" in copy.columns or "personGroupId" not in copy.columns else "personGroupId"
        places = copy.places("ownerId", key, "name", "birthDate", "isHidden")
        for batch in copy.batches:
            rows = (copy.row(line, places) for line in batch)
            self.store.add_people(
                (_id(copy, owner), _id(copy, person), _text(name), wire.birth_date(_text(birth)), hidden == b"t")
                for owner, person, name, birth, hidden in rows
                if owner in self.owners
            )

    def _asset(self, copy: Copy) -> None:
        places = copy.places("id", "ownerId", "checksum", "visibility", "status")
        for batch in copy.batches:
            rows = (copy.row(line, places) for line in batch)
            self.store.add_assets(
                (
                    _id(copy, asset),
                    _id(copy, owner),
                    _text(checksum).removeprefix("\\x"),
                    visibility in _LISTED and status != b"deleted",
                )
                for asset, owner, checksum, visibility, status in rows
                if owner in self.owners
            )

    def _asset_face(self, copy: Copy) -> None:
        person = next((name for name in _PERSON if name in copy.columns), None)
        if person is None:
            raise BadAnswer(f"table asset_face has no column {_PERSON[0]}, nor {_PERSON[1]} as from Immich 3.2 on")
        sides = ("boundingBoxX1", "boundingBoxY1", "boundingBoxX2", "boundingBoxY2", "imageWidth", "imageHeight")
        places = copy.places("id", "assetId", person, "deletedAt", "isVisible", *sides)
        for batch in copy.batches:
            rows = (copy.row(line, places) for line in batch)
            self.store.add_faces(
                [
                    (
                        _id(copy, face),
                        _id(copy, asset),
                        tuple(_whole(copy, side) for side in box),
                        None if whose is None else _id(copy, whose),
                    )
                    for face, asset, whose, deleted, visible, *box in rows
                    if deleted is None and visible == b"t"
                ]
            )

    def _face_search(self, copy: Copy) -> None:
        places = copy.places("faceId", "embedding")
        for batch in copy.batches:
            rows = (copy.row(line, places) for line in batch)
            self.store.add_vectors([(_id(copy, face), vector) for face, vector in rows if vector is not None])


def _id(copy: Copy, field: Field) -> str:
    if field is None or not _ID.fullmatch(field):
        raise BadAnswer(f"table {copy.table}: {_shown(field)} is no id")
    return field.decode()


def _whole(copy: Copy, field: Field) -> int:
    if field is None or not _WHOLE.fullmatch(field):
        raise BadAnswer(f"table {copy.table}: {_shown(field)} is no whole number of pixels")
    return int(field)


def _text(field: Field) -> str:
    return (field or b"").decode("utf-8", "replace")


def _shown(field: Field) -> str:
    return repr(_text(field)[:60])


def _picked(copy: Copy, field: Field) -> str | None:
    """The model's name out of Immich's settings; None where these leave it as it is by default."""
    try:
        value: Any = json.loads(field or b"{}")
    except (ValueError, RecursionError) as err:
        raise BadAnswer(f"table {copy.table}: Immich's settings are no JSON") from err
    for name in _MODEL_AT:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
