"""Staging room: faces from a login session's stream, all of them once and then what changed. Touches the source and the registry.

One transaction records what the stream sent, and only then the server gets the acknowledgement: killed in between, the same comes
again, and does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from facesets.errors import Unreachable
from facesets.progress import Progress
from facesets.records import Box, FaceBox, User
from facesets.registry import AssetRow, Registry, assets, source_people, sync_stream
from facesets.sources import Stream, StreamedFace, StreamedPerson

log = logging.getLogger(__name__)

_BATCH = 1000  # assets that are looked at together
_ROUNDING = 0.002  # of a picture's side: an edit's boxes are rounded in another frame


def record(registry: Registry, stream: Stream, user: User, progress: Progress, *, full: bool) -> int:
    """Give the user's assets the faces that the stream sends; returns how many assets have others than before.

    Raises the errors of the stream; then nothing of it is kept.
    """
    fact = f"stream:{user.label}"
    reset = full or registry.fact(fact) != stream.fingerprint  # another session has checkpoints of its own
    touched: set[str] | None = set()  # None: everything is sent
    with registry.transaction(), progress.task("streaming faces", unit="rows") as task:

        def clear() -> None:
            nonlocal touched
            touched = None
            sync_stream.clear(registry, user.label)

        def take(rows: Sequence[StreamedFace | StreamedPerson]) -> None:
            _take(registry, user.label, rows, touched)
            task.advance(len(rows))

        acks, _ = stream.follow(take, clear, reset=reset)
        changed = _apply(registry, user, touched)
        sync_stream.set_faceless(registry, user.label, user.user_id)
        registry.set_fact(fact, stream.fingerprint)
    try:
        stream.acknowledge(acks)
    except Unreachable as err:
        log.warning("the server was not reached to acknowledge its stream of faces, and sends the same again: %s", err)
    return changed


def _take(registry: Registry, label: str, rows: Sequence[StreamedFace | StreamedPerson], touched: set[str] | None) -> None:
    """Keep these; the last word on a face or a person counts."""
    faces = {row.face_id: row for row in rows if isinstance(row, StreamedFace)}
    if touched is not None:
        touched.update(filter(None, (sync_stream.asset_of(registry, label, face_id) for face_id in faces)))
        touched.update(filter(None, (row.asset_id for row in faces.values())))
    shown = [(row.face_id, row.asset_id, row.box) for row in faces.values() if row.asset_id is not None and row.box is not None]
    sync_stream.drop_faces(registry, label, faces.keys() - {face_id for face_id, _, _ in shown})
    sync_stream.put_faces(registry, label, shown)
    source_people.put(registry, label, {row.person_id: row.person for row in rows if isinstance(row, StreamedPerson)})


def _apply(registry: Registry, user: User, touched: set[str] | None) -> int:
    """Hand the streamed faces on to the assets: to those ``touched``, or to all."""
    changed = 0
    streamed = sync_stream.boxes(registry, user.label, None if touched is None else sorted(touched))
    while batch := dict(islice(streamed, _BATCH)):
        found = [(row, batch[row.asset.asset_id]) for row in sync_stream.rows(registry, user.user_id, batch)]
        others = [(row, boxes) for row, boxes in found if row.asset.boxes is None or differ(row, boxes)]
        sync_stream.apply(registry, others)
        changed += len(others)
        reassign(registry, [(row, boxes) for row, boxes in found if row.asset.boxes and not differ(row, boxes)])
    bereft = [] if touched is not None else sync_stream.bereft(registry, user.label, user.user_id)
    sync_stream.apply(registry, [(row, ()) for row in bereft])
    return changed + len(bereft)


def reassign(registry: Registry, reported: Sequence[tuple[AssetRow, tuple[FaceBox, ...]]]) -> None:
    """Keep whose the faces of these assets are now; they are where they were, so nothing else is decided again."""
    for row, boxes in reported:
        now = {box.face_id: box for box in boxes}
        before = row.asset.boxes or ()
        if any(box.person_id != now[box.face_id].person_id for box in before):
            others = (now[box.face_id] for box in before)
            named = (replace(box, person_id=o.person_id, person_name=o.person_name) for box, o in zip(before, others, strict=True))
            assets.set_boxes(registry, row.id, tuple(named))


def differ(row: AssetRow, now: tuple[FaceBox, ...]) -> bool:
    """Whether the source has other faces than it had, or a place that is off by more than rounding; whose they are does not count,
    nor in which frame they are given.
    """
    before, after = (sorted(boxes, key=lambda box: box.face_id) for boxes in (row.asset.boxes or (), now))
    return [box.face_id for box in before] != [box.face_id for box in after] or any(map(_moved, before, after))


def _moved(before: FaceBox, after: FaceBox) -> bool:
    here, there = _place(before), _place(after)
    if (here is None) != (there is None):
        return here is None  # what was known is better than what is not
    if here is None or there is None:
        return (before.x1, before.y1, before.x2, before.y2) != (after.x1, after.y1, after.x2, after.y2)
    return any(abs(one - other) > _ROUNDING for one, other in zip(here, there, strict=True))


def _place(box: FaceBox) -> Box | None:
    """Where a box is, in shares of the picture; None where its frame has no size."""
    width, height = box.image_width, box.image_height
    return (box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height) if min(width, height) > 0 else None
