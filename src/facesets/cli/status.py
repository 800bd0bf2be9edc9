"""facesets status: what there is, what is left, what failed and why, and what it takes on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from facesets.changes import HISTORY, eras_pending, pending
from facesets.cli import App, json_option, next_steps
from facesets.cli.summary_text import ledger, spared
from facesets.pipeline import Summary, count
from facesets.reason_texts import FACE_STATES, FILE_STATES, SENTENCES
from facesets.records import Reason, State, User
from facesets.registry import assets, eras, listings, people, runs, sets
from facesets.report import report_file
from facesets.sources import folder_of
from facesets.wording import count_of, listed, moment_of, plural, size_of
from facesets.workspace import Workspace

# part of a workspace -> what it is, and what makes it smaller
_PARTS = {
    "originals": ("originals", "[stage] keep_originals = false: later runs keep crops only"),
    "crops": ("crops of faces kept without their originals", "needed; nothing frees them"),
    "thumbnails": ("thumbnails of facesets review", "may be deleted; it makes them again"),
    "sets": ("sets", "yours; a run never removes one"),
    "history": ("earlier revisions of sets", "facesets history prune --older-than 90d lets older ones go"),
    "backups": ("backups of the registry", "the oldest may be deleted"),
    "registry": ("registry", "needed; nothing frees it"),
    "reports": ("reports", "may be deleted; facesets report makes them again"),
    "exchange": ("queue and caches for other tools", "may be deleted; facesets embed writes them again"),
    "logs": ("logs", "may be deleted"),
}


@click.command()
@json_option
@click.pass_obj
def status(app: App) -> None:
    """Say what the workspace holds, what is left to do, what failed and why, and what it takes on disk."""
    workspace = app.workspace()
    with workspace.registry_to_read() as registry:
        owners = [(user, folder_of(registry, user.label)) for user in assets.users(registry)]
        summary = count(workspace, registry)
        last = runs.last(registry)
        waiting = [s.name for s in sets.select(registry, written=False)]
        document: dict[str, Any] = {
            "workspace": summary.workspace,
            "users": {user.label: user.user_id for user, _ in owners},
            "assets_by_state": summary.assets_by_state,
            "assets_by_reason": summary.assets_by_reason,
            "faces_by_state": summary.faces_by_state,
            "faces_by_reason": summary.faces_by_reason,
            "gone": summary.gone,
            "sets": len(list(sets.select(registry))),
            "sets_planned": waiting,
            "sets_to_revise": sorted({name for names in pending(registry).values() for name in names}),
            "eras": len(eras.select(registry)),
            "eras_to_follow": eras_pending(registry),
            "people_named": sum(person.name is not None for person in people.select(registry, standing=("active",))),
            "people_ignored": len(people.select(registry, standing=("ignored",))),
            "retryable": summary.retryable,
            "originals_spared": summary.originals_spared,
            "bytes_spared": summary.bytes_spared,
            "last_run": None
            if last is None
            else {k: last[k] for k in ("command", "started_at", "finished_at", "exit_code")}
            | {"running": last["finished_at"] is None and workspace.is_in_use()},
            "faces_asked_again": {
                user.label: {"within_runs": workspace.settings.immich.faces_within} | asdict(refresh)
                for user in assets.users(registry)
                if (refresh := listings.last_refresh(registry, user.label))
            },
            "bytes_on_disk": on_disk(workspace),
        }
        after = _next(app, document, next_steps.runs_again(registry), next_steps.after_a_run(app, registry))
    page = report_file(workspace)
    report = [f"Report: {page}"] if page.is_file() else []
    app.answer(document, lambda: "\n".join([*_text(document, summary, owners), "", *report, *after]))


def on_disk(workspace: Workspace) -> dict[str, int]:
    """Bytes that each part of a workspace takes, as its files say; a part that is not there takes none.

    A file of several names (eras and earlier revisions link to what a set holds) counts where it is met first: deleting one of its
    other names frees nothing.
    """
    root = workspace.root
    places = {
        "originals": [root / "photos"],
        "crops": [root / "crops"],
        "thumbnails": [root / "thumbnails"],
        "sets": [workspace.facesets],
        "history": [workspace.facesets / HISTORY],
        "backups": [root / "backups"],
        "registry": [Path(f"{workspace.registry_file}{suffix}") for suffix in ("", "-wal", "-shm")],
        "reports": [root / "reports"],
        "exchange": [root / "queue", root / "caches"],
        "logs": [root / "logs"],
    }
    met = set[tuple[int, int]]()
    return {part: sum(_size(path, met) for path in paths) for part, paths in places.items()}


def _size(path: Path, met: set[tuple[int, int]]) -> int:
    """Of a file, or of all files below a folder but for the earlier revisions there; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir():
            return _new(path.stat(), met)
        size = 0
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    size += _new(entry.stat(follow_symlinks=False), met)
                elif entry.name != HISTORY:
                    size += _size(Path(entry), met)
    except FileNotFoundError:
        return 0
    return size


def _new(file: os.stat_result, met: set[tuple[int, int]]) -> int:
    """A file's size, unless it was met before under another name."""
    if file.st_nlink > 1:
        if (file.st_dev, file.st_ino) in met:
            return 0
        met.add((file.st_dev, file.st_ino))
    return file.st_size


def _text(document: dict[str, Any], summary: Summary, owners: list[tuple[User, Path | None]]) -> Iterator[str]:
    yield f"Workspace {document['workspace']}"
    if owners:
        whose = (f"{user.label} ({f'photos in {folder}' if folder else user.name or user.user_id})" for user, folder in owners)
        yield f"{plural(len(owners), 'User')}: " + ", ".join(whose)
    files, faces = ledger(summary)
    for line, counts, states in ((files, summary.assets_by_reason, FILE_STATES), (faces, summary.faces_by_reason, FACE_STATES)):
        yield from ("", line)
        yield from _reasons(counts, states)
    if gone := document["gone"]:
        yield ""
        line = f"{count_of(gone, 'more file')} {plural(gone, 'is')} no longer at the source"
        yield f"{line}; faces that were found there stay in sets that are written."
    eras_too = f", {count_of(document['eras'], 'era')} beside them" if document["eras"] else ""
    said = [f"{n:,} {what}" for what in ("named", "ignored") if (n := document[f"people_{what}"])]
    known = f", {listed(said)}" if said else ""
    yield from ("", f"{count_of(document['sets'], 'set')}{eras_too}{known}.")
    if planned := document["sets_planned"]:
        yield f"Planned and still to be written: {listed(planned)}."
    if decided := document["sets_to_revise"]:
        yield f"Decided and still to be written: {listed(decided)} (facesets write)."
    if follow := document["eras_to_follow"]:
        yield f"Their eras are still to follow: {listed(follow)} (facesets write)."
    if document["originals_spared"]:
        yield f"{spared(document['originals_spared'], document['bytes_spared'])}: Immich has their faces, and no set needs their bytes."
    for label, refresh in document["faces_asked_again"].items():
        last_one = f" (the last one {refresh['asked']:,} of {refresh['photos']:,})" if refresh["asked"] else ""
        within = count_of(refresh["within_runs"], "run")
        yield (
            f"Faces of {label}'s photos: this Immich marks no photo whose faces change, so each run asks some again{last_one}, "
            f"all within {within}; facesets login --user {label}, or facesets run --full, sees every change at once."
        )
    yield from ("", "On disk:")
    for part, size in document["bytes_on_disk"].items():
        if size:
            what, frees = _PARTS[part]
            yield f"  {size_of(size):>12}  {what} ({frees})"
    if last := document["last_run"]:
        yield from ("", f"Last run: {listed(last['command'].split())}, started on {moment_of(last['started_at'])}, {_ended(last)}.")


def _reasons(counts: dict[str, int], states: tuple[State, ...]) -> Iterator[str]:
    """Each reason with its count and sentence, in the order of the states; what failed is marked."""
    reasons = [(Reason(name), n) for name, n in counts.items()]
    for reason, n in sorted(reasons, key=lambda item: (states.index(item[0].state), -item[1], item[0])):
        mark = "!" if reason.state in (State.RETRY, State.FAILED) else " "
        yield f" {mark} {n:>9,}  {reason:<22} {SENTENCES[reason]}"


def _ended(last: dict[str, Any]) -> str:
    if last["finished_at"] is None:
        return "still at work" if last["running"] else "cut off before its end; the same command goes on"
    return "done" if last["exit_code"] == 0 else f"ended with exit code {last['exit_code']}"


def _next(app: App, document: dict[str, Any], again: list[str], after_a_run: list[str]) -> list[str]:
    if n := document["retryable"]:
        tries = [(call, f"tries {count_of(n, 'photo')} again") for call in again]
        return next_steps.table(app, [*tries, ("list assets --state retry", "which these are, and why")])
    if document["sets_planned"]:
        return next_steps.table(app, [("write", "writes the planned sets")])
    return after_a_run
