"""facesets run, and its steps one by one: stage, embed, cluster, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from facesets import settings
from facesets.cli import App, json_option, new_server_option, next_steps
from facesets.cli.fetch import fetch_if_missing, yes_option
from facesets.cli.list import check_users
from facesets.cli.summary_text import summary_text
from facesets.errors import FacesetsError, UsageError
from facesets.pipeline import STEPS, Summary
from facesets.pipeline import run as run_steps
from facesets.registry import Registry, assets
from facesets.sources import folder_of
from facesets.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

user_option = click.option("--user", "labels", multiple=True, metavar="NAME", help="Whose photos: a name of yours (may be repeated).")
everybody_option = click.option("--all-users", "everybody", is_flag=True, help="Everybody known here: by settings, key or login.")
folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A plain folder of photos instead of Immich; later runs know it.",
)
pack_option = click.option(
    "--pack", metavar="NAME|FOLDER", help="Model pack: auto, open, mobileface, buffalo_l, immich-db, ... or a folder."
)
accept_option = click.option(
    "--accept-missing", is_flag=True, help="Go on although some photos could not be fetched or looked through yet."
)
classic_option = click.option("--classic", is_flag=True, help="Plain average linkage, as in the original scripts: more sets a person.")
full_option = click.option("--full", is_flag=True, help="List everything and ask for all faces again, not only what changed since.")
look_option = click.option(
    "--second-look", "look_again", is_flag=True, help="Look for faces on previews of photos in which Immich found none."
)
old_option = click.option("--accept-old", is_flag=True, help="Read a dump of Immich's database that is far from today's library.")
verify_option = click.option("--verify-duplicates", is_flag=True, help="Download what only looks like a copy, to be sure.")


@click.command()
@user_option
@everybody_option
@folder_option
@pack_option
@accept_option
@classic_option
@full_option
@verify_option
@look_option
@old_option
@new_server_option
@yes_option
@json_option
@click.pass_obj
def run(app: App, /, labels: tuple[str, ...], everybody: bool, pack: str | None, **options: Any) -> None:
    """Do it all: find the photos, embed their faces, cluster, and write new sets.

    Existing sets keep every byte. Run it again next month: only what is new is fetched, known people are recognised, and new
    people get the next numbers. Exit code 3: some photos could not be fetched or looked through yet; the same command tries them again.
    """
    labels = chosen(app, labels, everybody)
    do(app, labels, STEPS, pack_name=pack, **options)


def chosen(app: App, labels: tuple[str, ...], everybody: bool) -> tuple[str, ...]:
    """The labels that a call means, each once."""
    if not everybody:
        return tuple(dict.fromkeys(labels))
    workspace = app.workspace()
    with workspace.registry() as registry:
        folders = {user.label for user in assets.users(registry) if user.user_id.startswith("folder:")}
        bound = {user.label for user in assets.users(registry)} - folders
    found = bound | settings.labels(workspace.settings, workspace.root) | set(labels)
    if not found and folders:
        raise UsageError(f"a folder of photos has a call of its own: facesets run --user {min(folders)}")
    if not found:
        raise UsageError("nobody is known here yet: name somebody with --user, or give each a key: export IMMICH_API_KEY_<NAME>=...")
    return tuple(sorted(found))


def do(
    app: App,
    labels: tuple[str, ...],
    steps: tuple[str, ...],
    *,
    verify_duplicates: bool = False,
    accept_old: bool = False,
    yes: bool = False,
    **options: Any,
) -> None:
    """Do these steps and print what came of it; ``verify_duplicates`` and ``accept_old`` stand for the settings of these names."""
    workspace = app.workspace()
    if workspace.registry_file.exists():  # the first run makes it
        with workspace.registry_to_read() as registry:
            if "stage" not in steps:
                check_users(registry, labels)
            elif options.get("folder") is None:
                options["folder"] = _known_folder(registry, labels)
    if "embed" in steps:
        fetch_if_missing(app, options.get("pack_name") or workspace.settings.embed.pack, yes=yes)
    if verify_duplicates:
        own = workspace.settings
        workspace = replace(workspace, settings=replace(own, stage=replace(own.stage, verify_duplicates=True)))
    if accept_old:
        own = workspace.settings
        workspace = replace(workspace, settings=replace(own, immich_dump=replace(own.immich_dump, accept_old=True)))
    summary, left = run_steps(workspace, labels, steps=steps, progress=app.progress, **options)
    made = _write_report(app, workspace) if steps == STEPS else None
    report(app, summary, left, {"report": str(made)} if made else None, next_steps=_next(app, workspace, summary, steps))


def _known_folder(registry: Registry, labels: Sequence[str]) -> Path | None:
    """The folder that the user of a call stands for since an earlier one. Raises UsageError where it is not there, or not alone."""
    folders = {label: folder for label in labels if (folder := folder_of(registry, label)) is not None}
    for label, folder in folders.items():
        if len(labels) > 1:
            raise UsageError(f"user {label!r} is a folder of photos, which has a call of its own: facesets run --user {label}")
        if not folder.is_dir():
            raise UsageError(f"the folder of user {label!r} is not there: {folder}. Is its disk mounted? If it has moved: --folder DIR")
        return folder
    return None


def _write_report(app: App, workspace: Workspace) -> Path | None:
    """The report of what is there now. The sets are safe on disk, so that a report that fails is said and no failure of the run."""
    from facesets.report import write_report  # noqa: PLC0415 - templates are loaded where a report is made

    try:
        with workspace.registry() as registry:
            return write_report(workspace, registry, only_if_changed=True, progress=app.progress)
    except FacesetsError as err:
        app.progress.note(f"{err}. The sets are written all the same; facesets report tries again")
        return None


def _next(app: App, workspace: Workspace, summary: Summary, steps: tuple[str, ...]) -> list[str]:
    if summary.retryable:
        again = ("list assets --state retry", "what is left, and why; the same command as now tries it again")
        return next_steps.table(app, [again])
    with workspace.registry() as registry:
        if "write" not in steps:
            rest = [(call, "does all steps that are left") for call in next_steps.runs_again(registry)]
            return next_steps.table(app, [*rest, ("status", "what there is so far")])
        return next_steps.after_a_run(app, registry)


def report(
    app: App, summary: Summary, left: FacesetsError | None, extra: dict[str, Any] | None = None, *, next_steps: Sequence[str] = ()
) -> None:
    """Print a summary, and leave with the exit code of what stopped it."""
    document = summary.document() | (extra or {})
    if left:
        document |= {"error": str(left), "exit_code": left.exit_code}
    app.answer(document, lambda: summary_text(summary, document.get("report"), next_steps))
    if left:
        click.echo(f"facesets: {left}", err=True)
        raise click.exceptions.Exit(left.exit_code)
