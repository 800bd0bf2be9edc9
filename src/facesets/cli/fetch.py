"""facesets fetch: a model pack that is published elsewhere; and how the verbs that need it ask for it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from facesets.cli import App, json_option
from facesets.errors import PackUnavailable
from facesets.models import PUBLISHED, Published, fetch_published, how_to_get, is_missing

yes_option = click.option("--yes", is_flag=True, help="Agree to what is said of a model pack before it is fetched.")


@click.command()
@click.argument("pack", type=click.Choice([*PUBLISHED]))
@yes_option
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Take this file, which you got from there.")
@json_option
@click.pass_obj
def fetch(app: App, pack: str, yes: bool, file: Path | None) -> None:
    """Get a model pack that is not on this machine, once.

    Where it comes from, its checksum and its licence are said first, and you are asked; --yes answers for you. A download that broke
    off goes on where it stopped; bytes other than those published are refused.
    """
    row = PUBLISHED[pack]
    if is_missing(pack):
        ask(app, row, yes=yes, file=file)
    else:
        row.weights()
    app.answer({"pack": pack, "file": str(row.place), "sha256": row.member_sha256}, lambda: f"{pack} is here: {row.place}")


def fetch_if_missing(app: App, pack: str, *, yes: bool) -> None:
    """Before work that needs it: a pack that can be fetched and is not here is offered. Raises PackUnavailable."""
    row = is_missing(pack)
    if row:
        ask(app, row, yes=yes)


def ask(app: App, row: Published, *, yes: bool, file: Path | None = None) -> None:
    """Say what is to be fetched, ask where somebody can answer, and fetch it. Raises PackUnavailable."""
    progress = app.progress
    progress.note(row.said())
    if not yes and not sys.stdin.isatty():
        raise PackUnavailable(f"{row.pack} is fetched with your agreement alone: facesets fetch {row.pack} --yes")
    if not yes and not click.confirm("Fetch it?", err=True):
        raise PackUnavailable(f"{row.pack} was not fetched. {how_to_get(row)}")
    fetch_published(row, file=file, progress=progress)
