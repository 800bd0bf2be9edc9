"""facesets run, and its steps one by one: stage, embed, cluster, export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import settings
from ..errors import FacesetsError, UsageError
from ..pipeline import STEPS, Summary
from ..pipeline import run as run_steps
from ..registry import assets
from . import App, json_option

F = TypeVar("F", bound=Callable[..., Any])

user_option = click.option("--user", "labels", multiple=True, metavar="NAME", help="Whose photos: a name of yours (may be repeated).")
everybody_option = click.option("--all-users", "everybody", is_flag=True, help="Everybody known here: by settings, key or login.")
folder_option = click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A plain folder of photos instead of Immich."
)
pack_option = click.option("--pack", metavar="NAME|FOLDER", help="Model pack: auto, open, buffalo_l, immich-db, ... or a folder.")
accept_option = click.option("--accept-missing", is_flag=True, help="Go on although some photos failed in a way that may heal.")
classic_option = click.option("--classic", is_flag=True, help="Average linkage alone, as the reference does: more sets a person.")
full_option = click.option("--full", is_flag=True, help="List everything and ask for all faces again, not only what changed since.")
look_option = click.option(
    "--second-look", "look_again", is_flag=True, help="Look for faces on previews of photos in which Immich found none."
)
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
@json_option
@click.pass_obj
def run(app: App, /, labels: tuple[str, ...], everybody: bool, pack: str | None, **options: Any) -> None:
    """Do it all: find the photos, embed their faces, cluster, and write new sets.

    Existing sets keep every byte. Run it again next month: only what is new is fetched, known people are recognised, and new
    people get the next numbers. Exit code 3: some photos failed in a way that may heal; the same command tries them again.
    """
    labels = chosen(app, labels, everybody)
    do(app, labels, STEPS, pack_name=pack, **options)


def chosen(app: App, labels: tuple[str, ...], everybody: bool) -> tuple[str, ...]:
    """The labels that a call means, each once."""
    if not everybody:
        return tuple(dict.fromkeys(labels))
    workspace = app.workspace()
    with workspace.registry() as registry:
        bound = {user.label for user in assets.users(registry) if not user.user_id.startswith("folder:")}
    found = bound | settings.labels(workspace.settings, workspace.root) | set(labels)
    if not found:
        raise UsageError("nobody is known here yet: name somebody with --user, or give each a key: export IMMICH_API_KEY_<NAME>=...")
    return tuple(sorted(found))


def do(app: App, labels: tuple[str, ...], steps: tuple[str, ...], *, verify_duplicates: bool = False, **options: Any) -> None:
    """Do these steps and print what came of it; ``verify_duplicates`` stands for the setting of that name."""
    workspace = app.workspace()
    if verify_duplicates:
        own = workspace.settings
        workspace = replace(workspace, settings=replace(own, stage=replace(own.stage, verify_duplicates=True)))
    summary, left = run_steps(workspace, labels, steps=steps, progress=app.progress, **options)
    report(app, summary, left)


def report(app: App, summary: Summary, left: FacesetsError | None, extra: dict[str, Any] | None = None) -> None:
    """Print a summary, and leave with the exit code of what stopped it."""
    document = summary.document() | (extra or {})
    if left:
        document |= {"error": str(left), "exit_code": left.exit_code}
    app.answer(document, lambda: told(summary))
    if left:
        click.echo(f"facesets: {left}", err=True)
        raise click.exceptions.Exit(left.exit_code)


def told(summary: Summary) -> str:
    """A summary in words."""
    lines = []
    for label, stage in summary.steps.get("stage", {}).items():
        lines += [
            f"{label}: {stage['total_assets_seen']:,} assets listed, {stage['staged_count']:,} staged, "
            f"{stage['downloads']:,} downloads in {stage['requests']:,} requests, "
            f"{stage['bytes_saved'] / 1e6:,.1f} MB saved, {stage['bytes_downloaded'] / 1e6:,.1f} MB fetched"
        ]
        if counted := stage["reconciliation"]:
            lines += [f"{label}: {counted['told']}"]
    for label, look in summary.steps.get("second_look", {}).items():
        lines += [
            f"{label}: a second look at {look['looked']:,} previews found faces on {look['found']:,}; "
            f"{look['photos_gained']:,} photos and {look['faces_gained']:,} faces gained"
        ]
    if embed := summary.steps.get("embed"):
        lines += [_measured(embed, summary.pack) if "not_measured" in embed else _embedded(embed, summary.pack)]
    if cluster := summary.steps.get("cluster"):
        lines += [
            f"{cluster['existing_centroids']:,} existing sets cover {cluster['already_covered']:,} faces; "
            f"{cluster['unmatched']:,} others in {cluster['clusters']:,} groups, {cluster['past_gates']:,} past the gates"
        ]
    if brought := summary.steps.get("originals"):
        lines += [
            f"for sets: {brought['downloads']:,} originals, {brought['bytes_downloaded'] / 1e6:,.1f} MB fetched; "
            f"{spared_line(summary.originals_spared, summary.bytes_spared)}"
        ]
        if brought["lost"]:
            lines += [f"{brought['lost']:,} faces left their sets: no photo of them (facesets list faces --reason photo_lost)"]
    lines += [
        f"new sets: {len(summary.sets_new)}" + (f" ({_span(summary.sets_new)})" if summary.sets_new else ""),
        f"sets unchanged: {len(summary.sets_unchanged)}",
        "assets: " + counts_line(summary.assets_by_state),
        "faces: " + counts_line(summary.faces_by_state),
        f"{summary.seconds:.1f} s; workspace {summary.workspace}",
    ]
    return "\n".join(lines)


def _embedded(embed: dict[str, Any], pack: str | None) -> str:
    return (
        f"embedded {embed['queue']:,} photos: {embed['new_faces']:,} faces, {embed['new_noface']:,} without, "
        f"{embed['load_errors']:,} unreadable ({embed['images_per_second']:.1f}/s, pack {pack})"
    )


def _measured(embed: dict[str, Any], pack: str | None) -> str:
    return (
        f"measured by Immich: {embed['new_faces']:,} faces in {embed['queue']:,} photos, {embed['not_measured']:,} without a usable "
        f"measure or place ({embed['images_per_second']:.1f} photos/s, pack {pack})"
    )


def spared_line(photos: int, size: int) -> str:
    """How many originals never had to come."""
    return f"{photos:,} originals ({size / 1e6:,.1f} MB) spared"


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def counts_line(counts: dict[str, int]) -> str:
    """A total and its parts."""
    total = sum(counts.values())
    return f"{total:,}" + (" = " + " + ".join(f"{n:,} {name}" for name, n in counts.items()) if counts else "")
