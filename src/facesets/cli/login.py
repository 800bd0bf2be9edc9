"""facesets login: a session's token, for Immich's bulk stream."""

from __future__ import annotations

import sys

import click

from facesets.cli import App, json_option, new_server_option
from facesets.errors import FacesetsError, Refused, ServerError, UsageError
from facesets.immich import Client, session
from facesets.secrets import keep_session, remember, session_token
from facesets.sources import bind, open_client
from facesets.workspace import Workspace


@click.command()
@click.option("--user", "label", required=True, metavar="NAME", help="Whose login: a name of yours.")
@click.option("--email", help="The e-mail address you log in with; asked for where it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
@new_server_option
@click.option("--logout", is_flag=True, help="End the session and forget its token.")
@json_option
@click.pass_obj
def login(app: App, label: str, email: str | None, password_stdin: bool, new_server: bool, logout: bool) -> None:
    """Log in to Immich, so that faces come in one stream and later only their changes.

    Optional: everything works with an API key, only that Immich 3 must then be asked for the faces of each photo. The password is not
    kept; the session's token is, in a file that you alone can read, and is used for this user from then on instead of a key.
    """
    workspace = app.workspace()
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    with workspace.lock():
        if logout:
            _logout(app, workspace, label)
            return
        if not ((email and password_stdin) or on_terminal):
            raise UsageError(
                "there is no terminal to ask at: --email ADDRESS, and --password-stdin with the password on standard input"
            )
        email = email or click.prompt("E-mail", err=True)
        password = remember(
            sys.stdin.readline().rstrip("\n") if password_stdin else click.prompt("Password", hide_input=True, err=True)
        )
        with open_client(workspace.settings, "")[0] as anonymous:
            token, person = session.login(anonymous, email, password)
        with open_client(workspace.settings, token, session=True)[0] as client, workspace.registry() as registry:
            try:
                user = bind(label, workspace.settings, registry, client, app.progress, new_server=new_server)
            except (UsageError, Refused):
                session.logout(client)  # somebody else's: not to be kept
                raise
        try:
            file = keep_session(label, token, workspace.root)
        except FacesetsError:
            with open_client(workspace.settings, token, session=True)[0] as client:
                session.logout(client)  # a session that cannot be kept would stay open for nobody
            raise
    app.answer(
        {"user": label, "user_id": user.user_id, "name": person.name, "file": str(file)},
        lambda: f"Logged in as {person.name!r} for user {label!r}. End it with: facesets login --user {label} --logout",
    )


def _logout(app: App, workspace: Workspace, label: str) -> None:
    token = session_token(label, workspace.root)
    if token is None:
        raise UsageError(f"user {label!r} is not logged in")
    with open_client(workspace.settings, token, session=True)[0] as client:
        ended = _ended(client)
    keep_session(label, None, workspace.root)
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
