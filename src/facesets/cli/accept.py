"""facesets accept: what the user did to a set's folder by hand is right."""

from __future__ import annotations

import click

from facesets.changes import accept as accept_set
from facesets.cli import App, json_option


@click.command()
@click.argument("name", metavar="SET")
@json_option
@click.pass_obj
def accept(app: App, name: str) -> None:
    """Take a set as its folder is now: files changed, added or removed by hand, a folder removed, or renamed.

    From then on verify compares with that. A removed set is retired and its number stays used; a renamed one is known by its bytes.
    """
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        done = accept_set(workspace, registry, name)
    app.answer({"set": name, "accepted": done.what, "decision": done.decision}, lambda: f"{name}: {done.what}")
