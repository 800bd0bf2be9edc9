"""Sources room: a user's library on an Immich server, by the API."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from facesets.errors import BadAnswer, IncompleteBody, MissingPermission, NotFound, ServerError
from facesets.files import FileDigests, digest_file
from facesets.immich import Client, ListingCounts, Server, connect, edits, faces, listing, originals, people, timeline
from facesets.immich import server as api
from facesets.progress import Progress
from facesets.records import Asset, FaceBox, SourcePerson, User
from facesets.settings import Settings
from facesets.sources.incremental import Changes, CursorBuilder
from facesets.sources.month import Month
from facesets.sources.source import SAMPLE, Fetched, Reconciliation, Work
from facesets.sources.sync_stream import Stream

log = logging.getLogger(__name__)


class ImmichSource:
    """One user's photos on one server. ``reconciliation`` is complete once the listing is exhausted."""

    name = "immich"
    knows_faces = True
    unlisted = ()

    def __init__(self, client: Client, user: User, *, server: Server | None = None, page_size: int = 1000, workers: int = 8) -> None:
        self.client, self.user, self.server = client, user, server
        self.page_size, self.workers = page_size, workers
        self.reconciliation = Reconciliation()
        self.mark: str | None = None  # how far the last listing got
        self.stream: Stream | None = None  # with a login: faces in bulk
        self.changes = Changes(client, user, self.boxes, page_size=page_size, workers=workers)
        self._may_ask_edits = True  # until the key turns out to lack asset.edit.get
        self._lock, self._downloads, self._slots = threading.Lock(), 0, threading.BoundedSemaphore(workers)
        self._looks_for_faces: bool | None = None  # whether the server's own face detection is switched on; asked once

    @property
    def asks(self) -> Changes:
        """As ``changes``: the same asks for both."""
        return self.changes

    @property
    def work(self) -> Work:
        """What it has done so far."""
        traffic = self.client.traffic
        return Work(traffic.requests, self._downloads, traffic.bytes)

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every asset the key can see, each once: partners', trashed, offline and archived ones and videos too."""
        counts, self.mark = ListingCounts(), None
        cursor = CursorBuilder(self.client, self.user)
        with progress.task("listing", unit="assets") as task:
            for asset in listing.assets(self.client, self.user.user_id, counts, page_size=self.page_size, workers=self.workers):
                task.advance()
                cursor.note(asset)
                yield asset
        self.reconciliation = Reconciliation(**asdict(counts))
        mark = cursor.mark() if counts.timeline is not None else None
        self.mark = mark.text() if mark else None
        if not self.reconciliation.agrees:
            progress.note(f"The server contradicts itself about what it has: {self.reconciliation}.")

    def stacked(self, on_top: Mapping[Month, int]) -> Iterator[tuple[Month | None, set[str]]]:
        """Of the months that have not as many ``on_top`` as is known, what lies beneath another of its stack."""
        with self.client.threads(self.workers) as pool:
            try:
                there = self.changes.months(timeline.on_top(self.client, pool))
            except (MissingPermission, NotFound):
                return  # then all are taken
        stackable = {month: n for month, n in on_top.items() if month.visibility in timeline.STACKABLE and not month.trashed}
        differing = [month for month, n in stackable.items() if there.get(month, 0) != n]
        every, shown = self.changes.ids(differing), self.changes.ids(differing, collapsed=True)
        for month in differing:
            yield month, every[month] - shown[month]

    def scanned(self, asset: Asset) -> bool:
        """Immich looks for faces on its preview, which it makes together with the thumbhash, and where that is switched on."""
        if self._looks_for_faces is None:
            try:
                self._looks_for_faces = api.looks_for_faces(self.client)
            except ServerError:
                self._looks_for_faces = True
        return self._looks_for_faces and asset.thumbhash is not None

    def people(self) -> Iterator[SourcePerson]:
        """Everybody with a name or several faces, hidden ones too."""
        return people.people(self.client, self.user.user_id)

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """The face boxes of one asset, of an edited one in its original; without a frame where its edits do not tell where that is."""
        found = faces.boxes(self.client, asset.asset_id)
        return self._unedited(asset, found) if asset.is_edited and found else found

    def _unedited(self, asset: Asset, found: tuple[FaceBox, ...]) -> tuple[FaceBox, ...]:
        if self._may_ask_edits:
            try:
                return edits.of(self.client, asset.asset_id).undone(found, asset)
            except MissingPermission as err:
                self._may_ask_edits = False
                log.warning("faces of edited photos are looked for in the original: %s", err)
            except (BadAnswer, NotFound) as err:
                log.warning("%s: its faces are looked for in the original: %s", asset.asset_id, err)
        return tuple(replace(box, image_width=0, image_height=0) for box in found)

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """The original at ``target``; a whole one that an interrupted run left there stays."""
        if pixels != "original":
            return self._rendition(asset, target, pixels)
        done = _already(asset, target)
        if done is not None:
            return Fetched(target, done.sha256, done.sha1, done.size, spared=done.size)
        done = originals.download(self.client, asset.asset_id, target, sha1=asset.sha1, size=asset.size_bytes, slot=self._slots)
        self._count_download()
        return Fetched(target, done.sha256, done.sha1, done.size)

    def _rendition(self, asset: Asset, target: Path, pixels: str) -> Fetched:
        """``pixels``, or what comes after it; Immich sends full size on to the original, or to the preview, where it made none."""
        for wanted in ("fullsize", "preview") if pixels == "fullsize" else ("preview",):
            try:
                found = originals.rendition(self.client, asset.asset_id, target, wanted)
            except NotFound:
                continue
            if found is not None:
                self._count_download()
                done, came = found
                return Fetched(target, done.sha256, done.sha1, done.size, pixels=came)
        raise NotFound(f"{asset.asset_id}: the server has no other picture of it")

    def preview(self, asset: Asset) -> bytes:
        """The preview, unedited and upright."""
        return originals.preview(self.client, asset.asset_id)

    def samples_match(self, asset: Asset, other: Path) -> bool:
        """Whether the first, middle and last 64 KB of its original equal those of the file ``other``; the first difference ends it."""
        size, length = other.stat().st_size, SAMPLE
        with other.open("rb") as file:
            for start in (0, (size - length) // 2, size - length):
                try:
                    came, total = originals.sample(self.client, asset.asset_id, start, length)
                except IncompleteBody:  # a proxy that gives no parts, say
                    return False
                file.seek(start)
                if total != size or came != file.read(length):
                    return False
        return True

    def stop(self) -> None:
        """End every request at once."""
        self.client.stop()

    def _count_download(self) -> None:
        with self._lock:
            self._downloads += 1


def open_client(settings: Settings, key: str, *, session: bool = False) -> tuple[Client, Server]:
    """A client for the server in the settings; ``session``: the key is the token of a login. Raises NotImmich, Unreachable,
    SettingsError.
    """
    own = settings.immich
    return connect(
        own.url,
        key,
        timeout=own.timeout,
        attempts=own.attempts,
        ca_file=own.ca_file,
        connections=max(1, own.connections),
        session=session,
        bandwidth=own.bandwidth,
    )


def _already(asset: Asset, target: Path) -> FileDigests | None:
    """What lies at ``target`` if it is this asset's original: by SHA-1 where that is known, by length else."""
    if not target.is_file() or (asset.sha1 is None and asset.size_bytes != target.stat().st_size):
        return None
    done = digest_file(target)
    return done if asset.sha1 in (None, done.sha1) else None
