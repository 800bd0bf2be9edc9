"""Staging room: what one staging did, by reason. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from facesets.records import Reason, State
from facesets.sources import Reconciliation
from facesets.wording import count_of, plural

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
    bytes_saved: int = 0  # of originals that were here already: known by hash or by samples, or fetched by an interrupted run
    renditions: int = 0  # photos of which the server's own picture was taken, since no decoder took the original
    unknown: Counter[str] = field(default_factory=Counter)  # assets left aside for a value that only newer servers know, by value
    other_bytes: int = 0  # photos whose file is not the one that the server lists
    faces_asked_again: int = 0  # photos that the source was asked for their faces anew, since it marks no change of these
    faces_changed: int = 0  # of them, those that had others than before
    edits_not_understood: int = 0  # edited photos whose boxes could not be brought back into the original
    requests: int = 0
    seconds: float = 0.0

    @property
    def retryable(self) -> int:
        """How many may succeed next time."""
        return sum(n for reason, n in self.by_reason.items() if reason.state is State.RETRY)

    def notes(self) -> list[str]:
        """What the user must see of it: what this version did not understand."""
        notes = [
            f"{count_of(n, 'asset')} {plural(n, 'is')} left aside for {'its' if n == 1 else 'their'} {what}."
            for what, n in self.unknown.most_common(_SHOWN)
        ]
        if others := len(self.unknown) - len(notes):
            notes.append(
                f"{count_of(others, 'more value')} that the server sent {plural(others, 'is')} not known to this version of facesets."
            )
        if n := self.other_bytes:
            notes.append(
                f"The file{'s' if n > 1 else ''} of {n:,} photo{'s are' if n > 1 else ' is'} not what the server lists "
                "(another checksum): changed behind Immich's back, or a faulty disk. They are asked for again when the server lists "
                "another checksum or date, once a week "
                "and with --full."
            )
        if n := self.edits_not_understood:
            notes.append(
                f"{count_of(n, 'edited photo')} {plural(n, 'is')} searched whole, as nothing says where in the original the faces "
                "are: the key lacks asset.edit.get, or the edit is of an unknown kind (the run's log says which)."
            )
        return notes

    def as_dict(self) -> dict[str, Any]:
        """Counters by name: the yardstick's names, ``skipped_<reason>`` for the rest (``skipped_no_faces``, ...)."""
        named = {_NAMES.get(r, f"skipped_{r}"): self.by_reason[r] for r in (*_ALWAYS, *sorted(self.by_reason))}
        return {
            "total_assets_seen": self.total_assets_seen,
            "listed": self.listed,
            **named,
            "already_settled": self.already_settled,
            "gone": self.gone,
            "downloads": self.downloads,
            "bytes_downloaded": self.bytes_downloaded,
            "bytes_saved": self.bytes_saved,
            "renditions": self.renditions,
            "unknown_values": dict(self.unknown.most_common(_SHOWN)),
            "edits_not_understood": self.edits_not_understood,
            "faces_asked_again": self.faces_asked_again,
            "faces_changed": self.faces_changed,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "reconciliation": None if self.reconciliation is None else self.reconciliation.as_dict(),
        }
