"""Staging room: faces from a login session's stream, all of them once and then what changed. Touches the source and the registry.

One transaction takes in what the stream told, and only then the server is told that it is kept: killed in between, the same comes
again, and does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..immich.session import FaceRow, Row
from ..progress import Progress
from ..records import FaceBox, User
from ..registry import Registry, streamed
from ..registry.assets import AssetRow
from ..sources.stream import Stream


def record(registry: Registry, stream: Stream, user: User, progress: Progress, *, full: bool) -> int:
    """Give the user's assets the faces that the stream tells; returns how many assets have others than before.

    Raises the errors of the stream; then nothing of it is kept.
    """
    fact = f"stream:{user.label}"
    reset = full or registry.fact(fact) != stream.fingerprint  # another session has checkpoints of its own
    touched = set[str]()
    with registry.transaction(), progress.task("streaming faces", unit="rows") as task:

        def take(rows: Sequence[Row]) -> None:
            for row in rows:
                _take(registry, user.label, row, touched)
            task.advance(len(rows))

        acks, everything = stream.follow(take, lambda: streamed.clear(registry, user.label), reset=reset)
        changed = _apply(registry, user, None if everything else touched)
        streamed.faceless(registry, user.label, user.user_id)
        registry.set_fact(fact, stream.fingerprint)
    stream.acknowledge(acks)
    return changed


def _take(registry: Registry, label: str, row: Row, touched: set[str]) -> None:
    if not isinstance(row, FaceRow):
        streamed.put_person(registry, label, row.person_id, row.name)
        return
    before = streamed.asset_of(registry, label, row.face_id)
    touched.update(filter(None, (before, row.asset_id)))
    if row.asset_id is None or row.box is None:
        streamed.drop_face(registry, label, row.face_id)
    else:
        streamed.put_face(registry, label, row.face_id, row.asset_id, row.box)


def _apply(registry: Registry, user: User, touched: set[str] | None) -> int:
    """Hand the streamed faces on to the assets: to those ``touched``, or to all."""
    changed = 0
    for asset_id, boxes in streamed.boxes(registry, user.label, None if touched is None else sorted(touched)):
        for row in streamed.rows(registry, user.user_id, [asset_id]):
            if row.asset.boxes is None or differ(row, boxes):
                streamed.apply(registry, row, boxes)
                changed += 1
    for row in streamed.bereft(registry, user.label, user.user_id) if touched is None else ():
        streamed.apply(registry, row, ())
        changed += 1
    return changed


def differ(row: AssetRow, told: tuple[FaceBox, ...]) -> bool:
    """Whether the source tells of other faces than it did; whose they are does not count."""
    return _places(row.asset.boxes or ()) != _places(told)


def _places(boxes: tuple[FaceBox, ...]) -> list[tuple[object, ...]]:
    return [(box.face_id, box.x1, box.y1, box.x2, box.y2) for box in boxes]
