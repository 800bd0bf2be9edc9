"""The rooms joined: stage, embed, cluster, write, each resumable on its own and chained by :func:`run`.

Touches everything through the rooms' doors. Order of a run: carry out a plan that an earlier run left, list and stage, embed,
then (nothing retryable left) fix numbers and members in one transaction, the plan, and only then write the first set.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from facesets import __version__
from facesets.changes import carry_on, write_eras, write_revisions
from facesets.errors import FacesetsError, RetryableLeft, SourceAway, Unreachable, UsageError
from facesets.export import ignored_folders, tree_stamps
from facesets.people import extend_as_ordered
from facesets.photos import DecoderPool
from facesets.pipeline.steps import Steps
from facesets.pipeline.summary import Summary, add_counts, count
from facesets.progress import Logged, Progress, ProgressFile, Silent
from facesets.registry import Registry, backups, runs
from facesets.secrets import ScrubbingFormatter
from facesets.settings import LABEL
from facesets.sources import without_dump
from facesets.wording import count_of
from facesets.workspace import Workspace

__all__ = ["STEPS", "Summary", "count", "run"]

log = logging.getLogger(__name__)

STEPS = ("stage", "embed", "cluster", "write")


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
    new_server: bool = False,
    progress: Progress | None = None,
) -> tuple[Summary, FacesetsError | None]:
    """Do ``steps`` for the users with these labels. Returns the summary, and RetryableLeft where that is why it stopped early.

    ``full`` lists everything anew instead of what changed; ``look_again`` looks for faces on previews of photos without boxes.
    ``new_server``: a user's id is another one where the server was set up anew; what is known carries over by content.
    Any other FacesetsError is raised; what was finished before is kept, and the same call goes on from there.
    """
    _check_labels(labels, needed="stage" in steps)
    started = time.perf_counter()
    progress = Logged(published := ProgressFile(progress or Silent(), workspace.progress_file))
    with (
        workspace.lock(),
        workspace.registry() as registry,
        _recorded(workspace, registry, steps) as (run_id, summary),
        _away_once_it_answered(summary),
        DecoderPool() as decoders,
        without_dump(workspace),
        closing(published),
    ):
        log.info("facesets %s: %s for %s", __version__, " ".join(steps), ", ".join(labels) or "everybody")
        workspace.prepare_facesets(progress.note)
        summary.folders_ignored = ignored_folders(workspace.facesets)
        _back_up(registry, progress)
        for change in carry_on(registry, workspace):
            if change.state == "given_up" and "set" in change.payload:
                progress.note(f"{change.payload['set']}: what was interrupted could not go on: {change.reason}")
        if "write" in steps:  # what its user decided comes first: the run itself alters no set
            revised = write_revisions(workspace, registry, progress, decoders)
            summary.sets_revised, summary.eras_written = revised.written, revised.eras
            for name, why in revised.waiting.items():
                progress.note(f"{name}: {why}")
        before = tree_stamps(workspace.facesets)
        work = Steps(
            workspace, registry, labels, summary, run_id,
            folder=folder, pack_name=pack_name, accept_missing=accept_missing, new_server=new_server, sets_before=before,
            decoders=decoders, progress=progress,
        )  # fmt: skip
        promised = "stage" in steps and "write" in steps
        if promised:
            work.keep_promises()  # what an earlier run promised comes first
        if "stage" in steps:
            work.stage(embeds="embed" in steps, full=full, look_again=look_again)
        if "embed" in steps:
            work.embed(staged="stage" in steps)
        work.tell_looks()
        if promised:
            work.carry_out()
        left = _decide_and_write(work, steps, classic=classic)
        if left is None and {"cluster", "write"} <= set(steps) and workspace.settings.sets.on_match == "extend":
            for outcome in extend_as_ordered(workspace, registry):
                progress.note(outcome.sentences[0] + (f" (decision {outcome.decision})" if outcome.decision is not None else ""))
            revised = write_revisions(workspace, registry, progress, decoders)
            summary.sets_revised += revised.written
            summary.eras_written += revised.eras
        elif "write" in steps:
            made = write_eras(workspace, registry, progress)  # of the sets that are new
            summary.eras_written += made.eras
            for name, why in made.waiting.items():
                progress.note(f"{name}: {why}")
        summary.retryable = work.retryable()
        summary.pack = work.pack.value.id if work.pack.value else None
        after = tree_stamps(workspace.facesets)
        summary.sets_unchanged = [
            name for name, files in before.items() if after.get(name) == files and name not in summary.sets_revised
        ]
        add_counts(registry, summary)
        summary.seconds = round(time.perf_counter() - started, 3)
        _log_counts(summary)
        log.info("%s, in %.1f s", f"stopped: {left}" if left else "done", summary.seconds)
        runs.finish(registry, run_id, left.exit_code if left else 0, summary.document())
    return summary, left


def _decide_and_write(work: Steps, steps: Sequence[str], *, classic: bool) -> RetryableLeft | None:
    """The plan, and what it promises; what keeps it from being made or from being carried out."""
    retryable = work.retryable()
    if retryable and not work.accept_missing and ("cluster" in steps or "stage" in steps):
        n = f"{count_of(retryable, 'photo')} could not be fetched or looked through yet"
        which = "facesets list assets --state retry says which and why"
        if "cluster" not in steps:
            return RetryableLeft(f"{n}. Run the same command again; {which}.")
        return RetryableLeft(
            f"{n}, so no new set is planned. Run the same command again; {which}; --accept-missing goes on without them."
        )
    while True:
        if "cluster" in steps:
            work.plan(classic=classic)
        dropped, left = work.carry_out() if "write" in steps else (False, None)
        if not dropped or "cluster" not in steps:
            return left


def _back_up(registry: Registry, progress: Progress) -> None:
    """Keep a copy of the registry, once a day of use."""
    try:
        backups.make(registry.path)
    except FacesetsError as err:
        progress.note(f"{err} (the run goes on without today's backup)")


def _check_labels(labels: Sequence[str], *, needed: bool) -> None:
    if needed and not labels:
        raise UsageError("whose photos? Name the user: --user NAME (any short name of yours, e.g. --user anna)")
    for label in labels:
        if not LABEL.fullmatch(label):
            raise UsageError(f"--user {label!r}: a label is 1 to 64 of a-z, 0-9, - and _ (it names files)")


@contextmanager
def _recorded(workspace: Workspace, registry: Registry, steps: Sequence[str]) -> Iterator[tuple[int, Summary]]:
    """A run in the registry, with a log file of its own."""
    run_id = runs.start(registry, " ".join(steps))
    logs = workspace.root / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)  # its owner may have cleared it away
    log_file = logs / f"run-{run_id:05d}.log"
    if log_file.is_fifo():  # opening it would wait for a reader
        log_file.unlink()
    handler = logging.FileHandler(log_file, encoding="utf-8")
    handler.setFormatter(ScrubbingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("facesets")
    level = root.level
    root.addHandler(handler)
    if not root.isEnabledFor(logging.INFO):
        root.setLevel(logging.INFO)
    summary = Summary(str(workspace.root), str(workspace.facesets))
    try:
        yield run_id, summary
    except BaseException as err:
        code = err.exit_code if isinstance(err, FacesetsError) else 130 if isinstance(err, KeyboardInterrupt) else 1
        _log_counts(summary)
        log.warning("stopped: %s", str(err) or type(err).__name__)
        runs.finish(registry, run_id, code, summary.document())
        raise
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


@contextmanager
def _away_once_it_answered(summary: Summary) -> Iterator[None]:
    """Who answered in this run and cannot be reached for its next step (another user, members' photos) went away in mid-run."""
    try:
        yield
    except Unreachable as err:
        if isinstance(err, SourceAway) or not summary.requests:
            raise
        raise SourceAway(f"{err}. What came is kept: run the same command again later") from err


def _log_counts(summary: Summary) -> None:
    for step, counts in summary.steps.items():
        log.info("%s: %s", step, json.dumps(counts))
    for what in ("assets_by_reason", "faces_by_reason"):
        if counted := getattr(summary, what):
            log.info("%s: %s", what, json.dumps(counted))
