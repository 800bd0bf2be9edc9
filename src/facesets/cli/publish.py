"""facesets publish: what was decided goes back to Immich; a dry run unless told to apply."""

from __future__ import annotations

import shlex

import click

from facesets import publish as publishing
from facesets.cli import App, json_option, next_steps
from facesets.cli.people import lines_of
from facesets.errors import UsageError
from facesets.people import person_of
from facesets.publish import What
from facesets.wording import count_of, plural, printable


@click.command()
@click.option("--user", "label", metavar="NAME", required=True, help="Whose Immich: their own photos only.")
@click.option("--names", is_flag=True, help="People in Immich get the names they have here.")
@click.option("--faces", is_flag=True, help="Immich's own faces are given to the right person; who is not there is made.")
@click.option("--albums", is_flag=True, help="One album a person.")
@click.option("--add-faces", is_flag=True, help="Also add our faces where Immich has none; on 2.7 and 3.1 later refreshes may fail.")
@click.option("--tags", is_flag=True, help="A tag a person. Immich writes a file beside each original.")
@click.option("--yes-write-beside-originals", "confirmed", is_flag=True, help="With --tags: those files are wanted.")
@click.option("--overrule", metavar="SET", multiple=True, help="Write ours of this person where Immich was changed since. Repeatable.")
@click.option("--apply", "apply_", is_flag=True, help="Write it; without this, only say what would be written.")
@json_option
@click.pass_obj
def publish(
    app: App, label: str, names: bool, faces: bool, albums: bool, add_faces: bool, tags: bool, confirmed: bool,
    overrule: tuple[str, ...], apply_: bool,
) -> None:  # fmt: skip
    """Write names, whose faces are whose, and albums back to Immich, and take it back with facesets undo.

    Without --apply nothing is written: it is shown, by person, what would be, and what cannot be. Without a choice: names, faces and
    albums. Nothing of Immich's is deleted, nobody is merged; what somebody changed in Immich since is asked and not overwritten.
    """
    if not any((names, faces, albums, add_faces, tags)):
        if apply_:
            raise UsageError("say what is to be written: --names, --faces, --albums (or --add-faces, --tags)")
        names = faces = albums = True
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        numbers = frozenset(person_of(registry, text).number for text in overrule)
        what = What(names=names, faces=faces, albums=albums, tags=tags, add_faces=add_faces, overrule=numbers)
        found = publishing.diff(workspace, registry, label, what, app.progress)
        if not apply_:
            said = [*found.sentences(), f"nothing was written; {_to_apply(app, label, what, overrule)}  writes it"]
            if not found.writes:
                said[-1] = "there is nothing to write"
            app.answer({**found.as_dict(), "applied": False}, lambda: "\n".join(map(printable, said)))
            return
        outcome = publishing.apply(workspace, registry, found, app.progress, tags_confirmed=confirmed)
    left = sum(cannot.count for person in found.people for cannot in person.cannot)
    more = [f"{count_of(left, 'thing')} more {plural(left, 'is')} not written; without --apply the answer says why"] if left else []
    app.answer(
        {**outcome.as_dict(), "applied": True, "diff": found.as_dict()},
        lambda: "\n".join([*lines_of(app, outcome), *more]),
    )  # fmt: skip


def _to_apply(app: App, label: str, what: What, overrule: tuple[str, ...]) -> str:
    """The command that writes what was shown."""
    asked = [f"--{name.replace('_', '-')}" for name in what.asked]
    twice = ["--yes-write-beside-originals"] if what.tags else []
    ours = [f"--overrule {shlex.quote(text)}" for text in overrule]
    return next_steps.command(app, " ".join(["publish --user", shlex.quote(label), *asked, *twice, *ours, "--apply"]))
