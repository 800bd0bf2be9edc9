"""facesets write: the last step of run alone."""

from __future__ import annotations

import click

from facesets.cli import App, json_option
from facesets.cli.run import do, user_option


@click.command()
@user_option
@json_option
@click.pass_obj
def write(app: App, labels: tuple[str, ...]) -> None:
    """Write the planned sets, each whole or not at all, and the manifest. Existing sets keep every byte."""
    do(app, labels, ("write",))
