"""What to do next, as commands that can be copied: from a first run to named people in an export."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from facesets.cli import App
from facesets.registry import Registry, assets, faces, people
from facesets.sources import folder_of

EXPORT = "export --to xmp --out sidecars"
_HAND_ON = "hand on who has a name; more targets: facesets export --help"


def command(app: App, rest: str) -> str:
    """The command line that does ``rest`` in the workspace of this call, from where the user stands."""
    return f"facesets {rest}" if app.root == Path() else f"facesets -C {shlex.quote(str(app.root))} {rest}"


def table(app: App, steps: Sequence[tuple[str, str]]) -> list[str]:
    """Lines that begin with ``Next:``, each a command and what it is for."""
    rows = [(command(app, rest), why) for rest, why in steps]
    width = max(len(shown) for shown, _ in rows)
    return [f"{'' if n else 'Next:':<7} {shown:<{width}}   {why}" for n, (shown, why) in enumerate(rows)]


def runs_again(registry: Registry) -> list[str]:
    """The calls that run again for everybody known here: one for all users of an Immich, one for each folder."""
    folders = {user.label: folder_of(registry, user.label) for user in assets.users(registry)}
    immich = " ".join(f"--user {label}" for label, folder in folders.items() if folder is None)
    calls = [f"run --user {label} --folder {shlex.quote(str(folder))}" for label, folder in folders.items() if folder is not None]
    return ([f"run {immich}"] if immich else []) + calls


def first_run(app: App) -> list[str]:
    """Nobody's photos are known yet."""
    own = ("run --user NAME", "photos of an Immich: IMMICH_URL and IMMICH_API_KEY say whose")
    return table(app, [("run --user NAME --folder ~/Pictures", "a folder of photos"), own])


def after_a_run(app: App, registry: Registry) -> list[str]:
    """Where the sets are written: look at them, name people, hand them on. Without sets: why there are none."""
    there = [person for person in people.select(registry, standing=("active",)) if person.written and not person.retired]
    if not assets.users(registry):
        return first_run(app)
    if not there and not assets.counts(registry):
        return table(app, [("run --help", "how to name another folder, or another user")])
    if not there:
        why = ("list faces --state left_out", "why no face is in a set")
        if not faces.counts(registry):
            why = ("list assets", "why no face was found")
        return table(app, [why, ("report --open", "look where every file and face went")])
    steps = [("report --open", "see who they are")]
    nameless = [person for person in there if not person.name]
    if nameless and any(not user.user_id.startswith("folder:") for user in assets.users(registry)):
        steps.append(("name --from-immich", "take the names that Immich has"))
    if nameless:
        steps.append((f'name {nameless[0].set_name} "NAME"', "say who it is; the same for each that you know"))
    if len(nameless) < len(there):
        steps.append((EXPORT, _HAND_ON))
    return table(app, steps)


def after_a_name(app: App) -> list[str]:
    """Somebody has a name: name others, hand them on."""
    return table(app, [(EXPORT, _HAND_ON)])
