"""Photos that a pack has been through, and whose source has a face since where none was looked for: drawn by hand, or found late.

They are looked through again, with the bytes that are here or are fetched again. What was measured stays; what is new comes beside
it. A face of which the source's word is all there is goes where that is taken back, unless it is in a set or somebody's word is on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from facesets.exchange import QueueEntry
from facesets.faces.crop_store import crop_file
from facesets.faces.describe import UNSEEN, face_id
from facesets.faces.known_boxes import shows
from facesets.records import Box, FaceBox, Reason, State
from facesets.registry import AssetRow, Registry, assets, copies, measurements, originals, photos, same_places
from facesets.workspace import Workspace

_BATCH = 1000  # photos a transaction


def with_boxes(registry: Registry, entry: QueueEntry, row: AssetRow, wanted: float) -> QueueEntry:
    """The entry with the boxes that the source has now; ``people``: those that count, with a short side of ``wanted`` pixels."""
    placed = _placed(registry, row)
    counting = tuple(box for source, box in placed if source.person_id and _short(box) >= wanted)
    return replace(entry, boxes=tuple(box for _, box in placed), people=counting)


def digest_of(entry: QueueEntry, wanted: float) -> str:
    """Of the boxes that count, and of whether they are somebody's."""
    counting = [box for box in entry.boxes if _short(box) >= wanted]
    return hashlib.sha256(json.dumps([sorted(counting), sorted(entry.people)]).encode()).hexdigest()[:32]


def to_look_at(workspace: Workspace, registry: Registry, label: str, pack: str) -> list[AssetRow]:
    """A user's photos in which this pack was not told of a face that counts and that it has not measured.

    Faces that hung on the source's word alone, and of which that is taken back, are dropped on the way.
    """
    wanted, found, after = workspace.settings.gates.min_face_short, list[AssetRow](), 0
    while anew := list(islice(measurements.told_anew(registry, label, pack, wanted, after), _BATCH)):
        after = anew[-1][0]
        with registry.transaction():
            for photo_id, row_id, told, stamp in anew:
                row = assets.get(registry, row_id)
                entry = with_boxes(registry, QueueEntry(row.asset.asset_id, ""), row, wanted)
                now = digest_of(entry, wanted)
                counting = [box for box in entry.boxes if _short(box) >= wanted]
                left = _without_withdrawn(workspace, registry, row, pack, entry.people)
                if told == now or all(any(shows(box, one) for one in left) for box in counting):
                    measurements.set_told(registry, photo_id, pack, now, stamp)
                else:
                    found.append(row)
    return found


def stage_again(workspace: Workspace, registry: Registry, rows: Sequence[AssetRow]) -> list[AssetRow]:
    """Have photos looked through again whose bytes are here; returns the others."""
    here = [row for row in rows if row.path is not None and (workspace.root / row.path).is_file()]
    with registry.transaction():
        assets.settle_many(registry, ((row.id, Reason.STAGED, None) for row in here if row.reason.state is State.DONE))
    ids = {row.id for row in here}
    return [row for row in rows if row.id not in ids]


def _without_withdrawn(workspace: Workspace, registry: Registry, row: AssetRow, pack: str, people: Sequence[Box]) -> list[Box]:
    """Drop faces of a photo that hang on boxes which the source has no longer as somebody's; returns where the others are."""
    assert row.photo_id is not None
    assert row.sha256 is not None
    measured = measurements.of_photo(registry, row.photo_id, pack, UNSEEN)
    told = {face_id(row.sha256, pack, (round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2))) for x1, y1, x2, y2 in people}
    gone = [one.key for one in measured if one.unseen and one.is_free and one.key not in told]
    measurements.drop(registry, gone)
    for key in gone:
        crop_file(workspace, key).unlink(missing_ok=True)
    if gone and len(gone) == len(measured):
        measurements.set_faceless(registry, row.photo_id, pack)
        originals.settle_bytes(registry, row.sha256, Reason.EMBEDDED_NO_FACE)
    return [one.box for one in measured if one.key not in gone]


def _placed(registry: Registry, row: AssetRow) -> list[tuple[FaceBox, Box]]:
    """The source's boxes in oriented pixels of the picture that is here, as far as they have a place there, those of its copies too."""
    asset, size = row.asset, None
    if row.pixels != "original":  # another picture of it has a size of its own, known once it was looked through
        size = None if row.photo_id is None else photos.size(registry, row.photo_id)
    elif asset.width and asset.height:
        size = asset.width, asset.height
    if size is None:
        return []
    others = copies.boxes(registry, [row.id]).get(row.id, {})
    return united([placed(boxes, size) for boxes in (asset.boxes or (), *others.values())])


def placed(boxes: Iterable[FaceBox], size: tuple[int, int]) -> list[tuple[FaceBox, Box]]:
    """Boxes, and where they lie in a picture of this size; without those that lie nowhere in it."""
    found = ((box, box.scaled_to(*size)) for box in boxes)
    return [(box, place) for box, place in found if place is not None]


def united(each: Sequence[Sequence[tuple[FaceBox, Box]]]) -> list[tuple[FaceBox, Box]]:
    """What several copies of a photo are told of its faces: the first one's, and of the others what lies elsewhere.

    Where the first has nobody at a place, and another has somebody, it is that one's.
    """
    found = list(each[0])
    for others in each[1:]:
        pairs = same_places([place for _, place in others], [place for _, place in found])
        for at, (box, place) in enumerate(others):
            if at not in pairs:
                found.append((box, place))
            elif found[pairs[at]][0].person_id is None:
                known, there = found[pairs[at]]
                found[pairs[at]] = replace(known, person_id=box.person_id, person_name=box.person_name), there
    return found


def _short(box: Box) -> float:
    return min(box[2] - box[0], box[3] - box[1])
