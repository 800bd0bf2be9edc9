"""The averages by which people are known follow their faces: members and recognised ones, of all years and of a few."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from facesets.identity import DENSE, YEARS, FaceTable, known_date, quality, spans_of
from facesets.records import Reason
from facesets.registry import Registry, eras, faces, originals, sets
from facesets.settings import ErasSettings

_FACT = "averages"  # pack -> set -> the faces that its averages are of
_THEIRS = (Reason.MEMBER, Reason.RECOGNISED)


def refresh_averages(
    registry: Registry, pack: str, settings: ErasSettings, taken_at: Mapping[str, str | None] | None = None
) -> list[str]:
    """Average anew the people whose faces are others than when it was last done; joins the caller's transaction. Returns their sets.

    Reads the vectors of their faces, no others, and when photos were taken where that is not given. A face is no evidence of the set
    that it was recognised for by mistake: rejected, it is out of the averages with the next run.
    """
    known = json.loads(registry.fact(_FACT) or "{}")
    now = sets.known_faces(registry, pack)
    method = f"{YEARS}/{DENSE}"
    was = known.get(pack, {}) if known.get("method") == method else {}
    stale = [name for name, faces_now in now.items() if was.get(name) != faces_now]
    if not stale:
        return []
    taken_at = originals.taken_at_by_sha256(registry) if taken_at is None else taken_at
    scans = eras.scan_days(registry, settings.scan_day)
    today = datetime.now(UTC).date().isoformat()
    for name in stale:
        rows = list(faces.known(registry, pack, name, _THEIRS))
        spans = []
        if rows:
            dates = [known_date(taken_at.get(row.face.sha256), today=today, scan_days=scans) for row in rows]
            table = FaceTable.of([row.face for row in rows], np.stack([row.vector for row in rows]), dates).canonical()
            spans = spans_of(table.vectors, quality(table), table.taken_at)
        sets.set_averages(registry, name, pack, [(span.first, span.last, span.n, span.vector) for span in spans])
    registry.set_fact(_FACT, json.dumps({**known, "method": method, pack: sets.known_faces(registry, pack)}, sort_keys=True))
    return stale
