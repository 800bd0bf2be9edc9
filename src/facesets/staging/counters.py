"""Staging room: what one staging did, by reason. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..immich.listing import Reconciliation
from ..records import Reason, State

_NAMES = {
    Reason.STAGED: "staged_count",
    Reason.DUP_EXISTING: "deduped_against_existing",
    Reason.DUP_STAGED: "deduped_against_staged",
    Reason.LISTED: "left_to_measure",
}
_ALWAYS = (
    *(Reason.STAGED, Reason.DUP_EXISTING, Reason.DUP_STAGED, Reason.NO_BIG_FACE, Reason.NO_FACES),
    *(Reason.DOWNLOAD_ERROR, Reason.FACES_ERROR, Reason.EXCLUDED_PATH, Reason.OTHER_OWNER),
)

_SHOWN = 5  # unknown values; a server may send any number of them


@dataclass(slots=True)
class StageCounters:
    """What one staging did. ``total_assets_seen`` is ``already_settled`` plus the sum of ``by_reason``."""

    total_assets_seen: int = 0  # that the source has
    listed: int = 0  # named by this listing: all of them, or what changed
    already_settled: int = 0  # decided by an earlier run
    by_reason: Counter[Reason] = field(default_factory=Counter)  # decided by this one
    reconciliation: Reconciliation | None = None  # the listing counted in more than one way
    gone: int = 0  # were listed once, are no more
    downloads: int = 0
    bytes_downloaded: int = 0  # of originals
    bytes_saved: int = 0  # of originals that were here already: known by hash, by samples, or from an interrupted download
    renditions: int = 0  # photos of which the server's own picture was taken, since no decoder took the original
    unknown: Counter[str] = field(default_factory=Counter)  # assets left aside for a value that only newer servers know, by value
    edits_not_understood: int = 0  # edited photos whose boxes could not be brought back into the original
    requests: int = 0
    seconds: float = 0.0

    @property
    def retryable(self) -> int:
        """How many may succeed next time."""
        return sum(n for reason, n in self.by_reason.items() if reason.state is State.RETRY)

    def notes(self) -> list[str]:
        """What the user must see of it: what this version did not understand."""
        told = [f"{n:,} assets are left aside for their {what}." for what, n in self.unknown.most_common(_SHOWN)]
        if others := len(self.unknown) - len(told):
            told.append(f"{others:,} more values that the server sent are not known to this version of facesets.")
        if self.edits_not_understood:
            told.append(
                f"{self.edits_not_understood:,} edited photos are searched whole, as it is not known where in the original "
                "their faces are: the key lacks asset.edit.get, or the edit is of a kind that is not known here (the run's log tells)."
            )
        return told

    def as_dict(self) -> dict[str, Any]:
        """Counters by name: the yardstick's names, ``skipped_<reason>`` for the rest (``skipped_no_faces``, ...)."""
        told = {_NAMES.get(r, f"skipped_{r}"): self.by_reason[r] for r in (*_ALWAYS, *sorted(self.by_reason))}
        return {
            "total_assets_seen": self.total_assets_seen,
            "listed": self.listed,
            **told,
            "already_settled": self.already_settled,
            "gone": self.gone,
            "downloads": self.downloads,
            "bytes_downloaded": self.bytes_downloaded,
            "bytes_saved": self.bytes_saved,
            "renditions": self.renditions,
            "unknown_values": dict(self.unknown.most_common(_SHOWN)),
            "edits_not_understood": self.edits_not_understood,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "reconciliation": None if self.reconciliation is None else self.reconciliation.as_dict(),
        }
