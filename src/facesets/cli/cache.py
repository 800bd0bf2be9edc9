"""facesets cache: the .npz caches of vectors: look into them, join them, bring them in and out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from facesets.cli import App, json_option
from facesets.errors import UsageError
from facesets.exchange import Cache, load_cache, merge_caches, read_old_cache, save_cache
from facesets.faces import export_cache, import_cache
from facesets.wording import count_of, plural

_file = click.Path(path_type=Path)
_there = click.Path(exists=True, dir_okay=False, path_type=Path)
_force = click.option("--force", is_flag=True, help="Replace a file that is there.")


@click.group()
@json_option
def cache() -> None:
    """Look into caches of vectors, join them, and bring them in and out.

    A cache (.npz) holds what embedding found: a vector a face, and what is known of it. It is read by numpy alone.
    """


@cache.command()
@click.argument("files", nargs=-1, required=True, type=_there)
@json_option
@click.pass_obj
def info(app: App, files: tuple[Path, ...]) -> None:
    """Say what is in FILES."""
    caches = [{"file": str(path)} | _facts(load_cache(path)) for path in files]
    app.answer(
        caches,
        lambda: "\n".join(
            f"{one['file']}: {one['model']}, {count_of(one['faces'], 'face')} in "
            f"{count_of(one['photos_with_faces'], 'photo')}, {one['processed']:,} gone through, "
            f"{count_of(one['aliases'], 'copy')}, {one['failed']:,} unreadable; {one['dim']} numbers a face"
            for one in caches
        ),
    )


@cache.command()
@click.argument("out", type=_file)
@click.argument("files", nargs=-1, required=True, type=_there)
@_force
@json_option
@click.pass_obj
def merge(app: App, out: Path, files: tuple[Path, ...], force: bool) -> None:
    """Join FILES, all of one model, in OUT. A photo that several have is taken once, from the first; differences are said."""
    _free(out, force)
    merged = merge_caches([(str(path), load_cache(path)) for path in files])
    save_cache(out, merged.cache)
    document = {"out": str(out)} | _facts(merged.cache)
    document |= {"photos_again": merged.photos_again, "aliases_new": merged.aliases, "conflicts": merged.conflicts}
    app.answer(
        document,
        lambda: "\n".join(
            [
                *merged.conflicts,
                f"{out}: {count_of(document['faces'], 'face')}; {count_of(merged.photos_again, 'photo')} "
                f"{plural(merged.photos_again, 'was')} in several; {count_of(len(merged.conflicts), 'conflict')}",
            ]
        ),
    )


@cache.command(name="import")
@click.argument("files", nargs=-1, required=True, type=_there)
@json_option
@click.pass_obj
def import_(app: App, files: tuple[Path, ...]) -> None:
    """Bring what another machine embedded into the workspace. Photos are known by their bytes, else by their path."""
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        taken = [import_cache(workspace, registry, path, app.progress) for path in files]
    documents = [{"file": str(path)} | one.document() for path, one in zip(files, taken, strict=True)]
    app.answer(documents, lambda: "\n".join(f"{path}: {one.line()}" for path, one in zip(files, taken, strict=True)))


@cache.command()
@click.argument("out", type=_file)
@click.option("--user", "label", required=True, metavar="NAME", help="Whose photos.")
@click.option("--model", metavar="NAME@VERSION", help="Whose vectors, where the workspace has those of several models.")
@_force
@json_option
@click.pass_obj
def export(app: App, out: Path, label: str, model: str | None, force: bool) -> None:
    """Write the vectors of a user's photos to OUT."""
    _free(out, force)
    workspace = app.workspace()
    with workspace.registry() as registry:
        made = export_cache(registry, label, model)
    save_cache(out, made)
    document = {"out": str(out)} | _facts(made)
    app.answer(
        document, lambda: f"{out}: {made.model}, {count_of(document['faces'], 'face')} of {count_of(document['processed'], 'photo')}"
    )


@cache.command()
@click.argument("old", type=_there)
@click.argument("out", type=_file)
@click.option("--model", metavar="NAME@VERSION", help="Which model made the vectors, where the file does not say.")
@_force
@json_option
@click.pass_obj
def convert(app: App, old: Path, out: Path, model: str | None, force: bool) -> None:
    """Write the cache OLD, whose metadata may be pickled objects, to OUT in today's form. Nothing in it is run."""
    _free(out, force)
    made = read_old_cache(old, model=model)
    save_cache(out, made)
    document = {"out": str(out)} | _facts(made)
    app.answer(
        document,
        lambda: f"{out}: {made.model}, {count_of(document['faces'], 'face')}, {count_of(document['processed'], 'photo')} gone through",
    )


def _free(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise UsageError(f"{out} is there already; name another file, or replace it with --force")


def _facts(cache: Cache) -> dict[str, Any]:
    photos = Counter(str(row.get("sha256") or row.get("path")) for row in cache.meta)
    return {
        "model": cache.model,
        "dim": cache.embeddings.shape[1],
        "faces": len(cache.meta),
        "photos_with_faces": len(photos),
        "processed": len(cache.processed),
        "aliases": len(cache.path_aliases),
        "failed": len(cache.failed),
    }
