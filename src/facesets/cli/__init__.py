"""The command line: one module per verb, thin: parse, call, print. ``main`` is the only place that turns errors into exit codes."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from .. import __version__
from ..errors import FacesetsError, redact
from ..workspace import Workspace
from .progress import ConsoleProgress

# in the order of a user's day; each is a module of this package with a command of the same name
VERBS = (
    "demo", "init", "login", "doctor", "run", "stage", "embed", "cluster",
    "export", "status", "list", "explain", "evaluate", "cache", "verify", "bench",
)  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class App:
    """What every verb gets: where the workspace is, and how the user wants to be spoken to."""

    root: Path = field(default_factory=Path)
    verbose: int = 0
    as_json: bool = False

    @property
    def progress(self) -> ConsoleProgress:
        """Progress bars and notes on stderr; stdout is the answer's alone."""
        return ConsoleProgress()

    def workspace(self) -> Workspace:
        """The workspace the user named or stands in."""
        return Workspace.open(self.root)

    def answer(self, document: Any, text: Callable[[], str]) -> None:
        """Print the answer: one JSON document with --json, else ``text()``."""
        click.echo(json.dumps(document, indent=1, ensure_ascii=False) if self.as_json else text())


def json_option(command: F) -> F:
    """The ``--json`` switch that every verb has."""

    def remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        ctx.ensure_object(App).as_json |= value  # a group's switch holds for its verbs

    return click.option(
        "--json", "_json", is_flag=True, expose_value=False, callback=remember, help="Print one JSON document on stdout."
    )(command)


class _Verbs(click.Group):
    """Loads a verb's module when it is asked for, so that ``facesets status`` does not wait for model runtimes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*VERBS]  # not list(): once loaded, the verb of that name stands in this module

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f".{cmd_name}", __name__)
        command = getattr(module, "list_" if cmd_name == "list" else cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="facesets")
@click.option("-C", "root", type=click.Path(path_type=Path), default=Path(), show_default="here", help="The workspace folder.")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every request.")
@click.pass_context
def facesets(ctx: click.Context, root: Path, verbose: int) -> None:
    """Turn an Immich library, or a folder of photos, into clean, numbered face sets, one per person.

    \b
    See it work, nothing to configure:   facesets demo
    Your own library:                    facesets init family && cd family
                                         export IMMICH_URL=https://... IMMICH_API_KEY=...
                                         facesets run --user anna
    A folder instead of Immich:          facesets run --user anna --folder ~/Pictures

    Sets that exist are never altered; stop it whenever you like and run it again: it goes on where it was.
    Exit codes: 0 done, 1 failed, 2 usage or settings, 3 retryable items left, 4 refused for safety,
    5 workspace in use, 130 interrupted.
    """
    app = ctx.ensure_object(App)
    app.root, app.verbose = root, verbose
    ctx.call_on_close(_log_to_stderr(verbose))


def _log_to_stderr(verbose: int) -> Callable[[], None]:
    """Let the log be seen on stderr too; returns what ends that."""
    handler = logging.StreamHandler()
    handler.setLevel((logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)])  # warnings are in the run's log and in list
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logger = logging.getLogger("facesets")
    logger.addHandler(handler)
    if verbose > 1:
        logger.setLevel(logging.DEBUG)
    return lambda: logger.removeHandler(handler)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with a documented code."""
    os.umask(0o077)  # whatever is made from here on is private: faces are other people's
    app = App()
    try:
        stopped = facesets.main(args=argv, prog_name="facesets", obj=app, standalone_mode=False)
        code = stopped if isinstance(stopped, int) else 0  # click hands back what a verb's Exit carried
    except click.ClickException as err:
        err.show()
        code = err.exit_code
    except FacesetsError as err:
        _say(app, str(err), err.exit_code)
        code = err.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say(app, "interrupted; nothing is lost: run the same command again and it goes on", 130)
        code = 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the reader of our pipe has gone; keep Python quiet
        code = 0
    sys.exit(code)


def _say(app: App, message: str, code: int) -> None:
    message = redact(message, *(value for name, value in os.environ.items() if name.startswith("IMMICH_API_KEY")))
    click.echo(f"facesets: {message}", err=True)
    if app.as_json:
        click.echo(json.dumps({"error": message, "exit_code": code}))
