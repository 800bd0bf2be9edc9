"""Faces: listed by asset, drawn by hand, given to a person, taken away. None of it touches the asset's ``updatedAt``."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich import portraits, wire
from facesets.testing.immich.auth import find_asset, find_own_asset, find_person, require_uuid
from facesets.testing.immich.checks import INT32, face_body, uuid_problem
from facesets.testing.immich.dialects import Problem, invalid, no_access
from facesets.testing.immich.edits import original_box
from facesets.testing.immich.records import Asset, Face
from facesets.testing.immich.routing import Call, route
from facesets.testing.immich.transport import Response


@route("GET", "/api/faces", "face.read")
def faces(call: Call) -> Any:
    """The visible faces of one asset, in the edited frame."""
    asset = find_asset(call.library, call.user, call.query.get("id"))
    return [wire.face_with_person(f, asset, call.library, call.user.id) for f in wire.visible_faces(asset)]


@route("POST", "/api/faces", "face.create", status=201)
def create(call: Call) -> Any:
    """A face drawn by hand: x, y, width and height in a frame of the caller's choice, of the edited picture where there is one.

    No box is refused, however odd. 2.x takes a partner's photo too, since it asks for no more than reading it.
    """
    body = call.json()
    numbers = face_body(body, call.dialect)
    if call.dialect.modern:
        asset = find_own_asset(call.library, call.user, body["assetId"], "asset.update")
    else:
        asset = find_asset(call.library, call.user, body["assetId"])
    person = find_person(call.library, call.user, body["personId"])
    x, y, width, height = (numbers[k] for k in ("x", "y", "width", "height"))
    box = (x, y, x + width, y + height, numbers["imageWidth"], numbers["imageHeight"])
    stored = [round(n) for n in (original_box(asset, box) if asset.edits else box)]
    if any(not -INT32 <= n < INT32 for n in stored):
        raise Problem(500, "Failed to create face")
    x1, y1, x2, y2, frame_width, frame_height = stored
    face = Face(call.library.new_id("face"), x1, y1, x2, y2, frame_width, frame_height, person.id, "manual", has_vector=False)
    face.updated_at = call.library.now()
    asset.faces.insert(0, face)
    if person.face_id is None:
        portraits.feature(call.library, person, asset, face, thumbnails=call.thumbnails)
    return Response(201, stream=iter(()))


@route("PUT", "/api/faces/{id}", "face.update")
def reassign(call: Call) -> Any:
    """Give the face named in the body to the person in the path; answers with the person as it was before a new thumbnail."""
    require_uuid(call.params["id"])
    if wrong := uuid_problem(call.json(), "id"):
        raise Problem(400, "", wrong)
    person = find_person(call.library, call.user, call.params["id"], "person.update")
    asset, face = find_face(call, call.json()["id"], "person.create")
    if asset.is_trashed:
        raise no_access("person.create")
    if face.deleted_at is not None:
        raise Problem(500, "Failed to reassign faces by id")
    answer = wire.person(person)
    portraits.give(call.library, asset, face, person, thumbnails=call.thumbnails)
    return answer


@route("DELETE", "/api/faces/{id}", "face.delete", status=204)
def delete(call: Call) -> Any:
    """Take a face away: for good with ``force``, else marked deleted. A thumbnail made of it stays."""
    if not call.request.body and call.dialect.modern:
        raise invalid("", "type", expected="object", received="undefined")
    force = call.json().get("force")
    if not isinstance(force, bool):
        raise invalid("force", "empty", expected="boolean", received="undefined")
    asset, face = find_face(call, call.params["id"], "face.delete")
    if not force:
        face.deleted_at = face.updated_at = call.library.now()
        return
    asset.faces.remove(face)
    for person in tuple(call.library.people.values()):
        if person.face_id == face.id:
            person.face_id = None


def find_face(call: Call, face_id: str | None, permission: str) -> tuple[Asset, Face]:
    """A face on one of the caller's own assets. Raises 400."""
    wanted = require_uuid(face_id)
    for asset in call.library.owned_by(frozenset({call.user.id})):
        for face in asset.faces:
            if face.id == wanted:
                return asset, face
    raise no_access(permission)
