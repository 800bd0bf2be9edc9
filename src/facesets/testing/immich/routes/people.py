"""People: listed, made, changed, merged, removed; their statistics and thumbnails."""

from __future__ import annotations

import re
from typing import Any

from facesets.testing.immich import portraits, wire
from facesets.testing.immich.auth import find_asset, find_person
from facesets.testing.immich.checks import person_change
from facesets.testing.immich.dialects import NO_CACHE, Problem, invalid, no_access
from facesets.testing.immich.files import file_response
from facesets.testing.immich.records import Person
from facesets.testing.immich.routes.assets import thumbnail_bytes
from facesets.testing.immich.routing import Call, route

MIN_FACES = 3  # the server's default: unnamed people with fewer are counted and not listed
_MAY_NOT = "no_permission"


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
    closest = call.query.get("closestPersonId")  # vectors are not compared here: only the person itself is nearest
    listed.sort(key=lambda p: (p.is_hidden, not p.is_favorite, p.id != closest, not p.name, -faces[p.id], p.name, p.id))
    start = (page - 1) * size
    return {
        "people": [wire.person(p) for p in listed[start : start + size]],
        "hasNextPage": len(listed) > start + size,
        "total": len(own),
        "hidden": sum(p.is_hidden for p in own),
    }


def _number(call: Call, name: str, default: int, high: int | None) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if re.fullmatch("-?[0-9]+", text) is None:
        raise invalid(name, "type", expected="number", received="string")
    if int(text) < 1:
        raise invalid(name, "min", limit=1)
    if high is not None and int(text) > high:
        raise invalid(name, "max", limit=high)
    return int(text)


@route("POST", "/api/people", "person.create", status=201)
def create(call: Call) -> Any:
    """A person without faces yet; a second one of the same name is a second one."""
    change = person_change(call.json(), call.dialect, verb="create")
    person = call.library.person(call.user)
    change.apply(person)
    return wire.person(person)


@route("PUT", "/api/people/{id}", "person.update")
def update(call: Call) -> Any:
    """Name, hide, favour, date, colour; ``featureFaceAssetId`` takes the person's face on that asset as the featured one."""
    return wire.person(_update(call, call.params["id"], call.json()))


@route("PATCH", "/api/people/{id}", "person.update", majors=(3,))
def patch(call: Call) -> Any:
    """The same, as 3.x would rather be asked."""
    return update(call)


@route("PUT", "/api/people", "person.update")
def update_many(call: Call) -> Any:
    """Several; ``color`` is not looked at, and who may not be changed is said without a reason."""
    rows = call.json().get("people", [])
    for number, row in enumerate(rows):
        person_change({k: v for k, v in row.items() if k != "color"}, call.dialect, verb="update", at=f"people.{number}.")
    results: list[wire.Json] = []
    for row in rows:
        try:
            _update(call, row.get("id"), {k: v for k, v in row.items() if k != "color"})
        except Problem:
            results.append({"id": row.get("id"), "success": False, "error": "unknown"})
        else:
            results.append({"id": row["id"], "success": True})
    return results


def _update(call: Call, person_id: str | None, body: dict[str, Any]) -> Person:
    change = person_change(body, call.dialect, verb="update")
    person = find_person(call.library, call.user, person_id, "person.update")
    if change.featured_asset:
        find_asset(call.library, call.user, change.featured_asset)
        faces = [(a, f) for a, f in call.library.faces_of(person.id) if a.id == change.featured_asset and not a.is_offline]
        if not faces:
            raise Problem(400, "Invalid assetId for feature face or asset is offline")
        portraits.feature(call.library, person, *faces[0], thumbnails=call.thumbnails)
    change.apply(person)
    person.updated_at = call.library.now()
    return person


@route("PUT", "/api/people/{id}/reassign", "person.reassign")
def reassign(call: Call) -> Any:
    """Give this person all faces that others have on certain photos; says the person once for each, whether there was one or not."""
    person = find_person(call.library, call.user, call.params["id"], "person.update")
    results = []
    for row in call.json().get("data", []):
        found = [(a, f) for a, f in call.library.faces_of(str(row.get("personId"))) if a.id == row.get("assetId")]
        if any(a.owner_id != call.user.id for a, _ in found):
            raise no_access("person.create")
        results.append(wire.person(person))
        for asset, face in found:
            portraits.give(call.library, asset, face, person, thumbnails=call.thumbnails)
    return results


@route("DELETE", "/api/people/{id}", "person.delete", status=204)
def delete(call: Call) -> Any:
    """The person goes, the faces stay, unassigned."""
    portraits.remove(call.library, find_person(call.library, call.user, call.params["id"], "person.delete"))


@route("DELETE", "/api/people", "person.delete", status=204)
def delete_many(call: Call) -> Any:
    """The same for several; one that may not be removed keeps all."""
    for one in [find_person(call.library, call.user, i, "person.delete") for i in call.json().get("ids", [])]:
        portraits.remove(call.library, one)


@route("POST", "/api/people/{id}/merge", "person.merge")
def merge(call: Call) -> Any:
    """Give this person the faces of others, who go."""
    ids = [str(one) for one in call.json().get("ids", [])]
    if call.dialect.has_cluster_groups:
        find_person(call.library, call.user, call.params["id"], "person.merge")
        return _merge_all(call, [call.params["id"], *ids])
    if call.params["id"] in ids:
        raise Problem(400, "Cannot merge a person into themselves")
    heir = find_person(call.library, call.user, call.params["id"], "person.update")
    results: list[wire.Json] = []
    for one in ids:
        other = call.library.person_of(one, call.user.id)
        if other:
            portraits.merge(call.library, heir, other)
        results.append({"id": one, "success": bool(other), **({} if other else {"error": _MAY_NOT})})
    return results


@route("POST", "/api/people/merge", "person.merge", since=(3, 2))
def merge_people(call: Call) -> Any:
    """From 3.2 on: the first takes the faces of the others, for every user of the cluster group who has them.

    Where another user named both, theirs stay as they are. 3.2.0 moved the faces of other users all the same, to a person whom they
    may not have: they then see nobody there.
    """
    return _merge_all(call, [str(one) for one in call.json().get("ids", [])])


def _merge_all(call: Call, ids: list[str]) -> list[wire.Json]:
    if len(ids) < 2:
        raise Problem(400, "At least two people are required for merging")
    if len(set(ids)) < len(ids):
        raise Problem(400, "Cannot merge a person into themselves")
    results: list[wire.Json] = []
    heirs: dict[str, Person] = {}  # by owner
    for one in ids:
        if call.library.person_of(one, call.user.id) is None:
            results.append({"id": one, "success": False, "error": _MAY_NOT})
            continue
        for person in [p for p in tuple(call.library.people.values()) if p.id == one]:
            heir = heirs.setdefault(person.owner_id, person)
            clash = (heir.name and person.name) or (heir.birth_date and person.birth_date)
            if heir is not person and (person.owner_id == call.user.id or not clash):
                portraits.merge(call.library, heir, person)
                results.append({"id": one, "success": True})
        if call.dialect.parts == (3, 2, 0):
            for _, face in call.library.faces_of(one):
                face.person_id = heirs[call.user.id].id
    return results


@route("GET", "/api/people/{id}", "person.read")
def get(call: Call) -> Any:
    """One person."""
    return wire.person(find_person(call.library, call.user, call.params["id"]))


@route("GET", "/api/people/{id}/statistics", "person.statistics")
def statistics(call: Call) -> Any:
    """On how many photos of the timeline a person stands."""
    who = find_person(call.library, call.user, call.params["id"])
    shown = [a for a, f in call.library.faces_of(who.id) if a.owner_id == who.owner_id and f.is_visible and f.deleted_at is None]
    return {"assets": len({a.id for a in shown if not a.is_trashed and a.visibility == "timeline"})}


@route("GET", "/api/people/{id}/thumbnail", "person.read")
def thumbnail(call: Call) -> Any:
    """A picture of the photo that the thumbnail was cut from (Immich crops it); 404 where none was made."""
    who: Person = find_person(call.library, call.user, call.params["id"])
    asset = call.library.asset(who.thumbnail) if who.thumbnail else None
    data = thumbnail_bytes(asset, webp=False) if asset else None
    if data is None:
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
    """The caller's people by part of a name, those without faces too."""
    part = call.query.get("name", "").lower()
    hidden = call.query.get("withHidden") == "true"
    return [
        wire.person(p)
        for p in tuple(call.library.people.values())
        if p.owner_id == call.user.id and part in p.name.lower() and (hidden or not p.is_hidden)
    ]
