"""The sources room: who has photos. A Source lists assets, gives face boxes where it knows them, and hands over bytes.

Knows no registry, except for binding a label to its owner, and decides nothing: staging does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from facesets.progress import Progress
from facesets.records import Asset, FaceBox, SourcePerson, User
from facesets.sources.incremental import Changes
from facesets.sources.month import Month
from facesets.sources.sync_stream import Stream


@dataclass(frozen=True, slots=True)
class Fetched:
    """An original's bytes at ``path`` (the asked target, or where it lies already), with digests in hex.

    ``taken_at`` and ``size_pixels`` (oriented width, height) only where the source learns them no earlier than from the bytes;
    ``spared``: bytes of it that were here already; ``pixels``: whether it is the original, or the server's fullsize or preview of it.
    """

    path: Path
    sha256: str
    sha1: str
    size: int
    taken_at: str | None = None
    size_pixels: tuple[int, int] | None = None
    spared: int = 0
    pixels: str = "original"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A listing counted in three ways.

    ``listed`` are all assets it named; ``own`` those of the source's user, of which ``active`` are neither hidden nor in the trash;
    ``timeline`` is the server's count of the user's, month by month, ``statistics`` its own count of the active ones (None: not known).
    """

    listed: int = 0
    own: int = 0
    active: int = 0
    timeline: int | None = None
    statistics: int | None = None
    fetched_singly: int = 0  # lost by the server's paging, and asked for one by one
    lost: int = 0  # named by the timeline, gone when asked for

    @property
    def agrees(self) -> bool:
        """Whether no count contradicts another."""
        return self.timeline in (None, self.own) and self.statistics in (None, self.active)

    def as_dict(self) -> dict[str, Any]:
        """For the summary, with whether it ``agrees`` and that in words."""
        return {**asdict(self), "agrees": self.agrees, "text": str(self)}

    def __str__(self) -> str:
        text = f"{self.listed:,} listed, {self.own:,} of them yours; "
        if not self.agrees:
            text += (
                f"THE COUNTS DIFFER: timeline {_count(self.timeline)}, statistics {_count(self.statistics)} for {self.active:,} active"
            )
        else:
            checks = [name for name in ("timeline", "statistics") if getattr(self, name) is not None]
            text += f"{' and '.join(checks)} agree{'s' if len(checks) == 1 else ''}" if checks else "the server gives no other count"
        if self.fetched_singly:
            text += f"; {self.fetched_singly:,} were lost by the server's paging and fetched one by one"
        if self.lost:
            text += f"; {self.lost:,} of the timeline were gone when asked for"
        return text


def _count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


SAMPLE = 1 << 16  # bytes of each of the three samples by which two files are told apart
SAMPLED = 3 * SAMPLE


@dataclass(frozen=True, slots=True)
class Work:
    """What a source has done so far: requests sent, originals downloaded, bytes received."""

    requests: int = 0
    downloads: int = 0
    bytes: int = 0


class Source(Protocol):
    """Where one user's photos come from. ``boxes`` and ``fetch`` may be called from several threads at a time."""

    @property
    def name(self) -> str:
        """``immich`` or ``folder``."""

    @property
    def user(self) -> User:
        """Whose photos these are; assets of other owners may be listed too."""

    @property
    def knows_faces(self) -> bool:
        """Whether it knows where faces are; where not, every photo is worth embedding."""

    @property
    def work(self) -> Work:
        """What it has done so far."""

    @property
    def unlisted(self) -> Sequence[str]:
        """Where the last listing could not look: paths whose assets may still be there."""

    @property
    def mark(self) -> str | None:
        """How far the last listing got, for ``changes``; None where it cannot be taken up again."""

    @property
    def changes(self) -> Changes | None:
        """What asks for the changes since a mark; None where only listing everything shows them."""

    @property
    def asks(self) -> Changes | None:
        """What asks photos again for their faces: of all of them, or, where the last listing told those of most, of its ``only``.

        None where the source tells all of them by itself.
        """

    @property
    def stream(self) -> Stream | None:
        """Faces of all assets at once, and then what changed of them; None where there is no login."""

    @property
    def reconciliation(self) -> Reconciliation | None:
        """The last listing, counted in more than one way; None where there is one way only."""

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every item there is, each once, photos or not."""

    def stacked(self, on_top: Mapping[Month, int]) -> Iterator[tuple[Month | None, set[str]]]:
        """Months, and which of their asset ids lie beneath another of their stack (None: of all months).

        Months that have as many ``on_top`` as are known may be passed over.
        """

    def people(self) -> Iterator[SourcePerson]:
        """Whom it knows of those on this user's photos. Raises MissingPermission, ServerError."""

    def scanned(self, asset: Asset) -> bool:
        """Whether the source has looked for faces in it, so that "no faces" means something."""

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """The face boxes of an asset whose ``boxes`` are None. Raises ServerError."""

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """Its original, whole and checked, at ``target`` or in place; or the next best picture of it: ``fullsize``, ``preview``.

        Raises NotFound, Unreachable (ChecksumMismatch: it is another file than was listed), OSError.
        """

    def preview(self, asset: Asset) -> bytes:
        """A smaller picture of it, enough to see faces on. Raises NotFound, MissingPermission, Unreachable."""

    def samples_match(self, asset: Asset, other: Path) -> bool:
        """Whether samples of its original equal those of the file ``other``. Raises as :meth:`fetch`."""

    def stop(self) -> None:
        """End all that is under way in other threads with Unreachable; nothing can be asked any more."""
