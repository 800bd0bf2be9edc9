"""facesets restore: bring a backup of the registry back."""

from __future__ import annotations

from typing import Any

import click

from facesets.changes import restore as restore_registry
from facesets.cli import App, json_option
from facesets.registry import backups
from facesets.wording import listed, plural, size_of


@click.command()
@click.argument("date", required=False, metavar="[DATE]")
@json_option
@click.pass_obj
def restore(app: App, date: str | None) -> None:
    """List the backups of the registry, or bring back the one of DATE (the newest whose name begins so).

    What you decided since holds, and can be taken back. Sets that were written since are known by their bytes and never overwritten,
    and their numbers stay used. The registry as it was before is kept beside the backups.
    """
    workspace = app.workspace()
    if date is None:
        there = [(one, one.path.stat().st_size) for one in backups.listed(workspace.registry_file)]
        found = [{"backup": one.name, "date": one.date, "before": one.kind or None, "bytes": size} for one, size in there]
        lines = [f"{one.name}  {size_of(size)}" for one, size in there]
        back = f"Bring one back with: facesets restore {there[-1][0].name}" if there else ""
        lines.append(back or "no backup yet: the first run of a day makes one")
        app.answer(found, lambda: "\n".join(lines))
        return
    with workspace.lock():
        done = restore_registry(workspace, date)
    app.answer(done, lambda: "\n".join(_said(done)))


def _said(done: dict[str, Any]) -> list[str]:
    lines = [f"the registry of {done['restored']} is back" + (f"; the one before it is {done['kept']}" if done["kept"] else "")]
    if names := done["sets_altered"]:
        their = "its folder holds" if len(names) == 1 else "their folders hold"
        lines.append(f"{listed(names)} {plural(len(names), 'was')} written again since; what {their} counts once you say so:")
        lines += [f"  facesets accept {name}" for name in names]
    if names := done["sets_gone"]:
        lines.append(f"{listed(names)} {plural(len(names), 'has')} no folder any more, as after a merge; if that is right:")
        lines += [f"  facesets accept {name}" for name in names]
    if names := done["sets_unknown"]:
        lines.append(
            f"{listed(names)} {plural(len(names), 'was')} written since; the next run knows {'it' if len(names) == 1 else 'them'} again"
        )
    if numbers := done["decisions_to_repeat"]:
        one = len(numbers) == 1
        which = f"decision {numbers[0]} speaks" if one else f"decisions {listed([str(number) for number in numbers])} speak"
        them = "it" if one else "them"
        lines.append(
            f"{which} of what this registry does not know, and no folder followed {them} yet: say {them} again after the next run "
            "(facesets history)"
        )
    return lines
