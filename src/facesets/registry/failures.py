"""Queries about photos that cannot be had: in how many runs they failed, since when, and when they are to be tried again.

A photo that failed in several runs over several days is given up: it holds up no set any more, and is still asked for now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from facesets.records import Reason
from facesets.registry.database import Registry

RUNS, DAYS = 3, timedelta(days=3)  # so often, and over so long, before a failure counts as lasting
AGAIN = timedelta(days=7)  # after which a photo that was given up is tried once more
_ENTER = (
    "INSERT INTO failures (asset, failures, first_at, last_at, updated_at) SELECT id, 1, ?, ?, updated_at FROM assets "
    "WHERE label = ? AND reason IN ({reasons}) "
)


def count(registry: Registry, label: str, reasons: Sequence[Reason], now: datetime) -> int:
    """Count a run's failures of a user's photos that have one of these reasons; returns how many are given up by that.

    What has another reason by now has not failed: its count begins anew, unless it only waits to be fetched again (a photo whose faces
    its source has measured is fetched for a set alone). For the end of a run in which the source itself was there.
    """
    moment, marks = now.isoformat(), ", ".join("?" * len(reasons))
    registry.db.execute(
        _ENTER.format(reasons=marks) + "ON CONFLICT (asset) DO UPDATE SET failures = failures + 1, last_at = excluded.last_at, "
        "updated_at = excluded.updated_at",
        (moment, moment, label, *reasons),
    )
    registry.db.execute(_ENTER.format(reasons="?") + "ON CONFLICT (asset) DO NOTHING", (moment, moment, label, Reason.NOT_AVAILABLE))
    registry.db.execute(
        "DELETE FROM failures WHERE asset IN (SELECT id FROM assets WHERE label = ? "
        "AND reason NOT IN ('faces_error', 'download_error', 'embed_error', 'not_available', 'measured_by_source', 'listed'))",
        (label,),
    )
    return registry.db.execute(
        f"UPDATE assets SET reason = ? WHERE label = ? AND reason IN ({marks}) "
        "AND id IN (SELECT asset FROM failures WHERE failures >= ? AND first_at <= ?)",
        (Reason.NOT_AVAILABLE, label, *reasons, RUNS, (now - DAYS).isoformat()),
    ).rowcount


def try_again(registry: Registry, label: str, now: datetime, *, everything: bool) -> None:
    """Decide again about what was given up: a week after the last attempt, or where its source has another date for it since."""
    where, values = "", (Reason.NOT_AVAILABLE, label)
    if not everything:
        where = " AND (last_at <= ? OR failures.updated_at IS NOT assets.updated_at)"
        values = (*values, (now - AGAIN).isoformat())  # type: ignore[assignment]
    ids = [
        row[0]
        for row in registry.db.execute(
            f"SELECT id FROM assets LEFT JOIN failures ON asset = id WHERE reason = ? AND label = ?{where}", values
        )
    ]
    registry.db.executemany("UPDATE assets SET reason = 'listed', detail = NULL WHERE id = ?", ((row_id,) for row_id in ids))
    registry.db.executemany(
        "UPDATE failures SET last_at = ?, updated_at = (SELECT updated_at FROM assets WHERE id = asset) WHERE asset = ?",
        ((now.isoformat(), row_id) for row_id in ids),
    )
