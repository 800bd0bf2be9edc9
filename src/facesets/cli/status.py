"""facesets status: what there is, what is left, what failed and why."""

from __future__ import annotations

from typing import Any

import click

from ..export.accounting import SENTENCES
from ..pipeline import count
from ..records import Reason, State
from ..registry import assets, runs, sets
from . import App, json_option
from .run import counts_line, spared_line


@click.command()
@json_option
@click.pass_obj
def status(app: App) -> None:
    """Say what the workspace holds, what is left to do, and what failed and why."""
    workspace = app.workspace()
    with workspace.registry() as registry:
        summary = count(workspace, registry)
        last = runs.last(registry)
        waiting = [s.name for s in sets.select(registry, written=False)]
        document: dict[str, Any] = {
            "workspace": summary.workspace,
            "users": {user.label: user.user_id for user in assets.users(registry)},
            "assets_by_state": summary.assets_by_state,
            "assets_by_reason": summary.assets_by_reason,
            "faces_by_state": summary.faces_by_state,
            "faces_by_reason": summary.faces_by_reason,
            "sets": len(list(sets.select(registry))),
            "sets_planned": waiting,
            "retryable": summary.retryable,
            "originals_spared": summary.originals_spared,
            "bytes_spared": summary.bytes_spared,
            "last_run": None if last is None else {k: last[k] for k in ("command", "started_at", "finished_at", "exit_code")},
        }
    app.answer(document, lambda: _told(document))


def _told(document: dict[str, Any]) -> str:
    lines = [f"workspace {document['workspace']}"]
    lines += [f"user {label}: {user_id}" for label, user_id in document["users"].items()]
    for what in ("assets", "faces"):
        lines += ["", f"{what}: {counts_line(document[f'{what}_by_state'])}"]
        for name, n in sorted(document[f"{what}_by_reason"].items(), key=lambda item: -item[1]):
            reason = Reason(name)
            mark = "!" if reason.state in (State.RETRY, State.FAILED) else " "
            lines += [f" {mark} {n:>9,}  {name:<22} {SENTENCES[reason]}"]
    lines += ["", f"sets: {document['sets']}"]
    if document["sets_planned"]:
        lines += [f"planned, still to be written: {', '.join(document['sets_planned'])} (facesets export)"]
    if document["originals_spared"]:
        spared = spared_line(document["originals_spared"], document["bytes_spared"])
        lines += [f"{spared}: Immich has measured their faces, and no set needs their bytes"]
    if document["retryable"]:
        lines += [f"{document['retryable']:,} photos are tried again by the next run (facesets list assets --state retry)"]
    if last := document["last_run"]:
        ended = {None: "was cut off", 0: "done"}.get(last["exit_code"], f"exit code {last['exit_code']}")
        lines += [f"last run: {last['command']}, started {last['started_at']}, {ended}"]
    return "\n".join(lines)
