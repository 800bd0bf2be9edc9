"""The sources room: who has photos. A Source lists assets, tells face boxes where it knows them, and hands over bytes.

Knows no registry, except for binding a label to its owner, and decides nothing: staging does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..immich.listing import Reconciliation
from ..immich.timeline import Bucket
from ..progress import Progress
from ..records import Asset, FaceBox, User

if TYPE_CHECKING:
    from .changes import Changes
    from .stream import Stream


@dataclass(frozen=True, slots=True)
class Fetched:
    """An original's bytes at ``path`` (the asked target, or where it lies already), with digests in hex.

    ``taken_at`` and ``size_pixels`` (oriented width, height) only where the source learns them no earlier than from the bytes;
    ``spared``: bytes of it that had come before; ``pixels``: whether it is the original, or the server's fullsize or preview of it.
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
    def tells_faces(self) -> bool:
        """Whether it knows where faces are; where not, every photo is worth embedding."""

    @property
    def work(self) -> Work:
        """What it has done so far."""

    @property
    def mark(self) -> str | None:
        """How far the last listing has told, for ``changes``; None where it cannot be taken up again."""

    @property
    def changes(self) -> Changes | None:
        """What tells the changes since a mark; None where only listing everything does."""

    @property
    def stream(self) -> Stream | None:
        """What tells the faces of all assets at once, and then what changed of them; None where there is no login."""

    @property
    def reconciliation(self) -> Reconciliation | None:
        """The last listing, counted in more than one way; None where there is one way only."""

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every item there is, each once, photos or not."""

    def stacked(self, on_top: Mapping[tuple[str, str, bool], int]) -> Iterator[tuple[Bucket | None, set[str]]]:
        """Buckets, and which of their asset ids lie beneath another of their stack (None: of all buckets).

        Buckets that have as many ``on_top`` as are known may be passed over.
        """

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """The face boxes of an asset whose ``boxes`` are None. Raises ServerError."""

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """Its original, whole and checked, at ``target`` or in place; or the next best picture of it: ``fullsize``, ``preview``.

        Raises NotFound, Unreachable, OSError.
        """

    def preview(self, asset: Asset) -> bytes:
        """A smaller picture of it, enough to see faces on. Raises NotFound, MissingPermission, Unreachable."""

    def looks_like(self, asset: Asset, other: Path) -> bool:
        """Whether samples of its original equal those of the file ``other``. Raises as :meth:`fetch`."""

    def stop(self) -> None:
        """End all that is under way in other threads; who waits for it gets Unreachable, and nothing can be asked any more."""
