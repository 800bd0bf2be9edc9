"""The command line: one module per verb, thin: parse, call, print. ``main`` is the only place that turns errors into exit codes."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import click

from facesets import __version__
from facesets.errors import FacesetsError
from facesets.interrupt import WhileLoading

if TYPE_CHECKING:
    from facesets.progress import Progress
    from facesets.workspace import Workspace


class Verb(NamedTuple):
    """A row of the help. ``facesets.cli.NAME`` (or ``module``) holds the command, under its name (with ``_`` behind Python's own)."""

    name: str
    group: str
    help: str
    module: str = ""


# in the order of a user's day; a new verb is a row here and a module
_TABLE = (
    Verb("demo", "start", "See it work on a sample library, with nothing to configure."),
    Verb("init", "start", "Make a workspace, readable by you alone."),
    Verb("login", "start", "Log in to Immich: faces then come in one stream (optional)."),
    Verb("fetch", "start", "Get a model pack that is published elsewhere, once."),
    Verb("doctor", "start", "Check server, keys, models and disk; say what to fix."),
    Verb("run", "run", "List, fetch, embed, cluster, write new sets; again and again."),
    Verb("stage", "run", "Step 1 alone: list the library, fetch the originals needed."),
    Verb("embed", "run", "Step 2 alone: find and embed the faces of staged photos."),
    Verb("cluster", "run", "Step 3 alone: recognise known people, plan new sets."),
    Verb("write", "run", "Step 4 alone: write the planned sets."),
    Verb("status", "look", "What there is, what is left to do, what failed and why."),
    Verb("list", "look", "Every asset, face, set or person, with state and reason."),
    Verb("explain", "look", "The story of one file, face, set or person."),
    Verb("report", "look", "Pages to look at: every set with its faces, in your browser."),
    Verb("review", "people", "Look, name, merge, split, put right: in your browser."),
    Verb("name", "people", "Say who a set is; or take the names that Immich has.", "people"),
    Verb("merge", "people", "Two sets are one person.", "people"),
    Verb("distinct", "people", "Two sets that look alike are two people.", "people"),
    Verb("split", "people", "Some faces of a set are somebody else.", "people"),
    Verb("reject", "people", "Faces are not of the person they are given to.", "people"),
    Verb("move", "people", "Faces are of another person.", "people"),
    Verb("confirm", "people", "Faces, or a set, were looked at and are right.", "people"),
    Verb("best", "people", "Show a person by this face.", "people"),
    Verb("extend", "people", "Put the faces that were recognised since into a set.", "people"),
    Verb("ignore", "people", "A set is of no interest.", "people"),
    Verb("eras", "people", "Folders for the parts of a person whose looks moved.", "people"),
    Verb("suggest", "people", "What to look at next, most useful first.", "people"),
    Verb("history", "people", "What was decided; let old revisions of sets go.", "people"),
    Verb("undo", "people", "Take a decision back, to the same bytes.", "people"),
    Verb("calibrate", "people", "Distances that suit your own people, with the error at each."),
    Verb("evaluate", "people", "Score the clustering against photos whose people are known."),
    Verb("export", "hand on", "To Frigate, digiKam, LoRA trainers and others, as they take it."),
    Verb("publish", "hand on", "Names, faces and albums back to Immich; dry run first, undoable."),
    Verb("consent", "hand on", "Record that a person agreed to be generated, or withdraw it."),
    Verb("verify", "keep safe", "Prove by hash that every set has exactly the files it had."),
    Verb("accept", "keep safe", "What you did to a set's folder by hand is right."),
    Verb("restore", "keep safe", "List backups of the registry, bring one back."),
    Verb("cache", "keep safe", "Look into caches of vectors, join, import, export them."),
    Verb("bench", "keep safe", "Measure what this machine can run the networks on."),
)
VERBS = {verb.name: verb for verb in _TABLE}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class App:
    """What every verb gets: where the workspace is, and how the user wants to be spoken to."""

    root: Path = field(default_factory=Path)
    verbose: int = 0
    as_json: bool = False
    speaking: bool = True  # what is written to stdout just now is an answer, or the help

    @property
    def progress(self) -> Progress:
        """Progress and notes on stderr; stdout is the answer's alone."""
        from facesets.cli.progress import ConsoleProgress  # noqa: PLC0415 - --help need not wait for it

        return ConsoleProgress()

    def workspace(self) -> Workspace:
        """The workspace the user named or stands in."""
        from facesets.workspace import Workspace  # noqa: PLC0415 - --help need not wait for it

        return Workspace.open(self.root)

    def answer(self, document: Any, text: Callable[[], str]) -> None:
        """Print the answer: one JSON document with --json, else ``text()``."""
        from facesets.wording import printable  # noqa: PLC0415 - --help need not wait for it

        said = json.dumps(document, indent=1, ensure_ascii=False) if self.as_json else text()
        self.speaking = True
        click.echo(printable(said, keep="\n\t"))


new_server_option = click.option(
    "--new-server", is_flag=True, help="The server was set up anew with the same photos: what is known of them carries over."
)


def json_option(command: F) -> F:
    """The ``--json`` switch that every verb has."""

    def remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        ctx.ensure_object(App).as_json |= value  # a group's switch holds for its verbs

    return click.option(
        "--json", "_json", is_flag=True, expose_value=False, callback=remember, help="Print one JSON document on stdout."
    )(command)


class _Verbs(click.Group):
    """Loads a verb's module when it is asked for, so that neither ``--help`` nor ``status`` waits for model runtimes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*VERBS]  # not list(): once loaded, the verb of that name stands in this module

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in VERBS:
            return None
        with WhileLoading():
            module = importlib.import_module(f".{VERBS[cmd_name].module or cmd_name}", __name__)
        command = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and (matches := get_close_matches(args[0], VERBS, n=1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {matches[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        width = max(map(len, VERBS))
        for group in dict.fromkeys(verb.group for verb in VERBS.values()):
            with formatter.section(group[0].upper() + group[1:]):
                formatter.write_dl([(verb.name.ljust(width), verb.help) for verb in VERBS.values() if verb.group == group])


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="facesets")
@click.option(
    "-C",
    "root",
    metavar="DIR",
    type=click.Path(readable=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="The workspace.",
)
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
    From elsewhere, DIR before the verb: facesets -C family status

    Sets that exist are never altered; stop it whenever you like and run it again: it goes on where it was.
    Every verb has --help and --json.

    Exit codes: 0 done, 1 failed, 2 usage or settings, 3 retryable items left, 4 refused for safety,
    5 workspace in use, 130 interrupted.
    """
    app = ctx.ensure_object(App)
    app.root, app.verbose, app.speaking = root.expanduser(), verbose, False
    if not ctx.resilient_parsing:
        ctx.call_on_close(_log_to_stderr(verbose))


def _log_to_stderr(verbose: int) -> Callable[[], None]:
    """Let the log be seen on stderr too; returns what ends that."""
    import logging  # noqa: PLC0415 - --help need not wait for it

    from facesets.secrets import ScrubbingFormatter  # noqa: PLC0415

    class ToStderr(logging.Handler):
        """To what stderr is at that moment: while a bar is drawn, lines go above it."""

        def emit(self, record: logging.LogRecord) -> None:
            if sys.stderr is not None:
                with suppress(OSError):  # nobody reads it
                    print(self.format(record), file=sys.stderr)

    # without -v errors, and that something waits for long ("told"); other warnings are in the run's log and in list
    least = (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = ToStderr()
    handler.setFormatter(ScrubbingFormatter("%(asctime)s %(name)s: %(message)s" if verbose else "%(message)s"))
    handler.addFilter(lambda record: record.levelno >= least or getattr(record, "told", False))
    handler.addFilter(lambda record: not getattr(record, "shown", False))
    logger = logging.getLogger("facesets")
    before = logger.level
    logger.addHandler(handler)
    if verbose:
        logger.setLevel(least)

    def end() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    return end


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with a documented code."""
    os.umask(0o077)  # whatever is made from here on is private: faces are other people's
    words = [*(sys.argv[1:] if argv is None else argv)]
    app = App(as_json="--json" in words)  # known from the first word on: a call that cannot be parsed is answered in JSON too
    with _any_character():
        code = _code_of(app, words)
    sys.exit(code)


def _code_of(app: App, words: list[str]) -> int:
    """Run these words; whatever is raised becomes one line and an exit code."""
    try:
        stopped = facesets.main(args=words, prog_name="facesets", obj=app, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # a reader that has gone, or a full disk, is noticed here and not when Python ends
        return stopped if isinstance(stopped, int) else 0  # click hands back what a verb's Exit carried
    except (BrokenPipeError, SystemExit):  # click makes the one into the other
        if app.speaking or {"--help", "-h"} & {*words}:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the reader has gone; keep Python quiet
            return 0
        message, code = "a pipe broke in the middle of the work; run the same command again and it goes on", 1
        _say(message)
    except click.UsageError as err:
        said = _of_the_other_side(err) if isinstance(err, click.NoSuchOption) else err
        said.show()
        message, code = said.format_message(), said.exit_code
    except BaseException as err:  # noqa: BLE001 - the last door: nobody is shown a traceback, and nothing is swallowed
        message, code = _in_a_line(err, app, words)
        _say(message)
    _answer_error(app, message, code)
    return code


def _of_the_other_side(err: click.NoSuchOption) -> click.UsageError:
    """The same of an option that stands on the wrong side of the verb, with where it belongs; a look-alike of that side is no help."""
    name = err.option_name
    if name in ("-C", "-v", "--verbose"):
        place = f"It stands before the verb: facesets {'-C DIR' if name == '-C' else name} VERB ..."
    elif err.ctx is not None and err.ctx.parent is None and (name == "--json" or not err.possibilities):
        place = f"What a verb takes stands behind it: facesets VERB {name} ..."
    else:
        return err
    return click.UsageError(f"No such option {name!r} here. {place}", err.ctx)


def _in_a_line(err: BaseException, app: App, words: list[str]) -> tuple[str, int]:
    """What is said of an error, and the exit code."""
    from facesets.secrets import scrub  # noqa: PLC0415 - --help need not wait for it
    from facesets.wording import printable  # noqa: PLC0415

    match err:
        case FacesetsError():
            message, code = str(err), err.exit_code
        case click.ClickException():
            message, code = err.format_message(), err.exit_code
        case KeyboardInterrupt() | click.Abort():
            message, code = "interrupted; nothing is lost: run the same command again and it goes on", 130
        case OSError():
            from facesets.files import disk_error  # noqa: PLC0415

            message, code = str(disk_error(err)), 1
        case MemoryError():
            message, code = "not enough memory. Close other programs or raise the limit, then run the same command again; it goes on", 1
        case UnicodeEncodeError(object=text, start=start, end=end) if any(str(text)[start:end] in word for word in words):
            message, code = f"{printable(text)} is no text in UTF-8: is the terminal set to another encoding?", 2
        case Exception():
            from facesets.cli.crash import keep_traceback  # noqa: PLC0415

            message, code = keep_traceback(err, app.root, words), 1
        case _:  # what only ends a thread or a generator
            raise err
    return scrub(message), code


@contextmanager
def _any_character() -> Iterator[None]:
    """Let stdout and stderr escape what their encoding lacks: a name with a rare accent must not end a list."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with suppress(ValueError, OSError):  # closed by whoever was to read it
                stream.reconfigure(errors=errors)


def _say(message: str) -> None:
    from facesets.wording import printable  # noqa: PLC0415 - --help need not wait for it

    with suppress(OSError):  # nobody reads stderr; the exit code still tells
        click.echo(printable(f"facesets: {message}", keep="\n"), err=True)


def _answer_error(app: App, message: str, code: int) -> None:
    if app.as_json:
        with suppress(OSError):  # a stdout that cannot be written to may be what is being told
            click.echo(json.dumps({"error": message, "exit_code": code}))
