"""Pipeline: the steps of one run, as :func:`facesets.pipeline.run` calls them. Touches everything through the rooms' doors.

With Immich's own vectors (pack immich-db) staging only lists and decides, embedding asks its database, and bytes come last: when
sets are planned, for their members alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from facesets.changes import PhotosNeeded, fetch_members, plan, write_planned, write_revisions
from facesets.errors import UsageError
from facesets.export import Stamp, adopt
from facesets.faces import (
    WORKER_MODEL,
    Looked,
    ask_for_originals,
    choose_pack,
    concurrent_embed,
    embed,
    embed_on_worker,
    import_immich_vectors,
    known_in_caches,
    queue_staged,
    reads_database,
    second_look,
    stage_again,
    to_look_at,
)
from facesets.models import Pack, VectorsOnly
from facesets.people import read_xmp_names
from facesets.photos import DecoderPool
from facesets.pipeline.renditions import show_undecoded
from facesets.pipeline.summary import Summary
from facesets.progress import Progress
from facesets.records import Reason, State
from facesets.registry import Registry, assets, listings, preembedded, sets
from facesets.sources import Source, open_source, verify_keys
from facesets.staging import count_failures, fetch_again
from facesets.staging import stage as stage_source
from facesets.wording import count_of, plural
from facesets.workspace import Workspace

_LOOKS = 3  # at photos that change under our hands; then the next run looks again


class Steps:
    """One run's steps; what they did is added to ``summary``."""

    def __init__(
        self,
        workspace: Workspace,
        registry: Registry,
        labels: Sequence[str],
        summary: Summary,
        run_id: int,
        *,
        folder: Path | None,
        pack_name: str | None,
        accept_missing: bool,
        new_server: bool,
        sets_before: Mapping[str, Mapping[str, Stamp]],
        decoders: DecoderPool,
        progress: Progress,
    ) -> None:
        self.workspace, self.registry, self.labels, self.summary, self.run_id = workspace, registry, labels, summary, run_id
        self.folder, self.accept_missing, self.decoders, self.progress = folder, accept_missing, decoders, progress
        self.sets_before = sets_before
        self.pack = _Lazy(lambda: choose_pack(workspace, registry, pack_name, progress))
        self.measured = reads_database(workspace, registry, pack_name)  # by Immich itself
        self.new_server = new_server
        self._looks = dict[str, Looked]()
        self._ahead: list[dict[str, Any]] = []  # what was embedded while staging was still at it

    def keep_promises(self) -> None:
        """Write what an earlier run planned, as far as its photos are here; the others are fetched by what follows."""
        with suppress(PhotosNeeded):
            self.summary.sets_new += write_planned(self.workspace, self.registry, self.progress, self.decoders)

    def stage(self, *, embeds: bool, full: bool, look_again: bool) -> None:
        """List and bring; with ``embeds`` photos are embedded as they come, where that is done here."""
        if self.measured and (self.folder is not None or look_again):
            raise UsageError(
                "pack immich-db is of an Immich's own photos, and of faces that it has found: --folder and --second-look need a model "
                "(--pack)"
            )
        workspace, registry, progress, summary = self.workspace, self.registry, self.progress, self.summary
        ids = {user.label: user.user_id for user in assets.users(registry)}
        for requests in verify_keys(workspace, registry, self.labels, self.folder, progress, new_server=self.new_server):
            summary.requests += requests
        streamed = embeds and not workspace.settings.worker.command and not self.measured
        for label in self.labels:
            if not self.measured:
                preembedded.relist_without_bytes(registry, label)  # bytes that Immich's own vectors could do without
                if embeds and not workspace.settings.stage.keep_originals and not workspace.settings.worker.command:
                    ask_for_originals(workspace, registry, label, self.pack().id)
            with open_source(workspace, registry, label, self.folder, progress, new_server=self.new_server) as source:
                if embeds and self.measured:
                    self.pack()  # what is wrong with the database is said before anything is listed
                with concurrent_embed(workspace, label, self.pack(), self.decoders) if streamed else nullcontext() as stream:
                    anew = ids.get(label, source.user.user_id) != source.user.user_id  # what the old server said counts no more
                    paced = stream.paced(source) if stream else source
                    self._stage(paced, label, full=full or anew)
                    if embeds and not self.measured and source.knows_faces:
                        self._stage_again(paced, label)
                queue_staged(workspace, registry, label)
                if stream:
                    self._ahead.append(stream.counters)
                if look_again and source.knows_faces:
                    self._looks[label] = look = second_look(workspace, registry, source, self.pack(), self.decoders, progress)
                    summary.requests += look.requests
                    summary.downloads += look.downloads

    def _stage_again(self, source: Source, label: str) -> None:
        """Photos that the pack has been through, and in which the source has a face since where none was looked for."""
        workspace, registry = self.workspace, self.registry
        if workspace.settings.worker.command:
            pack = registry.fact(WORKER_MODEL)
        else:
            pack = None if isinstance(self.pack(), VectorsOnly) else self.pack().id
        rows = to_look_at(workspace, registry, label, pack) if pack else []
        if not rows:
            return
        away, before = stage_again(workspace, registry, rows), source.work
        came, failed = fetch_again(workspace, registry, source, away, self.progress)
        self.summary.requests += source.work.requests - before.requests
        self.summary.downloads += source.work.downloads - before.downloads
        looked = len(rows) - len(away) + came
        photos, are = count_of(looked, "photo"), plural(looked, "is")
        missing = f"; {count_of(failed, 'more')} could not be fetched, and the next run tries again" if failed else ""
        self.progress.note(f"{photos} {are} looked through again for faces that the source has there by now{missing}.")

    def _stage(self, source: Source, label: str, *, full: bool) -> None:
        summary = self.summary
        counters = stage_source(
            self.workspace,
            self.registry,
            source,
            run_id=self.run_id,
            known_sha256=known_in_caches(self.workspace),
            full=full,
            accept_missing=self.accept_missing,
            download=not self.measured,
            progress=self.progress,
        )
        summary.steps.setdefault("stage", {})[label] = counters.as_dict()
        # not a sum: what two people's keys show is there once
        summary.listed = listings.present(self.registry, [*summary.steps["stage"]])
        summary.requests += source.work.requests
        summary.downloads += source.work.downloads

    def embed(self, *, staged: bool) -> None:
        """Faces and vectors of what was staged, or as Immich has them; ``staged``: by this run."""
        summary = self.summary
        summary.steps["embed"] = _with(self._embed(), self._ahead)
        if staged and self.folder is None and not self.measured:
            show_undecoded(self.workspace, self.registry, self.labels, summary, self._embed, self.progress)
        count_failures(self.registry, self.labels, (Reason.EMBED_ERROR,), self.progress)
        summary.embedded = summary.steps["embed"]["queue"] - summary.steps["embed"]["load_errors"]

    def _embed(self) -> dict[str, Any]:
        if self.measured:
            return import_immich_vectors(self.workspace, self.registry, self.labels, self.pack(), self.progress)
        if self.workspace.settings.worker.command:
            return embed_on_worker(self.workspace, self.registry, self.labels, self.progress)
        return embed(self.workspace, self.registry, self.labels, self.pack(), self.progress, self.decoders)

    def tell_looks(self) -> None:
        """What a second look came to, now that its photos are embedded."""
        if self._looks:
            self.summary.steps["second_look"] = {label: look.as_dict(self.registry) for label, look in self._looks.items()}

    def retryable(self) -> int:
        """How many of these users' photos failed in a way that may heal."""
        return assets.by_state(assets.counts(self.registry, self.labels)).get(State.RETRY, 0)

    def plan(self, *, classic: bool) -> None:
        """Know the sets that exist, and decide on the faces that are in none."""
        adopt(self.workspace, self.registry, self.pack(), self.run_id, self.progress, self.decoders, self.sets_before)
        told = read_xmp_names(self.workspace, self.registry, self.progress, self.decoders, again=False)
        if told.names:
            self.progress.note(f"Names in photos: {told.said}.")
        counts = plan(self.workspace, self.registry, self.labels, self.pack(), self.run_id, self.progress, classic=classic)
        self.summary.steps.setdefault("cluster", counts)

    def carry_out(self) -> tuple[bool, PhotosNeeded | None]:
        """Bring what planned sets lack of photos that Immich measured, and write them. Whether one was dropped for want of photos, so
        that its faces are free again; and what still keeps one waiting.
        """
        for _ in range(_LOOKS - 1):  # a file that turned out to be another one is looked at anew
            dropped, left = self._carry_out()
            if left is None or not left.changed:
                return dropped, left
        return self._carry_out()

    def _carry_out(self) -> tuple[bool, PhotosNeeded | None]:
        brought = fetch_members(self.workspace, self.registry, self.progress, self.decoders, accept_missing=self.accept_missing)
        self.summary.requests += brought.requests
        self.summary.downloads += brought.downloads
        if self.measured or brought.requests or brought.placed:
            known = self.summary.steps.setdefault("originals", {})
            for name, value in brought.as_dict().items():
                known[name] = known[name] + value if name in known else value
        if sets.wanting(self.registry):  # their user decided; only photos were missing
            self.summary.sets_revised += write_revisions(self.workspace, self.registry, self.progress, self.decoders).written
        try:
            self.summary.sets_new += write_planned(self.workspace, self.registry, self.progress, self.decoders)
        except PhotosNeeded as err:
            self.summary.sets_new += err.written
            return bool(brought.dropped), err
        return bool(brought.dropped), None


def _with(embedded: dict[str, Any], ahead: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The embed step's counters, with what was embedded ahead of it."""
    for counters in ahead:
        for name, n in counters.items():
            embedded[name] += n
    rate = embedded["queue"] / embedded["seconds"] if embedded["seconds"] else 0.0
    return embedded | {"seconds": round(embedded["seconds"], 3), "images_per_second": round(rate, 3)}


class _Lazy:
    """A pack that is loaded when first asked for."""

    def __init__(self, load: Callable[[], Pack]) -> None:
        self._load = load
        self.value: Pack | None = None

    def __call__(self) -> Pack:
        if self.value is None:
            self.value = self._load()
        return self.value
