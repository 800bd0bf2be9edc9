"""Sources room: a user's library by the API, with faces and vectors out of a dump of Immich's database.

Today's listing is the server's. Where it tells no faces (3.x), those of photos that are in the dump, with the bytes they have today,
come from there; all others are asked for one by one. Bytes come over the API.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from facesets.errors import BadAnswer, FacesetsError, MissingPermission, Refused, UsageError
from facesets.immich import timeline
from facesets.progress import Progress, Silent
from facesets.records import Asset, FaceBox, SourcePerson, User
from facesets.registry import Registry, assets, published
from facesets.sources.configured import DEFAULT_MODEL, Configured
from facesets.sources.dump_files import open_dump
from facesets.sources.dump_store import FOLDER, DumpStore, discard
from facesets.sources.immich import ImmichSource
from facesets.sources.immich_dump import read_dump
from facesets.sources.incremental import Changes
from facesets.sources.month import Month
from facesets.sources.source import Fetched, Reconciliation, Work
from facesets.sources.sync_stream import Stream
from facesets.sources.vector_text import Vector
from facesets.workspace import Workspace

log = logging.getLogger(__name__)

_BATCH = 1000  # assets of the listing whose faces are looked up at a time
_SAME = 0.99  # share of a dump's assets that must be in today's library
_FARTHEST_EAST = timedelta(hours=14)  # no clock is further ahead of UTC


class ImmichDumpSource:
    """Lists by ``api``, with faces out of the dump in the settings. Every run lists everything; photos that the dump does not have are
    asked for their faces, and again as with a key alone.
    """

    name = "immich"
    knows_faces = True
    unlisted = ()
    changes = mark = None

    def __init__(self, api: ImmichSource, workspace: Workspace, registry: Registry) -> None:
        self.api, self.workspace, self.registry = api, workspace, registry
        self._fetched = Work()  # of the dump, by who lists first

    @property
    def user(self) -> User:
        """Whose photos these are."""
        return self.api.user

    @property
    def work(self) -> Work:
        """What the API was asked for, the dump included."""
        done = self.api.work
        return Work(done.requests + self._fetched.requests, done.downloads, done.bytes + self._fetched.bytes)

    @property
    def asks(self) -> Changes:
        """Asks those that are not in the dump."""
        return self.api.changes

    @property
    def stream(self) -> Stream | None:
        """With a login, which tells the faces of now: then the dump gives vectors alone."""
        return self.api.stream

    @property
    def reconciliation(self) -> Reconciliation | None:
        """The API's."""
        return self.api.reconciliation

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """As the API's source does. Raises as :func:`dumped`, and Refused where too much of the dump is in the library no longer."""
        newer, untold = 0, set[str]()
        with dumped(self.workspace, self.registry, progress) as store:
            check_owner(store, self.user)
            requests, size = store.fact("traffic")
            self._fetched = Work(requests, bytes=size)
            store.set_fact("traffic", [0, 0])  # it is counted once
            self._check_age(store, progress)
            when = str(store.fact("made_at"))
            written = published.faces_since(self.registry, self.user.label, _earliest(when))  # of these more is known than the dump has
            listing = self.api.listing(progress)
            while batch := list(islice(listing, _BATCH)):
                photos = [a for a in batch if a.type == "IMAGE" and not a.is_trashed and a.asset_id not in written]
                own = {a.asset_id: a.sha1 for a in photos if a.owner_id == self.user.user_id}
                boxes = store.boxes(self.user.user_id, own)
                newer += len(own) - len(boxes)
                for asset in batch:
                    if asset.boxes is not None or self.stream is not None:
                        yield asset
                    elif asset.asset_id in boxes:
                        yield replace(asset, boxes=boxes[asset.asset_id])
                    else:
                        untold.update([asset.asset_id] if asset.type == "IMAGE" else [])
                        yield asset
        self.asks.only = untold or None
        if newer:
            progress.note(
                f"{newer:,} {'photo is' if newer == 1 else 'photos are'} newer than the dump of {when}, or changed since: their faces "
                "come through the API; those have Immich's vectors with the next dump."
            )

    def _check_age(self, store: DumpStore, progress: Progress) -> None:
        """Raises Refused where less than 99 % of the dump's assets of this user are in the library today."""
        owner, api = self.user.user_id, self.api
        before, still = store.count(owner)[0], 0
        with progress.task("comparing the dump with the library", unit="assets") as task:
            with api.client.threads(api.workers) as pool:
                months = api.changes.months(timeline.counts(api.client, pool))
            for month in months:
                for found in api.changes.ids([month]).values():
                    still += store.known(owner, found)
                    task.advance(len(found))
        if still >= _SAME * before:
            return
        when = store.fact("made_at")
        said = (
            f"of the {before:,} photos and videos that the dump of {when} has of {self.user.name!r}, only {still:,} are in the library "
            f"today ({still / before:.1%})"
        )
        if not self.workspace.settings.immich_dump.accept_old:
            raise Refused(f"{said}: it is an old dump, or another library's. Take a newer one, or say --accept-old")
        progress.note(f"{said[0].upper()}{said[1:]}; it is used all the same.")

    def stacked(self, on_top: Mapping[Month, int]) -> Iterator[tuple[Month | None, set[str]]]:
        """As the API's source does."""
        return self.api.stacked(on_top)

    def people(self) -> Iterator[SourcePerson]:
        """Whom the API tells, as they are now; beside them the dump's, where this run has read it, or the key may not see people."""
        now, refused = dict[str, SourcePerson](), False
        try:
            now = {one.person_id: one for one in self.api.people()}
        except MissingPermission:
            refused = True
        yield from now.values()
        if refused or _is_complete(self.workspace.root / FOLDER, _owners(self.registry)):
            with dumped(self.workspace, self.registry, Silent()) as store:
                yield from (one for one in store.people(self.user.user_id) if one.person_id not in now)

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """As the API's source does: of what is not in the dump."""
        return self.api.boxes(asset)

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """As the API's source does."""
        return self.api.fetch(asset, target, pixels)

    def preview(self, asset: Asset) -> bytes:
        """As the API's source does."""
        return self.api.preview(asset)

    def scanned(self, asset: Asset) -> bool:
        """As the API's source does."""
        return self.api.scanned(asset)

    def samples_match(self, asset: Asset, other: Path) -> bool:
        """As the API's source does."""
        return self.api.samples_match(asset, other)

    def stop(self) -> None:
        """End every request at once."""
        self.api.stop()


class DumpVectors:
    """The vectors of a dump."""

    def __init__(self, store: DumpStore) -> None:
        self.store = store

    @property
    def as_of(self) -> str | None:
        """When the dump was made."""
        return str(self.store.fact("made_at"))

    def configured(self) -> Configured:
        """The model in Immich's settings as they were."""
        if not self.store.fact("model_seen"):
            return Configured(DEFAULT_MODEL, seen=False)
        return Configured.read(self.store.fact("model"))

    def of(self, face_ids: Sequence[str]) -> dict[str, Vector]:
        """The vectors of these faces, float32 [d]; of those that have one."""
        return self.store.vectors(face_ids)

    def count(self, user: User) -> tuple[int, int]:
        """How many visible faces the user's photos have, and how many of these a vector."""
        _, faces, with_vector = self.store.count(user.user_id)
        return faces, with_vector

    def check_owner(self, user: User) -> None:
        """Raises UsageError where the dump does not know the user."""
        check_owner(self.store, user)


def check_owner(store: DumpStore, user: User) -> None:
    """Raises UsageError where the dump does not know the user: then it is another Immich's, or older than the account."""
    ours = store.fact("users")
    if user.user_id not in ours:
        others = ", ".join(store.fact("other_users")) or "none at all"
        why = f"it belongs to another Immich (its users: {others})"
        if ours:  # somebody else of this workspace is in it
            why = f"it was made on {store.fact('made_at')}, before that account was; take a newer one"
        raise UsageError(f"the dump {store.fact('name')} does not know {user.name!r} ({user.user_id}), whose key this is: {why}")


@contextmanager
def dumped(workspace: Workspace, registry: Registry, progress: Progress) -> Iterator[DumpStore]:
    """What the dump in the settings says of the users of this workspace; read once, and then kept until :func:`discard_dump`.

    Raises UsageError (no such dump), BadAnswer (damaged, cut off, no Immich's), Unreachable, MissingPermission, FacesetsError
    (disk full).
    """
    folder, owners = workspace.root / FOLDER, _owners(registry)
    if not _is_complete(folder, owners):
        _read(workspace, folder, owners, progress)
    with DumpStore(folder) as store:
        yield store


def discard_dump(workspace: Workspace) -> None:
    """Remove what was kept of a dump."""
    discard(workspace.root / FOLDER)


@contextmanager
def without_dump(workspace: Workspace) -> Iterator[None]:
    """What is kept of a dump lives no longer than the block, nor does that of a run that was killed before."""
    discard_dump(workspace)
    try:
        yield
    finally:
        discard_dump(workspace)


def _owners(registry: Registry) -> list[str]:
    return sorted(user.user_id for user in assets.users(registry) if not user.user_id.startswith("folder:"))


def _earliest(made_at: str) -> str:
    """The first moment (ISO 8601, UTC) at which a dump may have been made: its name has it by the server's clock, wherever that is."""
    try:
        return (datetime.fromisoformat(made_at) - _FARTHEST_EAST).isoformat()
    except (ValueError, OverflowError):
        return ""


def _is_complete(folder: Path, owners: list[str]) -> bool:
    if not folder.exists():
        return False
    with DumpStore(folder) as store:
        return bool(store.fact("owners") == owners)


def _read(workspace: Workspace, folder: Path, owners: list[str], progress: Progress) -> None:
    try:
        with open_dump(workspace, workspace.settings.immich_dump.file) as dump, DumpStore.create(folder) as store:
            with progress.task(f"reading the dump {dump.name}", dump.size, "bytes") as task:

                def counted(pieces: Iterator[bytes]) -> Iterator[bytes]:
                    for piece in pieces:
                        task.advance(len(piece))
                        yield piece

                try:
                    read_dump(lambda consume: dump.each(lambda pieces: consume(counted(pieces))), store, owners)
                except BadAnswer as err:
                    raise BadAnswer(f"the dump {dump.name} cannot be used: {err}") from err
            store.set_fact("traffic", [dump.traffic.requests, dump.traffic.bytes])
            store.set_fact("name", dump.name)
            store.set_fact("made_at", dump.made_at)
            store.set_fact("owners", owners)  # last: it is complete
            log.info(
                "the dump %s of %s was read, of Immich %s", dump.name, dump.made_at, store.fact("version") or "of an unknown version"
            )
    except FacesetsError:
        discard(folder)
        raise
    except (OSError, sqlite3.OperationalError) as err:
        discard(folder)
        raise FacesetsError(f"what the dump says could not be kept in {folder}: {err}") from err
