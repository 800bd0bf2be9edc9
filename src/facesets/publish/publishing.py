"""Publish as command line, review page and Python call it: diff, apply, undo. The caller holds the workspace's lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from facesets import people
from facesets.errors import MissingPermission, Refused, SourceAway, Unreachable, UsageError
from facesets.immich import Client
from facesets.immich import server as api
from facesets.people import Outcome
from facesets.progress import Progress
from facesets.publish import applying, taking_back
from facesets.publish.compare import compare
from facesets.publish.diff import TAGS_WARNING, Diff, What
from facesets.publish.permissions import needed, reading
from facesets.publish.remembering import remember
from facesets.publish.there import There
from facesets.registry import Registry, published
from facesets.sources import ImmichSource, bind, connect_user, folder_of
from facesets.workspace import Workspace


def diff(workspace: Workspace, registry: Registry, label: str, what: What, progress: Progress) -> Diff:
    """What a publish for the user ``label`` would write to Immich, by person, and what cannot be written, with why.

    Asks Immich for the faces of every photo in which somebody with a name was found, and keeps what it says (names, boxes) as a run
    does. Raises ServerError, MissingPermission naming everything that the key lacks, UsageError for a folder.
    """
    with opened(workspace, registry, label, what, progress, write=False) as source:
        applying.settle(registry, source)
        there = There(source)
        found = compare(registry, there, what, progress)
        remember(registry, there)
    return found


def apply(workspace: Workspace, registry: Registry, wanted: Diff, progress: Progress, *, tags_confirmed: bool = False) -> Outcome:
    """Write a diff: one entry in the history, taken back by :func:`undo`. What changed since the diff is skipped, and said.

    Raises as :func:`diff`; Refused for tags that were not confirmed; SourceAway where the server goes away in the middle.
    """
    if wanted.what.tags and not tags_confirmed:
        raise Refused(f"{TAGS_WARNING}. If that is wanted: --tags --yes-write-beside-originals. Albums (--albums) touch no file")
    with opened(workspace, registry, wanted.label, wanted.what, progress, write=True) as source:
        return applying.apply(registry, source, wanted, progress)


def undo(workspace: Workspace, registry: Registry, decision: int | None, progress: Progress, *, dry_run: bool = False) -> Outcome:
    """Take a publish back in Immich, in reverse, where what is there is still what was written.

    Raises as :func:`facesets.people.undo`, UsageError where the decision is no publish.
    """
    made = people.to_undo(registry, decision)
    if made.act != published.PUBLISH:
        raise UsageError(f"decision {made.id} ({made.act}) is no publish")
    label, asked = str(made.payload["label"]), frozenset(made.payload["what"])
    what = What("names" in asked, "faces" in asked, "albums" in asked, "tags" in asked, "add_faces" in asked)
    with opened(workspace, registry, label, what, progress, write=not dry_run, back=True) as source:
        return taking_back.undo(registry, source, made, progress, dry_run=dry_run)


@contextmanager
def opened(
    workspace: Workspace, registry: Registry, label: str, what: What, progress: Progress, *, write: bool, back: bool = False
) -> Iterator[ImmichSource]:
    """The user's Immich by its API, after it is known that the key may do what is asked (``write``) or, else, may be looked through."""
    if folder_of(registry, label) is not None:
        raise UsageError(f"user {label!r} is a folder of photos: there is no Immich to publish to")
    settings = workspace.settings
    if not settings.immich.url:
        raise UsageError("where is your Immich? Set IMMICH_URL, or url under [immich] in facesets.toml")
    client, server, _ = connect_user(workspace, label, progress)
    with client:
        try:
            _permitted(client, label, what, progress, write=write, back=back)
            user = bind(label, settings, registry, client, progress)
            yield ImmichSource(client, user, server=server, workers=settings.stage.workers)
        except SourceAway:
            raise
        except Unreachable as err:
            raise SourceAway(f"{err}. Run the same command again later") from err


def _permitted(client: Client, label: str, what: What, progress: Progress, *, write: bool, back: bool) -> None:
    """Raises MissingPermission with all that the key lacks at once; what only later steps need is a note."""
    if client.credential == "login":
        return
    granted = api.permissions(client)
    now = needed(what.asked, undo=back) if write else reading(what.asked)
    whole = needed(what.asked, undo=True)
    if api.missing(granted, now):
        raise MissingPermission(*api.missing(granted, whole), user=label)
    if write:  # said of the diff already
        return
    if lacking := api.missing(granted, needed(what.asked)):
        progress.note(f"To write this the key of {label!r} needs {', '.join(lacking)} as well")
    if more := [name for name in api.missing(granted, whole) if name not in lacking]:
        progress.note(f"To take it back the key of {label!r} needs {', '.join(more)} as well")
