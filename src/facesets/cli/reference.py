"""The reference pages of the documentation, made from the command line, the settings and the reasons themselves.

python -m facesets.cli.reference docs/reference
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from facesets import secrets, settings
from facesets.cli import facesets
from facesets.errors import EXIT_CODES
from facesets.reason_texts import SENTENCES, STATES, is_face_reason
from facesets.records import Reason, State
from facesets.targets import READ_BACK_ON, TARGETS

_MADE = "<!-- made by: python -m facesets.cli.reference docs/reference -->"


def pages() -> Mapping[str, str]:
    """File name -> text of every generated page."""
    made = {
        "cli.md": _cli(),
        "settings.md": _settings(),
        "exit-codes.md": _exit_codes(),
        "reasons.md": _reasons(),
        "targets.md": _targets(),
    }
    return {name: "\n".join([_MADE, "", *lines]).rstrip() + "\n" for name, lines in made.items()}


def _cli() -> Iterator[str]:
    yield from ("# Command line", "")
    with click.Context(facesets, info_name="facesets") as ctx:
        yield from _command(facesets, ctx)
        for name in facesets.list_commands(ctx):
            command = facesets.get_command(ctx, name)
            assert command is not None
            yield from (f"## facesets {name}", "")
            with click.Context(command, info_name=name, parent=ctx) as inner:
                yield from _command(command, inner)
                for sub in command.commands.values() if isinstance(command, click.Group) else ():
                    yield from (f"### facesets {name} {sub.name}", "")
                    with click.Context(sub, info_name=sub.name, parent=inner) as innermost:
                        yield from _command(sub, innermost)


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield from ("```", usage, "```", "", *_prose(command.help or ""))
    yield from _table(("option", "meaning"), ((_names(p), _meaning(p)) for p in command.params if isinstance(p, click.Option)))


def _prose(text: str) -> Iterator[str]:
    """Help text: paragraphs, and what click is told not to wrap as it stands."""
    for part in inspect.cleandoc(text).split("\n\n"):
        kept = part.removeprefix("\b\n")
        yield from (("```", kept, "```", "") if kept != part else (" ".join(part.split()).replace("``", "`"), ""))


def _names(option: click.Option) -> str:
    value = "" if option.is_flag or option.count else f" {_value(option)}"
    return f"`{', '.join(option.opts)}{value}`"


def _value(option: click.Option) -> str:
    kind = option.type
    return option.metavar or ("|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.upper())


def _meaning(option: click.Option) -> str:
    default = option.show_default
    shown = default if isinstance(default, str) else str(option.default) if default else ""
    return (option.help or "") + (f" Default: {shown}." if shown else "")


def _settings() -> Iterator[str]:
    yield from (
        "# Settings",
        "",
        f"`{settings.SETTINGS_FILE}` in the workspace; `facesets init` writes it with every default and its reason. "
        f"Keys are not in it: they come from the environment (`IMMICH_API_KEY_<LABEL>`, `IMMICH_API_KEY`) or from "
        f"`{secrets.KEY_FILE}` beside it, which only its owner may read. `IMMICH_URL` wins over `[immich] url`.",
        "",
        "## [users]",
        "",
        'Each line binds a label to a user id: `anna = "b7e5..."`. A label used for the first time is bound to its key\'s owner.',
        "",
    )
    for section, kind in settings.SECTIONS.items():
        yield from (f"## [{section}]", "", inspect.cleandoc(kind.__doc__ or ""), "")
        rows = (
            (f"`{key}`", f"`{default}`", settings.takes(section, key), sentence)
            for key, default, sentence in settings.documented(section)
        )
        yield from _table(("key", "default", "takes", "meaning"), rows)


def _exit_codes() -> Iterator[str]:
    yield from ("# Exit codes", "")
    yield from _table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items()))


def _reasons() -> Iterator[str]:
    yield from (
        "# States and reasons",
        "",
        "Every asset and every face has exactly one reason, and every reason belongs to one state. "
        "The sums over the states equal what was listed.",
        "",
    )
    for what, faces in (("Assets", False), ("Faces", True)):
        yield from (f"## {what}", "")
        reasons = sorted((r for r in Reason if is_face_reason(r) is faces), key=lambda r: list(State).index(r.state))
        rows = ((f"`{r.state}`, {STATES[r.state]}", f"`{r}`", SENTENCES[r]) for r in reasons)
        yield from _table(("state", "reason", "meaning"), rows)


def _targets() -> Iterator[str]:
    yield from (
        "# Targets",
        "",
        "What `facesets export --to TARGET` knows. *generate* needs the person's recorded agreement (`facesets consent`), *recognise* "
        "does not. *Read back by* says what reads the result in our tests: the consumer's own code with its version where it can "
        "be had, else a reader or server of ours, written from what is known of the consumer and sharing no code with the export.",
        "",
    )
    rows = ((f"`{t.name}`", t.purpose, t.kind, t.help, t.read_back, READ_BACK_ON) for t in TARGETS.values())
    yield from _table(("target", "purpose", "makes", "what it is", "read back by", "last"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    yield ""


def main(folder: Path) -> None:
    """Write the pages into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
