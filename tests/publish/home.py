"""Ten people on their photos, some of whom Immich knows, and what a test asks of both sides."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from facesets.registry import Registry
from facesets.testing import Asset, Box, Faults, ImmichServer, Library, Person
from facesets.testing.immich.records import Face
from facesets.workspace import Workspace

from ..pipeline.world import PLACES, SIDE, Answer, CommandLine, jpeg

PHOTOS = 5
VERSIONS = ("2.7.2", "3.1.0", "3.2.2")
NAMES = {
    1: "Anna", 2: "Berta", 3: "Cleo", 4: "Dora", 5: "Emil", 6: "Fritz", 7: "Greta", 8: "Hanna", 9: "Ida", 10: "Jakob",
}  # fmt: skip
#: What Immich calls the person who has most of each one's faces; None: nobody has them.
THERE = {1: "", 2: "", 3: "Cleo", 4: "", 5: "", 6: "", 7: None, 8: "Old Hanna", 9: "", 10: ""}


def family(seed: int = 11) -> Library:
    """The library: person 4 is two people in Immich, a face of person 5 is with person 6, person 9 is hidden, 7 is nobody.

    Another ``seed`` gives other ids.
    """
    library = Library(seed=seed)
    anna = library.user("anna")
    library.user("bob")
    people = {n: library.person(anna, name) for n, name in THERE.items() if name is not None}
    second = library.person(anna)
    people[9].is_hidden = True
    for n in NAMES:
        for k in range(PHOTOS):
            who = people.get(n)
            if n == 4 and k > 2:
                who = second
            if n == 5 and k == 4:
                who = people[6]
            photo(library, n, k, who)
    return library


def photo(
    library: Library, person: int, k: int, who: Person | None, *, owner: str = "anna", known: bool = True, **fields: Any
) -> Asset:
    """One photo of a person, an exposure of its own; ``known``: Immich has found the face."""
    x, y = PLACES[0]
    box = Box(x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2, who)
    taken = datetime.fromisoformat("2020-01-01T12:00:00+00:00") + timedelta(days=30 * k + person)
    user = next(user for user in library.users.values() if user.name == owner)
    return library.photo(
        user,
        data=jpeg([person], 1000 * person + k),
        file_name=f"p{person}_{k}.jpg",
        taken_at=taken,
        faces=[box] if known else [],
        **fields,
    )


@dataclass
class Home:
    """A workspace after a run and the Immich it was of, both the test's own."""

    library: Library
    server: ImmichServer
    cli: CommandLine
    faults: Faults

    @contextmanager
    def open(self) -> Iterator[tuple[Workspace, Registry]]:
        """The workspace and its registry, as Python has them."""
        workspace = Workspace.open(self.cli.workspace)
        with workspace.lock(), workspace.registry() as registry:
            yield workspace, registry

    def __call__(self, *words: str | Path) -> Answer:
        answer = self.cli(*words)
        assert "Traceback" not in answer.err
        return answer

    def publish(self, *words: str) -> Answer:
        return self("publish", "--user", "anna", *words)

    def apply(self, *words: str) -> Any:
        """Publish for real; what the answer says as data."""
        answer = self.publish(*(words or ("--names", "--faces", "--albums")), "--apply", "--json")
        assert answer.code == 0, answer.err
        return answer.json

    def asset(self, person: int, k: int) -> Asset:
        return next(a for a in self.library.assets.values() if a.file_name == f"p{person}_{k}.jpg" and a.owner_id == self.anna)

    def face(self, person: int, k: int) -> Face:
        return self.asset(person, k).faces[0]

    @property
    def anna(self) -> str:
        return next(user.id for user in self.library.users.values() if user.name == "anna")

    def person(self, name: str) -> Person:
        (found,) = [p for p in self.library.people.values() if p.name == name]
        return found

    def whose(self, person: int) -> list[str | None]:
        """Names of the people who have the faces of a person's photos in Immich."""
        ids = {p.id: p.name for p in self.library.people.values()}
        return [ids.get(f.person_id or "") for k in range(PHOTOS) for f in self.asset(person, k).faces]

    def state(self) -> dict[str, Any]:
        """Everything in Immich that a publish may touch, but for times."""
        library = copy.deepcopy(self.library)
        return {
            "people": {
                p.id: (p.name, p.birth_date, p.is_hidden, p.face_id, p.thumbnail) for p in library.people.values()
            },
            "faces": {
                a.id: [
                    (f.id, f.x1, f.y1, f.x2, f.y2, f.image_width, f.person_id, f.source_type, f.is_visible, f.deleted_at)
                    for f in a.faces
                ]
                for a in library.assets.values()
            },
            "albums": {a.id: (a.name, a.description, sorted(a.asset_ids)) for a in library.albums.values()},
            "tags": {t.id: t.value for t in library.tags.values()},
            "tagged": {a.id: a.tag_ids for a in library.assets.values() if a.tag_ids},
        }  # fmt: skip

    def writes(self) -> int:
        """How many requests so far could have changed something."""
        return sum(n for route, n in self.server.requests.items() if route.split()[0] != "GET" and "/search/" not in route)

    def sets_of(self, name: str) -> str:
        return next(str(row["set"]) for row in self("list", "people", "--json").json if row["name"] == name)
