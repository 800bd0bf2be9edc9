"""The people: a grid of sets, named ones first; searched, sorted and filtered on this side, a screenful at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from facesets.registry import Registry, gallery
from facesets.review.context import Review, fragment, page, review_of
from facesets.review.forms import Form, query

SCREENFUL: Final = 60  # tiles that come with the page
_MOST: Final = 480  # and at a time afterwards
_OFFERED: Final = 8

_Doubts = Mapping[int, int]
#: Name in the address -> (what it is called, sort key).
SORTS: Final[Mapping[str, tuple[str, Callable[[gallery.PersonCounts, _Doubts], Any]]]] = {
    "named": ("Named first", lambda p, _: (p.name is None, -p.members - p.recognised, p.number)),
    "size": ("Largest first", lambda p, _: (-p.members - p.recognised, p.number)),
    "new": ("Newest first", lambda p, _: -p.number),
    "unnamed": ("Unnamed first", lambda p, _: (p.name is not None, -p.members - p.recognised, p.number)),
    "doubtful": ("Doubtful first", lambda p, doubts: (-doubts.get(p.id, 0) - p.likely, -p.members, p.number)),
    "name": ("By name", lambda p, _: (p.name is None, plain(p.name or ""), p.number)),
}
FILTERS: Final[Mapping[str, tuple[str, Callable[[gallery.PersonCounts], bool]]]] = {
    "all": ("Everybody", lambda _: True),
    "named": ("With a name", lambda p: p.name is not None),
    "unnamed": ("Without a name", lambda p: p.name is None),
    "likely": ("With likely faces", lambda p: p.likely > 0),
    "recognised": ("With recognised faces", lambda p: p.recognised > 0),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A person as the grid shows them."""

    person: gallery.PersonCounts
    face: str | None
    hint: str | None  # the name that its source suggests
    years: tuple[str, str] | None
    at: int  # place in the whole list


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of a list, and how long it is."""

    total: int
    tiles: Sequence[Tile]


def plain(text: str) -> str:
    """Text as it is compared in a search: without accents and case."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(char for char in parts if not unicodedata.combining(char)).casefold()


def listing(review: Review, registry: Registry, asked: Form, standing: str, first: int, most: int) -> Listing:
    """The people that are asked for, from the one at ``first`` on."""
    wanted = FILTERS.get(asked.one("show"), FILTERS["all"])[1]
    words = plain(asked.one("q")).split()
    least = asked.number("least", 0)
    sort = SORTS.get(asked.one("sort"), SORTS["named"])[1]
    doubts = gallery.doubtful(registry) if asked.one("sort") == "doubtful" else {}
    found = [
        person for person in _shown(review, review.people.people(registry, standing))
        if wanted(person) and person.members + person.recognised >= least and (not words or _has(person, words))
    ]  # fmt: skip
    found.sort(key=lambda person: sort(person, doubts))
    shown = found[first : first + most]
    faces, years = gallery.best_faces(registry, [p.id for p in shown]), review.people.years(registry, shown)
    hints = {} if not review.options.names or standing == "ignored" else review.people.hints(registry)
    tiles = [Tile(p, faces.get(p.id), hints.get(p.set_name), years.get(p.id), first + at) for at, p in enumerate(shown)]
    return Listing(len(found), tiles)


def _shown(review: Review, people: Sequence[gallery.PersonCounts]) -> Sequence[gallery.PersonCounts]:
    """As they may be shown: without names where these are left out."""
    return people if review.options.names else [replace(person, name=None) for person in people]


def _has(person: gallery.PersonCounts, words: Sequence[str]) -> bool:
    text = f"{plain(person.name or '')} {person.set_name} {person.number}"
    return all(word in text for word in words)


async def _page(request: Request, standing: str) -> HTMLResponse:
    review, asked = review_of(request), query(request)
    found = await review.threads.read(lambda registry: listing(review, registry, asked, standing, 0, SCREENFUL))
    return await page(
        request, "people.html", here="people" if standing == "active" else "ignored", found=found, standing=standing, asked=asked,
        sorts=SORTS, filters=FILTERS,
    )  # fmt: skip


async def people(request: Request) -> HTMLResponse:
    """GET /people: everybody of interest."""
    return await _page(request, "active")


async def ignored(request: Request) -> HTMLResponse:
    """GET /ignored: those who are not."""
    return await _page(request, "ignored")


async def tiles(request: Request) -> HTMLResponse:
    """GET /tiles/STANDING?first=&most=...: a part of the grid; its length stands in a header."""
    review, asked = review_of(request), query(request)
    standing = "ignored" if request.path_params["standing"] == "ignored" else "active"
    first, most = asked.number("first", 0), asked.number("most", SCREENFUL, most=_MOST)
    found = await review.threads.read(lambda registry: listing(review, registry, asked, standing, first, most))
    answer = fragment(request, "people_tiles.html", found=found, standing=standing)
    answer.headers["x-total"] = str(found.total)
    return answer


async def names(request: Request) -> JSONResponse:
    """GET /names?q=: whom a beginning of a name may mean, with a face each; with ``also=sources`` how these call others, too."""
    review, asked = review_of(request), query(request)
    return JSONResponse(await review.threads.read(lambda registry: _names(review, registry, asked)))


def _names(review: Review, registry: Registry, asked: Form) -> list[dict[str, Any]]:
    text = plain(asked.one("q"))
    words, but = text.split(), asked.one("but")
    everybody = _shown(review, review.people.people(registry))
    found = [person for person in everybody if _has(person, words) and person.set_name != but]

    def rank(person: gallery.PersonCounts) -> Any:
        name = plain(person.name or "")
        # the whole name or number comes before those that begin with it
        is_meant = bool(text) and text in (name, person.set_name, str(person.number))
        return not is_meant, not name.startswith(text), SORTS["named"][1](person, {})

    found.sort(key=rank)
    faces = gallery.best_faces(registry, [person.id for person in found[:_OFFERED]])
    offered: list[dict[str, Any]] = [
        {"set": p.set_name, "name": p.name, "faces": p.members + p.recognised, "face": faces.get(p.id)} for p in found[:_OFFERED]
    ]
    if asked.one("also") == "sources" and review.options.names:
        offered += [{"name": name} for name in gallery.source_names(registry) if all(word in plain(name) for word in words)][:_OFFERED]
    return offered


ROUTES = [Route("/people", people), Route("/ignored", ignored), Route("/tiles/{standing}", tiles), Route("/names", names)]
