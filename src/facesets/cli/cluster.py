"""facesets cluster: the third step of run alone."""

from __future__ import annotations

import click

from facesets.cli import App, json_option
from facesets.cli.run import accept_option, classic_option, do, pack_option, user_option


@click.command()
@user_option
@pack_option
@accept_option
@classic_option
@json_option
@click.pass_obj
def cluster(app: App, labels: tuple[str, ...], pack: str | None, accept_missing: bool, classic: bool) -> None:
    """Decide who is who: recognise existing sets, cluster the rest, and plan new sets with their numbers. Writes no set yet."""
    do(app, labels, ("cluster",), pack_name=pack, accept_missing=accept_missing, classic=classic)
