"""The acts on people as verbs: each calls the function of the same name in :mod:`facesets.people`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from facesets import people, publish
from facesets.cli import App, json_option, next_steps
from facesets.errors import UsageError
from facesets.people import Outcome
from facesets.photos import DecoderPool
from facesets.registry import Registry, published
from facesets.wording import moment_of, printable, size_of
from facesets.workspace import Workspace

_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
_faces = click.argument("faces", metavar="FACE...", nargs=-1, required=True)
_set = click.argument("faceset", metavar="SET")


def _act(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the verbs share."""
    return _dry_run(json_option(click.pass_obj(command)))


@contextmanager
def _open(app: App) -> Iterator[tuple[Workspace, Registry]]:
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        yield workspace, registry


def _answer(app: App, outcome: Outcome, after: Sequence[str] = ()) -> None:
    app.answer(outcome.as_dict(), lambda: "\n".join([*lines_of(app, outcome), *after]))


def lines_of(app: App, outcome: Outcome) -> list[str]:
    """What an act came to, for a terminal."""
    lines = [*outcome.sentences, *(f"note: {note}" for note in outcome.notes)]
    if outcome.dry_run:
        lines.append("nothing was changed (--dry-run)")
    elif outcome.decision is not None:
        undo = next_steps.command(app, f"undo {outcome.decision}")
        back = f"; take it back with: {undo}" if outcome.changes.get("act") != published.PUBLISH else ""
        lines.append(f"decision {outcome.decision}{back}")
        if outcome.folders:
            lines.append(f"on disk this follows with the next run, or now: {next_steps.command(app, 'write')}")
    return [printable(line) for line in lines]


@click.command()
@click.argument("faceset", metavar="[SET]", required=False)
@click.argument("called", metavar="[NAME]", required=False)
@click.option("--from-immich", is_flag=True, help="Take the clear names that Immich has for sets without one; list the conflicts.")
@click.option("--from-xmp", is_flag=True, help="The same with the names that digiKam, Lightroom or Picasa wrote for a folder's photos.")
@click.option("--at-least", type=float, default=0.8, show_default=True, help="Share of a set's faces that must have the name.")
@_act
def name(app: App, faceset: str | None, called: str | None, from_immich: bool, from_xmp: bool, at_least: float, dry_run: bool) -> None:
    """Say who a set is. Sets are meant by name, number or person's name; a name is kept in registry and manifest alone."""
    if from_immich + from_xmp + (faceset is not None) != 1 or (faceset is None) != (called is None):
        raise UsageError("who is which set? facesets name SET NAME, or facesets name --from-immich, or facesets name --from-xmp")
    with _open(app) as (workspace, registry):
        if from_immich:
            people.ask_sources(workspace, registry, app.progress)
            outcome = people.name_from_sources(workspace, registry, at_least=at_least, by="immich", dry_run=dry_run)
        elif from_xmp:
            with DecoderPool() as decoders:
                app.progress.note(people.read_xmp_names(workspace, registry, app.progress, decoders).said)
            outcome = people.name_from_sources(workspace, registry, at_least=at_least, by="xmp", dry_run=dry_run)
        else:
            assert faceset is not None
            assert called is not None
            outcome = people.name(workspace, registry, faceset, called, dry_run=dry_run)
    _answer(app, outcome, next_steps.after_a_name(app) if outcome.decision is not None else ())


@click.command()
@_set
@click.argument("into", metavar="INTO")
@click.option("--name", "called", help="Who they are, where the two have different names.")
@_act
def merge(app: App, faceset: str, into: str, called: str | None, dry_run: bool) -> None:
    """Two sets are one person: SET's faces come into INTO, and SET's number is retired."""
    with _open(app) as (workspace, registry):
        outcome = people.merge(workspace, registry, faceset, into, name=called, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_set
@click.argument("other", metavar="OTHER")
@_act
def distinct(app: App, faceset: str, other: str, dry_run: bool) -> None:
    """SET and OTHER are two people, however alike they look: that they are one is not suggested again."""
    with _open(app) as (workspace, registry):
        outcome = people.distinct(workspace, registry, faceset, other, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_set
@_faces
@click.option("--name", "called", help="Who they are.")
@_act
def split(app: App, faceset: str, faces: tuple[str, ...], called: str | None, dry_run: bool) -> None:
    """These faces of a set are somebody else, who gets the next number. Faces: ids, or files of crops."""
    with _open(app) as (workspace, registry):
        outcome = people.split(workspace, registry, faceset, faces, name=called, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_faces
@_act
def reject(app: App, faces: tuple[str, ...], dry_run: bool) -> None:
    """These faces are not of the person they are given to, for ever. Faces: ids, or files of crops."""
    with _open(app) as (workspace, registry):
        outcome = people.reject(workspace, registry, faces, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_faces
@click.option("--to", "to", metavar="SET", required=True, help="Whose they are.")
@_act
def move(app: App, faces: tuple[str, ...], to: str, dry_run: bool) -> None:
    """These faces are of another person. Faces: ids, or files of crops."""
    with _open(app) as (workspace, registry):
        outcome = people.move(workspace, registry, faces, to, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@click.argument("what", metavar="FACE|SET...", nargs=-1, required=True)
@_act
def confirm(app: App, what: tuple[str, ...], dry_run: bool) -> None:
    """These faces, or all of a set, were looked at and are right."""
    with _open(app) as (workspace, registry):
        outcome = people.confirm(workspace, registry, what, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@click.argument("face", metavar="FACE")
@_act
def best(app: App, face: str, dry_run: bool) -> None:
    """Show a person by this face in review; no file changes."""
    with _open(app) as (workspace, registry):
        outcome = people.best(workspace, registry, face, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_set
@_act
def extend(app: App, faceset: str, dry_run: bool) -> None:
    """Put the faces that runs recognised as this person into the set."""
    with _open(app) as (workspace, registry):
        outcome = people.extend(workspace, registry, faceset, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@_set
@_act
def ignore(app: App, faceset: str, dry_run: bool) -> None:
    """A set is of no interest (a stranger, a statue, a poster): its faces are still recognised, and left alone."""
    with _open(app) as (workspace, registry):
        outcome = people.ignore(workspace, registry, faceset, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@click.argument("decision", type=int, required=False)
@_act
def undo(app: App, decision: int | None, dry_run: bool) -> None:
    """Take a decision back (without a number: the last one); sets get back the bytes they had. An undo can be undone.

    A publish is taken back in Immich, where what was written is still there, with the key of the user whose Immich it is.
    """
    with _open(app) as (workspace, registry):
        if people.to_undo(registry, decision).act == published.PUBLISH:
            outcome = publish.undo(workspace, registry, decision, app.progress, dry_run=dry_run)
        else:
            outcome = people.undo(workspace, registry, decision, dry_run=dry_run)
    _answer(app, outcome)


@click.command()
@click.argument("facesets", metavar="[SET]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Take the eras of these sets away.")
@_act
def eras(app: App, facesets: tuple[str, ...], remove: bool, dry_run: bool) -> None:
    """Make folders for the parts of a person whose looks moved, children above all: faceset_026_era_2012-2016.

    Without SET for every set. The set itself stays as it is; its eras follow it from then on, and can be made again: same bytes. An
    era of few faces lies below _thin/. Faces whose date is missing, 1970, a day of scanning or yet to come are in none.
    """
    with _open(app) as (workspace, registry):
        outcome = people.eras(workspace, registry, facesets, remove=remove, dry_run=dry_run)
        if not dry_run:
            outcome = people.make_eras(workspace, registry, outcome, app.progress)
    _answer(app, outcome)


@click.command()
@json_option
@click.pass_obj
def suggest(app: App) -> None:
    """Say what to look at next: most faces put right by one decision first, each with the command that makes it."""
    with app.workspace().registry_to_read() as registry:
        found = people.suggest(registry)
    here = [next_steps.command(app, each.command.removeprefix("facesets ")) for each in found]
    lines = [f"{each.faces:7.1f}  {each.text}\n         {command}" for each, command in zip(found, here, strict=True)]
    head = ["  faces  that an answer puts right, by estimate; what is asked; the command that says yes"] if found else []
    app.answer([each.as_dict() for each in found], lambda: "\n".join(map(_lines, [*head, *lines])) or "nothing to suggest")


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def history(ctx: click.Context) -> None:
    """List what was decided, what still waits for its folder, and what earlier revisions hold on disk."""
    if ctx.invoked_subcommand is not None:
        return
    app = ctx.ensure_object(App)
    workspace = app.workspace()
    with workspace.registry_to_read() as registry:
        found = people.history(workspace, registry)
    lines = []
    for each in found:
        state = f", taken back by {each.undone_by}" if each.undone_by is not None else ""
        state += f", takes back {each.undoes}" if each.undoes is not None else ""
        state += f", still to be written: {', '.join(each.pending)}" if each.pending else ""
        state += f", holds {size_of(each.held_bytes)}" if each.held_bytes else ""
        lines.append(f"{each.decision:5}  {moment_of(each.at)}  {each.act}{state}")
        lines += [f"       {printable(sentence)}" for sentence in each.said]
    app.answer([each.as_dict() for each in found], lambda: "\n".join(lines) or "nothing was decided here yet")


@history.command()
@click.option("--older-than", required=True, metavar="AGE", help="Let go what decisions older than this hold: 90d, 12w, 48h.")
@_act
def prune(app: App, older_than: str, dry_run: bool) -> None:
    """Let earlier revisions of sets go; the decisions stand. An undo then cuts crops anew, where photos are here."""
    with _open(app) as (workspace, registry):
        done = people.prune(workspace, registry, people.age(older_than), dry_run=dry_run)
    app.answer(done, lambda: "\n".join(done["sentences"]))
