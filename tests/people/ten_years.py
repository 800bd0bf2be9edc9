"""A family whose library grows over ten years, and a ledger of what its sets must hold.

The ledger knows what was decided, in terms of photos and places, and the first bytes of each crop; it asks neither registry nor code of
ours, but for what the command line answers.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from facesets.registry import Registry
from facesets.testing import Asset, Box, ImmichServer, Library, Person, User
from facesets.testing.twins import twin_photo
from facesets.workspace import Workspace

from ..pipeline.world import CHANGE, PLACES, SIDE, CommandLine, tree

MIA, BEN, OMA, LEA, TOM, KAI, ZOE, OMA_GREY = range(1, 9)
NAMES = {MIA: "Mia", BEN: "Ben", OMA: "Oma", LEA: "Lea", TOM: "Tom", KAI: "Kai", ZOE: "Zoë"}
PARENTS = {LEA: (MIA, BEN), TOM: (MIA, BEN)}
OWN = 0.6  # of a child's looks; the rest is its parents'
SAME = {OMA_GREY: OMA}  # looks so different in later years that a run takes her for somebody else

Spot = tuple[str, int]  # a photo, and a place in it


@functools.cache
def _looks(person: int) -> Any:
    own = np.random.default_rng((77, person)).uniform(0, 256, (6, 6, 3))
    parents = PARENTS.get(person)
    return own if parents is None else OWN * own + (1 - OWN) * np.mean([_looks(parent) for parent in parents], axis=0)


@functools.cache
def drawn(people: tuple[int, ...], seed: int) -> bytes:
    """A photo of people who look a little different in each; relatives look alike."""
    photo = twin_photo([(x, y, SIDE, 1) for x, y in PLACES[: len(people)]], seed=seed).astype(np.float64)
    inside = SIDE // 2 - SIDE // 8
    for place, (person, (x, y)) in enumerate(zip(people, PLACES, strict=False)):
        light = np.random.default_rng((seed, place)).integers(0, 256, (6, 6, 3))
        look = (1 - CHANGE) * _looks(person) + CHANGE * light
        photo[y - inside : y + inside, x - inside : x + inside] = cv2.resize(
            look, (2 * inside, 2 * inside), interpolation=cv2.INTER_NEAREST
        )
    out = io.BytesIO()
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


@dataclass(repr=False)
class Family:
    """The world: an Immich that is changed while it is served, over its own API where that can do it."""

    library: Library
    server: ImmichServer
    cli: CommandLine
    patched: pytest.MonkeyPatch
    packs: Path
    users: dict[str, User] = field(default_factory=dict)
    people: dict[int, Person] = field(default_factory=dict)  # whom Immich knows
    shown: dict[str, tuple[int, ...]] = field(default_factory=dict)  # photo -> who is on it, from left to right
    photo_of: dict[str, str] = field(default_factory=dict)  # hash of its bytes, whichever it ever had -> photo
    seed: int = 0

    def immich(self, method: str, path: str, body: object, user: str = "anna") -> Any:
        """Ask the server as its web page would."""
        answer = httpx.request(
            method, f"{self.server.url}/api{path}", json=body, headers={"x-api-key": self.library.key_for(user)}, trust_env=False
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def knows(self, person: int, **more: object) -> None:
        """Somebody tells Immich who a person is."""
        made = self.immich("POST", "/people", {"name": NAMES[person], **more})
        self.people[person] = self.library.people[made["id"]]

    def photos(self, people: Iterable[int], year: int, count: int, owner: str = "anna") -> list[str]:
        """``count`` photos of these people, a week apart; Immich knows the faces of whom it was told."""
        who, names = tuple(people), []
        for n in range(count):
            self.seed += 1
            name = f"{year}-{'-'.join(map(str, who))}-{self.seed}.jpg"
            taken = datetime.fromisoformat(f"{year}-04-01T12:00:00+00:00") + timedelta(days=7 * n, minutes=self.seed)
            self.add(name, who, drawn(who, self.seed), taken, owner)
            names.append(name)
        return names

    def add(self, name: str, who: tuple[int, ...], data: bytes, taken: datetime | None, owner: str = "anna") -> Asset:
        boxes = [
            Box(
                x - SIDE / 2,
                y - SIDE / 2,
                x + SIDE / 2,
                y + SIDE / 2,
                self.people.get(SAME.get(person, person)) if owner == "anna" else None,
            )
            for person, (x, y) in zip(who, PLACES, strict=False)
        ]
        asset = self.library.photo(self.users[owner], data, file_name=name, taken_at=taken, faces=boxes)
        self.shown[name] = who
        self.photo_of[hashlib.sha256(data).hexdigest()] = name
        return asset

    def spots(self) -> set[Spot]:
        """All faces that there are."""
        return {(photo, place) for photo, who in self.shown.items() for place in range(len(who))}

    def who(self, spot: Spot) -> int:
        """Whom the world put there."""
        person = self.shown[spot[0]][spot[1]]
        return SAME.get(person, person)

    def run(self, *more: str) -> Any:
        """Run for all users there are."""
        answer = self.cli("run", *(word for user in self.users for word in ("--user", user)), *more, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    def says(self, *words: str) -> Any:
        """Decide something."""
        answer = self.cli(*words, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    # -- what befalls it

    def joins(self, name: str) -> User:
        """A second user has an account and a key."""
        self.users[name] = user = self.library.user(name)
        self.patched.setenv(f"IMMICH_API_KEY_{name.upper()}", self.library.key_for(name))
        return user

    def renumbered(self) -> None:
        """Immich forgets faces and people, and finds them anew: other ids, the same names."""
        before = {person.id: who for who, person in self.people.items()}
        birth = {who: person.birth_date for who, person in self.people.items()}
        self.immich("DELETE", "/people", {"ids": sorted(before)})
        for who in tuple(self.people):
            self.knows(who, **({"birthDate": str(birth[who])} if birth[who] else {}))
        for asset in self.library.assets.values():
            for place, face in enumerate(asset.faces):
                face.id = self.library.new_id("face")
                person = self.people.get(SAME.get(who := self.shown[asset.file_name][place], who))
                face.person_id = person.id if person and asset.owner_id == person.owner_id else None

    def another_pack(self) -> None:
        """The user changes the model pack."""
        path = self.cli.workspace / "facesets.toml"
        before = path.read_text()
        path.write_text(before.replace(str(self.packs / "twin"), str(self.packs / "other")))
        assert path.read_text() != before

    def tagged(self) -> None:
        """A program writes a tag into every file; the pictures stay."""
        for asset in self.library.assets.values():
            assert isinstance(asset.data, bytes)
            out, exif = io.BytesIO(), Image.Exif()
            exif[0x010E] = f"seen in 2023: {asset.file_name}"
            Image.open(io.BytesIO(asset.data)).save(out, "JPEG", quality="keep", exif=exif)
            asset.data = out.getvalue()
            self.photo_of[hashlib.sha256(asset.data).hexdigest()] = asset.file_name
            asset.sha1, asset.size = hashlib.sha1(asset.data).digest(), len(asset.data)
            asset.updated_at += timedelta(days=1)

    def cli_registry(self) -> Registry:
        """The registry, to tamper with."""
        return Workspace.open(self.cli.workspace).registry()


def place_of(box: Iterable[float]) -> int:
    """Which of the places in a photo a box is at."""
    x1, _, x2, _ = box
    return int(np.argmin([abs((x1 + x2) / 2 - x) for x, _ in PLACES]))


@dataclass(repr=False)
class Ledger:
    """What every set must hold, by what was decided; and what is on record of that."""

    family: Family
    sets: dict[int, set[Spot]] = field(default_factory=dict)
    retired: set[int] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)
    rejected: set[tuple[Spot, int]] = field(default_factory=set)  # a face, and the number of whom it is not
    first: dict[Spot, str] = field(default_factory=dict)  # the bytes of a crop when it was first seen
    trees: dict[int, dict[str, str]] = field(default_factory=dict)  # all files of a set after the last check
    decided: set[int] = field(default_factory=set)  # sets that decisions since were about
    ids: dict[Spot, str] = field(default_factory=dict)  # of faces in sets

    mistake: tuple[int, Spot] = (0, ("", 0))  # a decision that will be taken back, and what it was about
    gone: int = 0  # assets that the library had once

    def numbers(self, person: int) -> list[int]:
        """The sets of a person."""
        return [number for number, members in self.sets.items() if person in {self.family.who(spot) for spot in members}]

    def number(self, person: int) -> int:
        """The set of a person: the one that most of theirs are in."""
        return max(self.numbers(person), key=lambda number: sum(self.family.who(spot) == person for spot in self.sets[number]))

    @property
    def root(self) -> Path:
        """The folder of sets."""
        return self.family.cli.workspace / "facesets"

    def on_disk(self, number: int) -> dict[Spot, str]:
        """A set's faces by what its description says of them, each with the hash of its crop."""
        folder = self.root / f"faceset_{number:03d}"
        document, found = json.loads((folder / "faceset.json").read_text()), {}
        for face in document["faces"]:
            spot = self.family.photo_of[face["source"]["sha256"]], place_of(face["box"])
            assert spot not in found, f"faceset_{number:03d} has {spot} twice"
            found[spot] = hashlib.sha256((folder / face["file"]).read_bytes()).hexdigest()
            self.ids[spot] = face["face_id"]
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {"faceset.json", *(face["file"] for face in document["faces"])}
        return found

    # -- what decisions mean

    def rejects(self, number: int, *spots: Spot) -> None:
        """``reject``."""
        for spot in spots:
            self.sets[number].remove(spot)
            self.rejected.add((spot, number))
        self.decided.add(number)

    def moves(self, number: int, to: int, *spots: Spot) -> None:
        """``move``."""
        self.rejects(number, *spots)
        self.joins(to, *spots)

    def joins(self, number: int, *spots: Spot) -> None:
        """A face is in a set now."""
        self.sets[number].update(spots)
        self.rejected -= {(spot, number) for spot in spots}
        self.decided.add(number)

    def merges(self, number: int, into: int) -> None:
        """``merge``."""
        self.joins(into, *(spot for spot in self.sets.pop(number) if (spot, into) not in self.rejected))
        self.retired.add(number)
        self.rejected = {(spot, into if whom == number else whom) for spot, whom in self.rejected}
        self.names.pop(number, None)

    def splits(self, number: int, new: int, *spots: Spot) -> None:
        """``split``."""
        self.rejects(number, *spots)
        self.sets[new] = set(spots)
        self.decided.add(new)

    def is_called(self, number: int, name: str) -> None:
        """``name``: in registry and manifest, so that no byte of the set changes."""
        self.names[number] = name

    # -- the check

    def check(self) -> None:
        """Raises AssertionError where anything is not as it must be. New sets are taken down: from here on they are fixed."""
        rows = self.family.cli("list", "faces", "--json").json
        self._new_sets()
        self._sets()
        self._rejected(rows)
        self._manifest()
        self._accounting(rows)

    def _new_sets(self) -> None:
        used = {*self.sets, *self.retired}
        for folder in sorted(self.root.glob("faceset_*")):
            number = int(folder.name.removeprefix("faceset_"))
            assert number not in self.retired, f"{folder.name} is retired, and there again"
            if number not in self.sets:
                assert number > max(used, default=0), f"{folder.name}: numbers grow"
                found = self.on_disk(number)
                people = {self.family.shown[photo][place] for photo, place in found}
                assert len(people) == 1, f"{folder.name} is {people}"
                self.sets[number] = set(found)
                self.decided.add(number)

    def _sets(self) -> None:
        for number, wanted in self.sets.items():
            found = self.on_disk(number)
            assert found.keys() == wanted, f"faceset_{number:03d}: {found.keys() ^ wanted}"
            for spot, digest in found.items():
                assert self.first.setdefault(spot, digest) == digest, f"{spot} has other bytes than at first"
            now = tree(self.root / f"faceset_{number:03d}")
            if number not in self.decided:
                assert now == self.trees[number], f"faceset_{number:03d} was altered, and nobody said so"
            self.trees[number] = now
        self.decided.clear()

    def _rejected(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["set"] is None or row["reason"] not in ("member", "recognised", "likely"):
                continue
            spot, number = (self.family.photo_of[row["sha256"]], place_of(row["box"])), int(row["set"].removeprefix("faceset_"))
            assert (spot, number) not in self.rejected, f"{spot} was rejected from {number}, and is {row['reason']} there"
            assert row["reason"] != "member" or spot in self.sets[number], f"{spot} is a member of {number} by no decision"
            if row["reason"] == "recognised":
                there = {self.family.who(each) for each in self.sets[number]}
                assert self.family.who(spot) in there, f"{spot} is not of {number}"

    def _manifest(self) -> None:
        manifest = json.loads((self.root / "manifest.json").read_text())
        listed = {each["number"]: each.get("person") for each in manifest["facesets"]}
        assert listed == {number: self.names.get(number) for number in self.sets}
        assert {each["number"] for each in manifest.get("retired", [])} == self.retired
        people = {row["person"]: row["name"] for row in self.family.cli("list", "people", "--json").json if not row["retired"]}
        assert people == listed

    def _accounting(self, rows: list[dict[str, Any]]) -> None:
        status, library = self.family.cli("status", "--json").json, self.family.library.assets
        assert sum(status["assets_by_state"].values()) == len(library)
        assert status["gone"] == self.gone
        assert status["faces_by_reason"]["member"] == sum(map(len, self.sets.values()))
        assert sum(status["faces_by_state"].values()) == sum(status["faces_by_reason"].values())
        assert status["retryable"] == 0
        assert len(rows) == sum(status["faces_by_state"].values())
        assert len({row["face_id"] for row in rows}) == len(rows)
        shown = {self.family.photo_of[row["sha256"]]: None for row in rows}
        assert {*shown} <= {*self.family.shown}
