"""The rooms joined: stage, embed, cluster, export, each resumable on its own and chained by :func:`run`.

Touches everything through the rooms' doors. Order of a run: carry out a plan that an earlier run left, list and stage, embed,
then (nothing retryable left) fix numbers and members in one transaction, the plan, and only then write the first set.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..embedding import Decoders
from ..errors import FacesetsError, RetryableLeft, UsageError
from ..export.existing import existing_sets, file_facts
from ..progress import Progress
from ..registry import Registry, runs, sets
from ..settings import LABEL
from ..workspace import Workspace
from .steps import Steps
from .summary import Summary, add_counts, count

__all__ = ["STEPS", "Summary", "count", "run"]

log = logging.getLogger(__name__)

STEPS = ("stage", "embed", "cluster", "export")


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
        work = Steps(
            workspace, registry, labels, summary, run_id,
            folder=folder, pack_name=pack_name, accept_missing=accept_missing, decoders=decoders, progress=progress,
        )  # fmt: skip
        promised = "stage" in steps and "export" in steps
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
        summary.retryable = work.retryable()
        summary.pack = work.pack.value.id if work.pack.value else None
        after = _tree(workspace)
        summary.sets_unchanged = [name for name, facts in before.items() if after.get(name) == facts]
        add_counts(registry, summary)
        summary.seconds = round(time.perf_counter() - started, 3)
        runs.finish(registry, run_id, left.exit_code if left else 0, summary.document())
    return summary, left


def _decide_and_write(work: Steps, steps: Sequence[str], *, classic: bool) -> RetryableLeft | None:
    """The plan, and what it promises; what keeps it from being made or from being carried out."""
    retryable = work.retryable()
    if retryable and not work.accept_missing and "cluster" in steps:
        return RetryableLeft(
            f"{retryable} photos failed in a way that may heal, so no set is planned yet. Run the same command again; "
            "facesets list assets --state retry  says which and why; --accept-missing goes on without them."
        )
    while True:
        if "cluster" in steps:
            work.plan(classic=classic)
        dropped, left = work.carry_out() if "export" in steps else (False, None)
        if not dropped or "cluster" not in steps:
            return left


def _tree(workspace: Workspace) -> dict[str, list[sets.FileFact]]:
    """Every existing set with the hashes of its files."""
    return {s.name: file_facts(s.path) for s in existing_sets(workspace.facesets)}


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
