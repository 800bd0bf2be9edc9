"""The rooms joined: stage, embed, cluster, export, each resumable on its own and chained by :func:`run`.

Touches everything through the rooms' doors. Order of a run: carry out a plan that an earlier run left, list and stage, embed,
then (nothing retryable left) fix numbers and members in one transaction, the plan, and only then write the first set.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..embedding import Decoders, Pack
from ..errors import FacesetsError, RetryableLeft, UsageError
from ..export.existing import existing_sets, file_facts
from ..progress import Progress
from ..records import State
from ..registry import Registry, assets, faces, listings, runs, sets
from ..settings import LABEL
from ..sources import Source
from ..staging import stage as stage_source
from ..workspace import Workspace
from .adopt import adopt
from .elsewhere import embed_elsewhere
from .embed import embed, known_elsewhere, queue_staged
from .packs import choose_pack
from .plan import plan
from .renditions import show_undecoded
from .second_look import Looked, second_look
from .source import open_source, verify_keys
from .stream import streaming
from .write import PhotosNeeded, write_planned

log = logging.getLogger(__name__)

STEPS = ("stage", "embed", "cluster", "export")


@dataclass
class Summary:
    """What a run did. ``listed`` counts assets of all types that the sources have, by this invocation's listings."""

    workspace: str
    listed: int = 0
    requests: int = 0
    downloads: int = 0
    embedded: int = 0
    assets_by_state: dict[str, int] = field(default_factory=dict)
    faces_by_state: dict[str, int] = field(default_factory=dict)
    assets_by_reason: dict[str, int] = field(default_factory=dict)
    faces_by_reason: dict[str, int] = field(default_factory=dict)
    sets_new: list[str] = field(default_factory=list)
    sets_unchanged: list[str] = field(default_factory=list)
    retryable: int = 0
    pack: str | None = None
    steps: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def run(
    workspace: Workspace,
    labels: Sequence[str],
    *,
    steps: Sequence[str] = STEPS,
    folder: Path | None = None,
    pack_name: str | None = None,
    accept_missing: bool = False,
    classic: bool = False,
    full: bool = False,
    look_again: bool = False,
    progress: Progress,
) -> tuple[Summary, FacesetsError | None]:
    """Do ``steps`` for the users with these labels. Returns the summary, and RetryableLeft where that is why it stopped early.

    ``full`` lists everything anew instead of what changed; ``look_again`` looks for faces on previews of photos without boxes.
    Any other FacesetsError is raised; what was finished before is kept, and the same call goes on from there.
    """
    _check_labels(labels, needed="stage" in steps)
    started = time.perf_counter()
    with (
        workspace.lock(),
        workspace.registry() as registry,
        _recorded(workspace, registry, steps) as (run_id, summary),
        Decoders() as decoders,
    ):
        before = _tree(workspace)
        pack = _Lazy(lambda: choose_pack(workspace, registry, pack_name, progress))
        left: FacesetsError | None = None
        looks = dict[str, Looked]()
        ahead: list[dict[str, Any]] = []  # what was embedded while staging was still at it
        if "export" in steps:
            with suppress(PhotosNeeded) if "stage" in steps else nullcontext():  # staging fetches them, and they are written below
                _write(workspace, registry, summary, progress, decoders)  # what an earlier run promised comes first
        if "stage" in steps:
            verify_keys(workspace, registry, labels, folder, progress)
            streamed = "embed" in steps and not workspace.settings.worker.command
            for label in labels:
                with open_source(workspace, registry, label, folder, progress) as source:
                    with streaming(workspace, label, pack(), decoders) if streamed else nullcontext() as stream:
                        paced = stream.paced(source) if stream else source
                        _stage(workspace, registry, paced, label, run_id, summary, progress, full=full)
                    queue_staged(workspace, registry, label)
                    if stream:
                        ahead.append(stream.counters)
                    if look_again and source.tells_faces:
                        looks[label] = second_look(workspace, registry, source, pack(), progress)
                        summary.requests += looks[label].requests
                        summary.downloads += looks[label].downloads
        if "embed" in steps:

            def embed_now() -> dict[str, Any]:
                if workspace.settings.worker.command:
                    return embed_elsewhere(workspace, registry, labels, progress)
                return embed(workspace, registry, labels, pack(), progress, decoders)

            summary.steps["embed"] = _with(embed_now(), ahead)
            if "stage" in steps and folder is None:
                show_undecoded(workspace, registry, labels, summary, embed_now, progress)
            summary.embedded = summary.steps["embed"]["queue"] - summary.steps["embed"]["load_errors"]
        if looks:
            summary.steps["second_look"] = {label: looked.as_dict(registry) for label, looked in looks.items()}
        summary.retryable = assets.by_state(assets.counts(registry, labels)).get(State.RETRY, 0)
        if summary.retryable and not accept_missing and "cluster" in steps:
            left = RetryableLeft(
                f"{summary.retryable} photos failed in a way that may heal, so no set is planned yet. Run the same command again; "
                "facesets list assets --state retry  says which and why; --accept-missing goes on without them."
            )
        else:
            if "cluster" in steps:
                adopt(workspace, registry, pack(), run_id, progress, decoders)
                summary.steps["cluster"] = plan(workspace, registry, labels, pack(), run_id, progress, classic=classic)
            if "export" in steps:
                _write(workspace, registry, summary, progress, decoders)
        summary.pack = pack.value.id if pack.value else None
        after = _tree(workspace)
        summary.sets_unchanged = [name for name, facts in before.items() if after.get(name) == facts]
        _count(registry, summary)
        summary.seconds = round(time.perf_counter() - started, 3)
        runs.finish(registry, run_id, left.exit_code if left else 0, summary.document())
    return summary, left


def count(workspace: Workspace, registry: Registry) -> Summary:
    """What the workspace holds, without doing anything."""
    summary = Summary(str(workspace.root))
    _count(registry, summary)
    summary.retryable = summary.assets_by_state.get(State.RETRY, 0)
    return summary


def _stage(
    workspace: Workspace,
    registry: Registry,
    source: Source,
    label: str,
    run_id: int,
    summary: Summary,
    progress: Progress,
    *,
    full: bool,
) -> None:
    counters = stage_source(
        workspace, registry, source, run_id=run_id, known_sha256=known_elsewhere(workspace), full=full, progress=progress
    )
    summary.steps.setdefault("stage", {})[label] = counters.as_dict()
    summary.listed = listings.present(registry, [*summary.steps["stage"]])  # not a sum: what two people's keys show is there once
    summary.requests += source.work.requests
    summary.downloads += source.work.downloads


def _with(embedded: dict[str, Any], ahead: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The embed step's counters, with what was embedded ahead of it."""
    for counters in ahead:
        for name, n in counters.items():
            embedded[name] += n
    rate = embedded["queue"] / embedded["seconds"] if embedded["seconds"] else 0.0
    return embedded | {"seconds": round(embedded["seconds"], 3), "images_per_second": round(rate, 3)}


def _write(workspace: Workspace, registry: Registry, summary: Summary, progress: Progress, decoders: Decoders) -> None:
    summary.sets_new += write_planned(workspace, registry, progress, decoders)


def _count(registry: Registry, summary: Summary) -> None:
    by_asset, by_face = assets.counts(registry), faces.counts(registry)
    summary.assets_by_state, summary.faces_by_state = assets.by_state(by_asset), assets.by_state(by_face)
    summary.assets_by_reason = {str(reason): n for reason, n in by_asset.items()}
    summary.faces_by_reason = {str(reason): n for reason, n in by_face.items()}


def _tree(workspace: Workspace) -> dict[str, list[sets.FileFact]]:
    """Every existing set with the hashes of its files."""
    return {s.name: file_facts(s.path) for s in existing_sets(workspace.facesets)}


def _check_labels(labels: Sequence[str], *, needed: bool) -> None:
    if needed and not labels:
        raise UsageError("whose photos? Name the user: --user NAME (any short name of yours, e.g. --user anna)")
    for label in labels:
        if not LABEL.fullmatch(label):
            raise UsageError(f"--user {label!r}: a label is 1 to 64 of a-z, 0-9, - and _ (it names files)")


class _Lazy:
    """A pack that is loaded when first asked for."""

    def __init__(self, load: Callable[[], Pack]) -> None:
        self._load = load
        self.value: Pack | None = None

    def __call__(self) -> Pack:
        if self.value is None:
            self.value = self._load()
        return self.value


@contextmanager
def _recorded(workspace: Workspace, registry: Registry, steps: Sequence[str]) -> Iterator[tuple[int, Summary]]:
    """A run in the registry, with a log file of its own."""
    run_id = runs.start(registry, " ".join(steps))
    handler = logging.FileHandler(workspace.root / "logs" / f"run-{run_id:05d}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("facesets")
    level = root.level
    root.addHandler(handler)
    if level == logging.NOTSET:
        root.setLevel(logging.INFO)
    summary = Summary(str(workspace.root))
    try:
        yield run_id, summary
    except BaseException as err:
        code = err.exit_code if isinstance(err, FacesetsError) else 130 if isinstance(err, KeyboardInterrupt) else 1
        log.warning("stopped: %s", err or type(err).__name__)
        runs.finish(registry, run_id, code, summary.document())
        raise
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
