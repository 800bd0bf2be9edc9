"""Queries about the copies of a photo: other assets, whoever's, with the same bytes. Their source may know a face that it does not
know of the one that stands for the photo: somebody drew it there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from facesets.records import FaceBox, Reason, State
from facesets.registry.assets import REASONS_OF
from facesets.registry.database import Registry

_RETRY, _FAILED, _DUPLICATE = (REASONS_OF[state] for state in (State.RETRY, State.FAILED, State.DUPLICATE))
#: Of these it counts what their source says of their faces; not of what lies in the trash, say, or is of no concern.
SHOWN = (
    *(Reason.LISTED, Reason.STAGED, Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.MEASURED),
    *(*_RETRY, *_FAILED, *_DUPLICATE),
)


def boxes(registry: Registry, row_ids: Sequence[int]) -> dict[int, dict[int, tuple[FaceBox, ...]]]:
    """The face boxes of the copies (row ids, the first listed first) of each of these assets, as far as it has copies with any."""
    these, shown = ", ".join("?" * len(row_ids)), ", ".join("?" * len(SHOWN))
    one = (
        "SELECT a.id AS of, b.id AS copy, b.boxes FROM assets AS a JOIN assets AS b ON b.{same} = a.{same} AND b.id <> a.id "
        f"WHERE a.id IN ({these}) AND b.source = 'immich' AND b.boxes <> '[]' AND b.seen_run > 0 AND +b.reason IN ({shown})"
    )
    rows = registry.db.execute(
        f"{one.format(same='photo_id')} UNION {one.format(same='sha1')} ORDER BY of, copy", (*row_ids, *SHOWN, *row_ids, *SHOWN)
    )
    found: dict[int, dict[int, tuple[FaceBox, ...]]] = {}
    for row_id, copy, text in rows:
        found.setdefault(row_id, {})[copy] = tuple(FaceBox(*box) for box in json.loads(text))
    return found
