"""facesets stage: the first step of run alone."""

from __future__ import annotations

from typing import Any

import click

from facesets.cli import App, json_option, new_server_option
from facesets.cli.run import (
    chosen,
    do,
    everybody_option,
    folder_option,
    full_option,
    look_option,
    old_option,
    user_option,
    verify_option,
)


@click.command()
@user_option
@everybody_option
@folder_option
@full_option
@verify_option
@look_option
@old_option
@new_server_option
@json_option
@click.pass_obj
def stage(app: App, /, labels: tuple[str, ...], everybody: bool, **options: Any) -> None:
    """List the library and fetch the originals that matter, each of them once, into the queue for embed."""
    do(app, chosen(app, labels, everybody), ("stage",), **options)
