"""Queries for a server that was set up anew: the same photos under other ids, of the same person under another user id.

What is known hangs on photos by their content, and on rows of assets. So each row whose content is there again takes the new ids, and
all that hangs on it stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from facesets.records import Asset, Reason, User
from facesets.registry import decisions, listings, sync_stream
from facesets.registry.database import Registry

# decided by what that server said of their faces, which this one has to be asked
_ASIDE = (Reason.NO_FACES, Reason.NO_BIG_FACE, Reason.NOT_SCANNED, Reason.FACES_ERROR)


class Matches:
    """Which rows of a user's assets are there again, by content: an upload by its SHA-1, a library's file by path and size."""

    def __init__(self, registry: Registry, user: User) -> None:
        self.registry, self.user = registry, user
        self.found = dict[int, str]()  # row id -> the asset's id now
        files = (
            "SELECT original_path, size_bytes, id FROM assets WHERE owner_id = ? AND library_id IS NOT NULL ORDER BY seen_run = 0, id"
        )
        self._files = dict[tuple[str, int | None], int]()
        for path, size, row_id in registry.db.execute(files, (user.user_id,)):
            self._files.setdefault((path, size), row_id)

    def look(self, asset: Asset) -> None:
        """Find the row of an asset's content; each row is of one."""
        if asset.sha1 is None:
            row_id = self._files.get((asset.original_path, asset.size_bytes))
        else:
            sql = "SELECT id FROM assets WHERE sha1 = ? AND owner_id = ? ORDER BY seen_run = 0, library_id IS NOT NULL, id"
            rows = self.registry.db.execute(sql, (asset.sha1, self.user.user_id))
            row_id = next((row[0] for row in rows if row[0] not in self.found), None)
        if row_id is not None:
            self.found.setdefault(row_id, asset.asset_id)

    def share(self) -> tuple[int, int]:
        """How many photos were present when the server was last listed, and how many of these are there again."""
        ids = [row[0] for row in self.registry.db.execute(
            "SELECT id FROM assets WHERE owner_id = ? AND seen_run > 0 AND type = 'IMAGE'", (self.user.user_id,)
        )]  # fmt: skip
        return len(ids), sum(row_id in self.found for row_id in ids)


def rebind(registry: Registry, before: User, now: User, found: Mapping[int, str]) -> None:
    """The user has this id ``now``; the rows in ``found`` have the new ids, and what the old server said of faces is asked anew."""
    db = registry.db
    with registry.transaction():
        there = dict(db.execute("SELECT asset_id, reason = 'other_owner' FROM assets WHERE owner_id = ?", (now.user_id,)).fetchall())
        taken = {row_id: asset_id for row_id, asset_id in found.items() if there.get(asset_id, True)}
        _move_decisions(registry, before.user_id, now.user_id, taken)
        for row_id, asset_id in taken.items():
            (old,) = db.execute("SELECT asset_id FROM assets WHERE id = ?", (row_id,)).fetchone()
            db.execute("UPDATE assets SET detail = replace(detail, ?, ?) WHERE kept_id = ?", (old, asset_id, row_id))
            # shown to somebody here, it is listed already, as another owner's: that row makes way, and no row is ever deleted
            db.execute(
                "UPDATE assets SET asset_id = asset_id || ' of ' || owner_id, owner_id = ?, seen_run = 0, reason = 'gone' "
                "WHERE owner_id = ? AND asset_id = ?",
                (before.user_id, now.user_id, asset_id),
            )
        aside = ", ".join(f"'{reason}'" for reason in _ASIDE)
        db.executemany(
            "UPDATE assets SET owner_id = ?, asset_id = ?, "
            f"boxes = CASE WHEN boxes IS NOT NULL AND reason NOT IN ({aside}) THEN '[]' END, "
            f"reason = CASE WHEN reason IN ({aside}) THEN 'listed' ELSE reason END WHERE id = ?",
            ((now.user_id, asset_id, row_id) for row_id, asset_id in taken.items()),
        )
        db.executemany(
            "UPDATE faces SET source_face_id = NULL, source_person_id = NULL "
            "WHERE photo_id = (SELECT photo_id FROM assets WHERE id = ?)",
            ((row_id,) for row_id in taken),
        )
        db.execute("UPDATE users SET user_id = ?, name = ? WHERE label = ?", (now.user_id, now.name, now.label))
        sync_stream.clear(registry, now.label)
        listings.set_cursor(registry, now.label, "immich", None)


def _move_decisions(registry: Registry, before: str, now: str, taken: Mapping[int, str]) -> None:
    """What decisions say stays; where a face's photo is found today changes."""
    rows = registry.db.execute("SELECT id, asset_id FROM assets WHERE owner_id = ?", (before,))
    ids = {old: taken[row_id] for row_id, old in rows if row_id in taken}

    def moved(said: Any) -> Any:
        if isinstance(said, dict):
            if said.get("owner") == before and said.get("asset") in ids:
                return {**said, "owner": now, "asset": ids[said["asset"]]}
            return {name: moved(value) for name, value in said.items()}
        return [moved(one) for one in said] if isinstance(said, list) else said

    for made in decisions.select(registry):
        payload = moved(dict(made.payload))
        if payload != made.payload:
            registry.db.execute("UPDATE decisions SET payload = ? WHERE id = ?", (json.dumps(payload, sort_keys=True), made.id))


def match(registry: Registry, before: User, listing: Iterable[Asset], now: str) -> Matches:
    """What of a user's photos is in this ``listing`` of the user id ``now``."""
    matches = Matches(registry, before)
    for asset in listing:
        if asset.owner_id == now:
            matches.look(asset)
    return matches
