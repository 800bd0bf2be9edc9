"""facesets init: make a workspace."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from facesets.cli import App, json_option
from facesets.files import is_private
from facesets.settings import SETTINGS_FILE, import_users
from facesets.workspace import Workspace

_OPEN = (
    "Others on this computer may be able to look into it: its file system keeps no permissions, or the folder is not yours. Keep keys "
    "in the environment (IMMICH_API_KEY), or make the workspace elsewhere."
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--url", default=lambda: os.environ.get("IMMICH_URL", ""), show_default="IMMICH_URL", help="Your Immich server.")
@click.option("--users", type=click.Path(path_type=Path), help='Take users from a JSON file: {"label": "user id", ...}.')
@json_option
@click.pass_obj
def init(app: App, folder: Path | None, url: str, users: Path | None) -> None:
    """Make a workspace in FOLDER (default: here): settings, registry and folders, readable by you alone.

    An empty folder is fine. Where there are face sets already, name their folder in [paths] facesets.
    """
    workspace = Workspace.init(folder.expanduser() if folder else app.root, url=url, users=import_users(users) if users else None)
    with workspace.registry():
        pass
    settings = workspace.root / SETTINGS_FILE
    privacy = "" if is_private(workspace.root) else f"{_OPEN}\n"
    app.answer(
        {"workspace": str(workspace.root), "settings": str(settings), "private": not privacy},
        lambda: (
            f"A workspace is in {workspace.root}\n"
            f"{privacy}"
            f"Settings are in {settings}; none has to be changed.\n"
            f"Next:   cd {shlex.quote(str(folder or app.root))}\n"
            "        facesets run --user NAME --folder ~/Pictures     a folder of photos; NAME is whose they are, a word of yours\n"
            "    or  export IMMICH_URL=https://... IMMICH_API_KEY=... && facesets run --user NAME"
        ),
    )
