"""Testing room: faces: listed by asset, drawn by hand, given to a person, taken away. None of it touches the asset's ``updatedAt``."""

from __future__ import annotations

from typing import Any

from .. import wire
from ..auth import find_asset, find_own_asset, find_person, require_uuid
from ..dialects import no_access
from ..records import Asset, Face
from ..routing import Call, route
from ..transport import Response


@route("GET", "/api/faces", "face.read")
def faces(call: Call) -> Any:
    """The visible faces of one asset, in the edited frame."""
    asset = find_asset(call.library, call.user, call.query.get("id"))
    return [wire.face_with_person(f, asset, call.library, call.dialect, call.user.id) for f in wire.visible_faces(asset)]


@route("POST", "/api/faces", "face.create", status=201)
def create(call: Call) -> Any:
    """A face drawn by hand: x, y, width and height in a frame of the caller's choice."""
    body = call.json()
    permission = "asset.update" if call.dialect.modern else "asset.read"
    asset = find_own_asset(call.library, call.user, body.get("assetId"), permission)
    person = find_person(call.library, call.user, body.get("personId"))
    x, y, width, height = (int(body[k]) for k in ("x", "y", "width", "height"))
    face = Face(
        id=call.library.new_id("face"),
        x1=x,
        y1=y,
        x2=x + width,
        y2=y + height,
        image_width=int(body["imageWidth"]),
        image_height=int(body["imageHeight"]),
        person_id=person.id,
        source_type="manual",
        updated_at=call.library.now(),
    )
    asset.faces.insert(0, face)
    return Response(201, stream=iter(()))


@route("PUT", "/api/faces/{id}", "face.update")
def reassign(call: Call) -> Any:
    """Give the face named in the body to the person in the path; answers with the person."""
    person = find_person(call.library, call.user, call.params["id"])
    _, face = find_face(call, call.json().get("id"))
    face.person_id = person.id
    face.updated_at = call.library.now()
    return wire.person(person, call.dialect)


@route("DELETE", "/api/faces/{id}", "face.delete", status=204)
def delete(call: Call) -> Any:
    """Take a face away: for good with ``force``, else marked deleted."""
    asset, face = find_face(call, call.params["id"])
    if call.json().get("force") is True:
        asset.faces.remove(face)
    else:
        face.deleted_at = face.updated_at = call.library.now()


def find_face(call: Call, face_id: str | None) -> tuple[Asset, Face]:
    """A face on one of the caller's own assets. Raises 400."""
    wanted = require_uuid(face_id)
    for asset in call.library.owned_by(frozenset({call.user.id})):
        for face in asset.faces:
            if face.id == wanted:
                return asset, face
    raise no_access("face.read")
