"""Staging room: faces from a login session's stream, all of them once and then what changed. Touches the source and the registry.

One transaction takes in what the stream told, and only then the server is told that it is kept: killed in between, the same comes
again, and does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..immich.session import FaceRow, PersonRow, Row
from ..progress import Progress
from ..records import Box, FaceBox, User
from ..registry import Registry, streamed
from ..registry.assets import AssetRow
from ..sources.stream import Stream

_BATCH = 1000  # assets that are looked at together
_ROUNDING = 0.002  # of a picture's side: an edit's boxes are rounded in another frame


def record(registry: Registry, stream: Stream, user: User, progress: Progress, *, full: bool) -> int:
    """Give the user's assets the faces that the stream tells; returns how many assets have others than before.

    Raises the errors of the stream; then nothing of it is kept.
    """
    fact = f"stream:{user.label}"
    reset = full or registry.fact(fact) != stream.fingerprint  # another session has checkpoints of its own
    touched: set[str] | None = set()  # None: everything is told
    with registry.transaction(), progress.task("streaming faces", unit="rows") as task:

        def clear() -> None:
            nonlocal touched
            touched = None
            streamed.clear(registry, user.label)

        def take(rows: Sequence[Row]) -> None:
            _take(registry, user.label, rows, touched)
            task.advance(len(rows))

        acks, _ = stream.follow(take, clear, reset=reset)
        changed = _apply(registry, user, touched)
        streamed.faceless(registry, user.label, user.user_id)
        registry.set_fact(fact, stream.fingerprint)
    stream.acknowledge(acks)
    return changed


def _take(registry: Registry, label: str, rows: Sequence[Row], touched: set[str] | None) -> None:
    """Keep these; the last word on a face or a person counts."""
    faces = {row.face_id: row for row in rows if isinstance(row, FaceRow)}
    if touched is not None:
        touched.update(filter(None, (streamed.asset_of(registry, label, face_id) for face_id in faces)))
        touched.update(filter(None, (row.asset_id for row in faces.values())))
    shown = [(row.face_id, row.asset_id, row.box) for row in faces.values() if row.asset_id is not None and row.box is not None]
    streamed.drop_faces(registry, label, faces.keys() - {face_id for face_id, _, _ in shown})
    streamed.put_faces(registry, label, shown)
    streamed.put_people(registry, label, {row.person_id: row.name for row in rows if isinstance(row, PersonRow)})


def _apply(registry: Registry, user: User, touched: set[str] | None) -> int:
    """Hand the streamed faces on to the assets: to those ``touched``, or to all."""
    changed = 0
    told = streamed.boxes(registry, user.label, None if touched is None else sorted(touched))
    while batch := dict(islice(told, _BATCH)):
        found = ((row, batch[row.asset.asset_id]) for row in streamed.rows(registry, user.user_id, batch))
        others = [(row, boxes) for row, boxes in found if row.asset.boxes is None or differ(row, boxes)]
        streamed.apply(registry, others)
        changed += len(others)
    bereft = [] if touched is not None else streamed.bereft(registry, user.label, user.user_id)
    streamed.apply(registry, [(row, ()) for row in bereft])
    return changed + len(bereft)


def differ(row: AssetRow, told: tuple[FaceBox, ...]) -> bool:
    """Whether the source tells of other faces than it did, or of a place that is off by more than rounding; whose they are does not
    count, nor in which frame they are told.
    """
    before, after = (sorted(boxes, key=lambda box: box.face_id) for boxes in (row.asset.boxes or (), told))
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
