"""facesets embed: the second step of run alone."""

from __future__ import annotations

import click

from . import App, json_option
from .run import do, pack_option, user_option


@click.command()
@user_option
@pack_option
@json_option
@click.pass_obj
def embed(app: App, labels: tuple[str, ...], pack: str | None) -> None:
    """Find and embed the faces of staged photos: into the registry, and into a cache file that other tools can load."""
    do(app, labels, ("embed",), pack_name=pack)
