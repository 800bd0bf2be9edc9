"""One person: members, recognised and likely faces, a screenful at a time; one face large, with its photo and why it is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facesets.errors import NotFound
from facesets.records import Reason
from facesets.registry import Person, Registry, face_lists, faces, gallery, people
from facesets.report import face_facts, face_reasons
from facesets.review.context import Review, fragment, page, review_of
from facesets.review.forms import Form, query

SCREENFUL: Final = 60
_MOST: Final = 480  # and at a time afterwards
#: Standing -> heading, what it means, how it is sorted at first: the doubtful ones of two lists meet.
LISTS: Final[Mapping[Reason, tuple[str, str, str]]] = {
    Reason.MEMBER: ("In the set", "", "best"),
    Reason.RECOGNISED: ("Recognised", "Faces of this person that are in no folder yet.", "far"),
    Reason.LIKELY: ("Likely", "May be this person. Say yes or no; until then they are in no folder.", "far"),
}
SORTS: Final = {
    "": "Best first",
    "doubtful": "Doubtful first",
    "near": "Nearest first",
    "far": "Farthest first",
    "old": "Oldest first",
    "new": "Newest first",
}


@dataclass(frozen=True, slots=True)
class FaceList:
    """A part of the faces of one standing."""

    standing: str
    title: str
    about: str
    total: int
    first: int
    faces: list[face_lists.ListedFace]


@dataclass(frozen=True, slots=True)
class Year:
    """A year of the band: how many faces, and that as a share of the fullest year."""

    year: int
    count: int
    share: float
    era: str | None


def _person(registry: Registry, name: str) -> Person:
    person = people.of_set(registry, name)
    if person is None:
        raise NotFound(f"there is no set {name} here")
    return person


def _list(registry: Registry, person: Person, standing: Reason, asked: Form, first: int, most: int) -> FaceList:
    title, about, order = LISTS[standing]
    sort = asked.one("sort")
    wanted = sort if sort in face_lists.ORDERS else order
    start, end = asked.number("from", 0, most=9999), asked.number("to", 0, most=9999)
    years = (start, end or start) if start else None
    total, found = face_lists.faces(registry, person.id, standing, order=wanted, years=years, first=first, most=most)
    return FaceList(str(standing), title, about, total, first, found)


def _band(counts: Mapping[int, int], eras: list[face_lists.Era]) -> list[Year]:
    if not counts:
        return []
    most = max(counts.values())
    in_era = {year: era.name for era in eras for year in range(era.year_from, era.year_to + 1)}
    return [
        Year(year, counts.get(year, 0), counts.get(year, 0) / most, in_era.get(year)) for year in range(min(counts), max(counts) + 1)
    ]


async def shown(request: Request) -> HTMLResponse:
    """GET /person/SET."""
    review, name, asked = review_of(request), request.path_params["name"], query(request)

    def found(registry: Registry) -> tuple[Person, Person | None, list[FaceList], list[Year], list[face_lists.Era]]:
        person = _person(registry, name)
        lists = [_list(registry, person, standing, asked, 0, SCREENFUL) for standing in LISTS]
        eras = face_lists.eras(registry, person.id)
        into = people.of_number(registry, person.merged_into) if person.merged_into is not None else None
        return person, into, lists, _band(face_lists.years(registry, person.id), eras), eras

    person, into, lists, band, eras = await review.threads.read(found)
    return await page(
        request, "person.html", here="people", person=person, into=into, lists=lists, band=band, eras=eras, sorts=SORTS, asked=asked,
    )  # fmt: skip


async def part(request: Request) -> HTMLResponse:
    """GET /person/SET/STANDING?first=&most=...: a part of a list; its length stands in a header."""
    review, asked = review_of(request), query(request)
    standing = next((each for each in LISTS if each == request.path_params["standing"]), None)
    if standing is None:
        raise NotFound("there is no such list of faces")
    first, most = asked.number("first", 0), asked.number("most", SCREENFUL, most=_MOST)

    def found(registry: Registry) -> FaceList:
        return _list(
            registry, _person(registry, request.path_params["name"]), standing, asked, first, most + SCREENFUL
        )  # with those that are asked for next

    listed = await review.threads.read(found)
    review.images.prepare(face.key for face in listed.faces[most:])
    listed = replace(listed, faces=listed.faces[:most])
    answer = fragment(request, "faces.html", list=listed)
    answer.headers["x-total"] = str(listed.total)
    return answer


@dataclass(frozen=True, slots=True)
class Shown:
    """One face with all that is known of it."""

    key: str
    standing: str
    set_name: str | None
    person: str | None
    distance: float | None
    short: float | None
    box: tuple[float, float, float, float] | None
    photo: face_lists.Photo | None
    others: list[face_lists.InPhoto]
    lines: list[str]
    link: str | None


def face_shown(review: Review, registry: Registry, key: str) -> Shown:
    """What a card says of a face: a measured one, or an image of its owner's own. Raises NotFound."""
    row, photo = faces.find(registry, key), face_lists.photo(registry, key)
    if row is None and gallery.picture(registry, key) is None:
        raise NotFound("there is no such face here any more")
    if row is None or photo is None:
        return Shown(key, str(Reason.MEMBER), None, None, None, None, None, None, [], ["An image of your own."], None)
    person = people.of_set(registry, row.set_name) if row.set_name else None
    lines = face_reasons(face_facts(row, None, person.name if person and review.options.names else None))
    immich = review.workspace.settings.immich.url
    link = f"{immich.rstrip('/').removesuffix('/api')}/photos/{photo.asset_id}" if immich and photo.source == "immich" else None
    others = face_lists.in_photo(registry, photo.id)
    return Shown(
        key, str(row.reason), row.set_name, person.name if person else None, row.distance, row.face.face_short, row.face.box, photo,
        others, lines, link,
    )  # fmt: skip


async def card(request: Request) -> HTMLResponse:
    """GET /look/KEY: a face large, for a dialog."""
    review, key = review_of(request), request.path_params["key"]
    face = await review.threads.read(lambda registry: face_shown(review, registry, key))
    return fragment(request, "face_card.html", face=face)


ROUTES = [Route("/person/{name}", shown), Route("/person/{name}/{standing}", part), Route("/look/{key}", card)]
