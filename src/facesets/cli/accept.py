"""facesets accept: what the user did to a set's folder by hand is right."""

from __future__ import annotations

import click

from facesets import people
from facesets.cli import App, json_option
from facesets.cli.people import lines_of


@click.command()
@click.argument("faceset", metavar="SET")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@json_option
@click.pass_obj
def accept(app: App, faceset: str, dry_run: bool) -> None:
    """Take a set as its folder is now: files changed, added or removed by hand, a folder removed, or renamed.

    From then on verify compares with that. A removed set is retired and its number stays used; a renamed one is known by its bytes.
    Taken back (facesets undo), the folder is said to differ again. Sets are meant by name, number or person's name.
    """
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        outcome = people.accept(workspace, registry, faceset, dry_run=dry_run)
    app.answer(outcome.as_dict(), lambda: "\n".join(lines_of(app, outcome)))
