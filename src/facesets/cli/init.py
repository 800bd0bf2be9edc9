"""facesets init: make a workspace."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..settings import SETTINGS_FILE, import_users
from ..workspace import Workspace
from . import App, json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--url", default=lambda: os.environ.get("IMMICH_URL", ""), show_default="IMMICH_URL", help="Your Immich server.")
@click.option("--users", type=click.Path(path_type=Path), help='Take users from a JSON file: {"label": "user id", ...}.')
@json_option
@click.pass_obj
def init(app: App, folder: Path | None, url: str, users: Path | None) -> None:
    """Make a workspace in FOLDER (default: here): settings, registry and folders, readable by you alone.

    An empty folder is fine. Existing face sets are taken in where [paths] facesets names their folder.
    """
    workspace = Workspace.init(folder or app.root, url=url, users=import_users(users) if users else None)
    with workspace.registry():
        pass
    settings = workspace.root / SETTINGS_FILE
    app.answer(
        {"workspace": str(workspace.root), "settings": str(settings)},
        lambda: (
            f"A workspace is in {workspace.root}\n"
            f"Look through {settings}, set IMMICH_URL and IMMICH_API_KEY, then: facesets -C {workspace.root} run --user NAME"
        ),
    )
