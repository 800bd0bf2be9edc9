"""facesets login: a session's token, for Immich's bulk stream."""

from __future__ import annotations

import sys

import click

from ..errors import ServerError, UsageError
from ..immich import Client, session
from ..settings import SESSION_FILE, session_file, session_token
from ..sources.binding import bind
from ..sources.immich import open_client
from ..workspace import Workspace, write_private
from . import App, json_option


@click.command()
@click.option("--user", "label", required=True, metavar="NAME", help="Whose login: a name of yours.")
@click.option("--email", help="The e-mail address you log in with; asked for where it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
@click.option("--logout", is_flag=True, help="End the session and forget its token.")
@json_option
@click.pass_obj
def login(app: App, label: str, email: str | None, password_stdin: bool, logout: bool) -> None:
    """Log in to Immich, so that faces come in one stream and later only their changes.

    Optional: everything works with an API key, only that Immich 3 must then be asked for the faces of each photo. The password is not
    kept; the session's token is, in a file that you alone can read, and is used for this user from then on instead of a key.
    """
    workspace = app.workspace()
    with workspace.lock():
        if logout:
            _logout(app, workspace, label)
            return
        email = email or click.prompt("E-mail", err=True)
        password = sys.stdin.readline().rstrip("\n") if password_stdin else click.prompt("Password", hide_input=True, err=True)
        with open_client(workspace.settings, "")[0] as anonymous:
            token, person = session.login(anonymous, email, password)
        with open_client(workspace.settings, token, session=True)[0] as client, workspace.registry() as registry:
            try:
                user = bind(label, workspace.settings, registry, client, app.progress)
            except UsageError:
                session.logout(client)  # somebody else's: not to be kept
                raise
        write_private(workspace.root / SESSION_FILE, session_file(label, token, workspace.root))
    app.answer(
        {"user": label, "user_id": user.user_id, "name": person.name, "file": str(workspace.root / SESSION_FILE)},
        lambda: f"Logged in as {person.name!r} for user {label!r}. End it with: facesets login --user {label} --logout",
    )


def _logout(app: App, workspace: Workspace, label: str) -> None:
    token = session_token(label, workspace.root)
    if token is None:
        raise UsageError(f"user {label!r} is not logged in")
    with open_client(workspace.settings, token, session=True)[0] as client:
        ended = _ended(client)
    write_private(workspace.root / SESSION_FILE, session_file(label, None, workspace.root))
    app.answer(
        {"user": label, "ended": ended},
        lambda: f"User {label!r} is logged out" + ("." if ended else "; the server had ended the session already."),
    )


def _ended(client: Client) -> bool:
    try:
        session.logout(client)
    except ServerError:
        return False
    return True
