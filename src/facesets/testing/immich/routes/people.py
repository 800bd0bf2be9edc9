"""Testing room: people, their statistics and thumbnails."""

from __future__ import annotations

from typing import Any

from .. import wire
from ..auth import find_person
from ..dialects import NO_CACHE, Problem, invalid
from ..files import file_response
from ..records import Person
from ..routing import Call, route
from .assets import thumbnail_bytes

MIN_FACES = 3  # the server's default: unnamed people with fewer are counted and not listed


@route("GET", "/api/people", "person.read")
def people(call: Call) -> Any:
    """A page of the caller's people, favourites and those with most faces first; ``total`` counts also who is left out."""
    size = _number(call, "size", 500, 1000)
    page = _number(call, "page", 1, None)
    faces = call.library.face_counts(call.user.id)
    own = [p for p in tuple(call.library.people.values()) if p.owner_id == call.user.id and faces.get(p.id)]
    listed = [p for p in own if p.name or faces[p.id] >= MIN_FACES]
    if call.query.get("withHidden") != "true":
        listed = [p for p in listed if not p.is_hidden]
    listed.sort(key=lambda p: (p.is_hidden, not p.is_favorite, not p.name, -faces[p.id], p.name, p.id))
    start = (page - 1) * size
    return {
        "people": [wire.person(p, call.dialect) for p in listed[start : start + size]],
        "hasNextPage": len(listed) > start + size,
        "total": len(own),
        "hidden": sum(p.is_hidden for p in own),
    }


def _number(call: Call, name: str, default: int, high: int | None) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not text.lstrip("-").isdigit():
        raise invalid(name, "type", expected="number", received="string")
    if int(text) < 1:
        raise invalid(name, "min", limit=1)
    if high is not None and int(text) > high:
        raise invalid(name, "max", limit=high)
    return int(text)


@route("POST", "/api/people", "person.create", status=201)
def create(call: Call) -> Any:
    """A person without faces yet."""
    person = call.library.person(call.user)
    _apply(person, call.json())
    return wire.person(person, call.dialect)


@route("PUT", "/api/people/{id}", "person.update")
def update(call: Call) -> Any:
    """Name, hide, favour, date; ``featureFaceAssetId`` takes the person's face on that asset as the featured one."""
    person, body = find_person(call.library, call.user, call.params["id"], "person.update"), call.json()
    _apply(person, body)
    if featured := body.get("featureFaceAssetId"):
        person.face_id = next((f.id for a, f in call.library.faces_of(person.id) if a.id == featured), person.face_id)
    person.updated_at = call.library.now()
    return wire.person(person, call.dialect)


def _apply(person: Person, body: dict[str, Any]) -> None:
    person.name = str(body.get("name", person.name))
    person.birth_date = body.get("birthDate", person.birth_date)
    person.is_hidden = bool(body.get("isHidden", person.is_hidden))
    person.is_favorite = bool(body.get("isFavorite", person.is_favorite))
    person.color = body.get("color", person.color)


@route("DELETE", "/api/people/{id}", "person.delete", status=204)
def delete(call: Call) -> Any:
    """The person goes, the faces stay, unassigned."""
    _remove(call, find_person(call.library, call.user, call.params["id"], "person.delete"), heir=None)


@route("DELETE", "/api/people", "person.delete", status=204)
def delete_many(call: Call) -> Any:
    """The same for several."""
    for one in [find_person(call.library, call.user, i, "person.delete") for i in call.json().get("ids", [])]:
        _remove(call, one, heir=None)


@route("POST", "/api/people/{id}/merge", "person.merge")
def merge(call: Call) -> Any:
    """Give this person the faces of others, who go."""
    heir = find_person(call.library, call.user, call.params["id"], "person.update")
    results: list[wire.Json] = []
    for one in call.json().get("ids", []):
        other = call.library.people.get(one)
        if other is None or other.owner_id != call.user.id or other is heir:
            results.append({"id": one, "success": False, "error": "no_permission" if other else "not_found"})
            continue
        heir.name = heir.name or other.name
        heir.birth_date = heir.birth_date or other.birth_date
        _remove(call, other, heir=heir)
        results.append({"id": one, "success": True})
    heir.updated_at = call.library.now()
    return results


def _remove(call: Call, person: Person, *, heir: Person | None) -> None:
    for _, face in call.library.faces_of(person.id):
        face.person_id = heir.id if heir else None
        face.updated_at = call.library.now()
    del call.library.people[person.id]


@route("GET", "/api/people/{id}", "person.read")
def get(call: Call) -> Any:
    """One person."""
    return wire.person(find_person(call.library, call.user, call.params["id"]), call.dialect)


@route("GET", "/api/people/{id}/statistics", "person.statistics")
def statistics(call: Call) -> Any:
    """On how many assets a person stands."""
    who = find_person(call.library, call.user, call.params["id"])
    shown = [a for a, f in call.library.faces_of(who.id) if f.is_visible and f.deleted_at is None]
    return {"assets": len({a.id for a in shown if not a.is_trashed and a.visibility != "locked"})}


@route("GET", "/api/people/{id}/thumbnail", "person.read")
def thumbnail(call: Call) -> Any:
    """A picture of the photo with the featured face (Immich crops it); 404 where none was made."""
    who: Person = find_person(call.library, call.user, call.params["id"])
    asset = next((a for a, f in call.library.faces_of(who.id) if f.id == who.face_id), None)
    data = thumbnail_bytes(asset, webp=False) if asset and call.dialect.modern else None
    if data is None or asset is None:
        raise Problem(404, "Not Found", bare=True, headers=NO_CACHE)
    return file_response(
        call.request,
        data,
        name=None,
        mime="image/jpeg",
        cache="private, no-cache, no-transform",
        modified=who.updated_at,
        dialect=call.dialect,
        correlation=call.correlation,
    )


@route("GET", "/api/search/person", "person.read")
def search(call: Call) -> Any:
    """The caller's people by part of a name."""
    part = call.query.get("name", "").lower()
    hidden = call.query.get("withHidden") == "true"
    return [
        wire.person(p, call.dialect)
        for p in tuple(call.library.people.values())
        if p.owner_id == call.user.id and part in p.name.lower() and (hidden or not p.is_hidden)
    ]
