"""What Immich has now of the photos and people that a publish speaks of. Reads alone; asks for each thing once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from facesets.errors import NotFound
from facesets.immich import AssetNow, Client, PersonNow, write_back
from facesets.progress import Progress
from facesets.records import Asset, Box, FaceBox
from facesets.sources import ImmichSource
from facesets.wording import folded

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class SeenFace:
    """A face as Immich has it: ``place`` in the unit square of the upright original, None where its frame does not tell."""

    face_id: str
    place: Box | None
    person_id: str | None
    frame: tuple[int, int]


def unit(box: Box, size: tuple[int, int]) -> Box:
    """A box of a picture of this size in the unit square, which leaves every overlap as it is."""
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


class There:
    """One user's Immich, through an open source."""

    def __init__(self, source: ImmichSource) -> None:
        self.source = source
        self.listed = list(write_back.people(source.client))
        self.people: dict[str, PersonNow | None] = {one.person_id: one for one in self.listed}
        self.boxes: dict[str, tuple[FaceBox, ...]] = {}  # as a run would learn them
        self.faces: dict[str, tuple[SeenFace, ...] | None] = {}  # None: the asset is not shown to this key
        self.assets: dict[str, AssetNow | None] = {}
        self._called: dict[str, list[PersonNow]] = {}
        self._photos: dict[str, int] = {}

    @property
    def client(self) -> Client:
        """The source's client."""
        return self.source.client

    def person(self, person_id: str) -> PersonNow | None:
        """A person by id; None where there is none any more."""
        if person_id not in self.people:
            self.people[person_id] = write_back.person(self.client, person_id)
        return self.people[person_id]

    def called(self, name: str) -> list[PersonNow]:
        """People of this name, whatever the case, by id; those without a face too."""
        key = folded(name)
        if key not in self._called:
            found = {one.person_id: one for one in self.people.values() if one is not None and folded(one.name) == key}
            for one in write_back.people_called(self.client, name):
                if folded(one.name) == key:
                    found[one.person_id] = self.people[one.person_id] = one
            self._called[key] = [found[one] for one in sorted(found)]
        return self._called[key]

    def photos(self, person_id: str) -> int:
        """In how many photos of the timeline a person stands."""
        if person_id not in self._photos:
            self._photos[person_id] = write_back.photos_of(self.client, person_id)
        return self._photos[person_id]

    def read_faces(self, wanted: Mapping[str, Asset], progress: Progress) -> None:
        """Ask for the faces of these assets (id -> as the registry knows it)."""

        def ask(asset: Asset) -> tuple[SeenFace, ...] | None:
            try:
                found = self.boxes[asset.asset_id] = self.source.boxes(asset)
            except NotFound:
                return None
            return tuple(map(_seen, found))

        self.faces.update(self._each("faces in Immich", wanted, ask, progress))

    def read_assets(self, wanted: Iterable[str], progress: Progress) -> None:
        """Ask for these assets themselves."""
        asked = {asset_id: asset_id for asset_id in wanted if asset_id not in self.assets}
        self.assets.update(self._each("photos in Immich", asked, lambda asset_id: write_back.asset(self.client, asset_id), progress))

    def reread_edited(self, wanted: Mapping[str, Asset], progress: Progress) -> set[str]:
        """Assets that are edited now and were not when they were listed, or the other way round: their faces are read anew."""
        found: dict[str, Asset] = {}
        for asset_id, known in wanted.items():
            now = self.assets.get(asset_id)
            if now is not None and now.is_edited != known.is_edited:
                size = now.size or (known.width, known.height)
                found[asset_id] = replace(known, is_edited=now.is_edited, width=size[0], height=size[1])
        if found:
            self.read_faces(found, progress)
        return set(found)

    def _each(self, what: str, wanted: Mapping[str, K], ask: Callable[[K], V], progress: Progress) -> dict[str, V]:
        """The answers to many questions, several at a time."""
        found: dict[str, V] = {}
        with progress.task(what, total=len(wanted), unit="photos") as task, self.client.threads(self.source.workers) as pool:
            for key, answer in zip(wanted, pool.map(ask, wanted.values()), strict=True):
                found[key] = answer
                task.advance()
        return found


def _seen(box: FaceBox) -> SeenFace:
    place = None
    if box.image_width > 0 and box.image_height > 0 and box.x2 > box.x1 and box.y2 > box.y1:
        place = unit((box.x1, box.y1, box.x2, box.y2), (box.image_width, box.image_height))
    return SeenFace(box.face_id, place, box.person_id, (box.image_width, box.image_height))
