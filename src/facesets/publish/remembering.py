"""Keep what Immich says, or has just been told, as a run would: names, whose its faces are. So that what is said of it here is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from facesets.publish import diff
from facesets.publish.there import There
from facesets.records import FaceBox, SourcePerson, User
from facesets.registry import PublishedStep, Registry, assets, listings, source_people


def remember(registry: Registry, there: There) -> None:
    """What Immich was asked for a diff: people, and faces of the assets that were looked at."""
    user = there.source.user
    with registry.transaction():
        told = [SourcePerson(user.user_id, p.person_id, p.name, p.birth_date, p.is_hidden) for p in there.listed]
        source_people.replace(registry, user.label, told)
        for row in listings.owned(registry, user.user_id, sorted(there.boxes)):
            boxes = there.boxes[row.asset.asset_id]
            if boxes != row.asset.boxes and all(min(box.image_width, box.image_height) > 0 for box in boxes):
                assets.set_boxes(registry, row.id, boxes)


def remember_written(registry: Registry, user: User, write: diff.Write, result: Mapping[str, Any]) -> None:
    """A write that was done. Joins the caller's transaction."""
    wanted = write.wanted
    match write.action:
        case diff.NAME:
            _called(registry, user, wanted["person"], wanted["name"])
        case diff.FACE:
            _given(registry, user, wanted["asset"], wanted["face"], wanted["person"])
        case diff.DRAW if "face" in result:
            (x1, y1, x2, y2), (width, height) = wanted["box"], wanted["frame"]
            new = FaceBox(x1, y1, x2, y2, width, height, result["face"], wanted["person"])
            for row_id, boxes in _boxes(registry, user, wanted["asset"]):
                assets.set_boxes(registry, row_id, [*boxes, new])


def remember_taken_back(registry: Registry, user: User, step: PublishedStep) -> None:
    """A write that was taken back. Joins the caller's transaction."""
    wanted, before = step.wanted, step.before
    match step.action:
        case diff.MAKE:
            source_people.put(registry, user.label, {step.result["person"]: None})
        case diff.NAME:
            _called(registry, user, wanted["person"], before["name"])
        case diff.FACE:
            _given(registry, user, wanted["asset"], wanted["face"], before["person"])
        case diff.DRAW:
            for row_id, boxes in _boxes(registry, user, wanted["asset"]):
                assets.set_boxes(registry, row_id, [box for box in boxes if box.face_id != step.result.get("face")])


def _called(registry: Registry, user: User, person_id: str, name: str) -> None:
    known = {one.person_id: one for one in source_people.select(registry, user.label, user.user_id)}
    one = known.get(person_id, SourcePerson(user.user_id, person_id, name, None, False))
    source_people.put(registry, user.label, {person_id: replace(one, name=name)})


def _given(registry: Registry, user: User, asset_id: str, face_id: str, person_id: str | None) -> None:
    for row_id, boxes in _boxes(registry, user, asset_id):
        now = [replace(box, person_id=person_id, person_name=None) if box.face_id == face_id else box for box in boxes]
        assets.set_boxes(registry, row_id, now)


def _boxes(registry: Registry, user: User, asset_id: str) -> list[tuple[int, Sequence[FaceBox]]]:
    return [(row.id, row.asset.boxes) for row in listings.owned(registry, user.user_id, [asset_id]) if row.asset.boxes is not None]
