"""facesets embed: the second step of run alone, here or on another machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from facesets.cli import App, json_option
from facesets.cli.fetch import fetch_if_missing, yes_option
from facesets.cli.run import do, pack_option, user_option
from facesets.errors import RetryableLeft, UsageError
from facesets.faces import embed_queue
from facesets.models import load_pack
from facesets.wording import count_of


@click.command()
@user_option
@pack_option
@click.option("--queue", type=click.Path(path_type=Path), help="Embed this queue file instead; needs no workspace and no network.")
@click.option("--out", type=click.Path(path_type=Path), help="With --queue: the cache to write, or to go on with.")
@click.option("--map", "maps", multiple=True, metavar="THEIRS=OURS", help="With --queue: where a path of it lies here.")
@click.option("--workers", type=click.IntRange(0), default=0, help="With --queue: photos at a time; 0: one for each core, up to six.")
@click.option("--engine", metavar="NAME", help="With --queue: what runs the networks: auto, cpu, cuda, directml, openvino, ...")
@yes_option
@json_option
@click.pass_obj
def embed(
    app: App,
    labels: tuple[str, ...],
    pack: str | None,
    queue: Path | None,
    out: Path | None,
    maps: tuple[str, ...],
    workers: int,
    engine: str | None,
    yes: bool,
) -> None:
    """Find and embed the faces of staged photos: into the registry, and into a cache file that other tools can load.

    With --queue and --out it does the same for the queue file of a workspace that lies elsewhere: copy the queue (or share its
    folder), run this on the machine with the GPU, and bring the cache back with  facesets cache import.
    """
    if queue is None and out is None:
        if maps or workers or engine:
            raise UsageError("--map, --workers and --engine belong to --queue; in a workspace they are settings")
        do(app, labels, ("embed",), pack_name=pack, yes=yes)
        return
    if queue is None or out is None or labels:
        raise UsageError("the queue of another machine: --queue FILE --out CACHE, without --user")
    progress = app.progress
    path_map = dict(_pair(one) for one in maps)
    fetch_if_missing(app, pack or "auto", yes=yes)
    loaded = load_pack(pack or "auto", engine=engine or os.environ.get("FACESETS_ENGINE", "auto"), fetch=True, note=progress.note)
    counters = embed_queue(queue, out, loaded, workers=workers, path_map=path_map, progress=progress)
    app.answer(
        counters,
        lambda: (
            f"{count_of(int(counters['queue']), 'photo')} queued: {count_of(int(counters['new_faces']), 'new face')}, "
            f"{count_of(int(counters['new_noface']), 'photo')} without, "
            f"{counters['load_errors']:,} unreadable ({counters['images_per_second']:.1f}/s); in {out}"
        ),
    )
    if counters["retryable"]:
        raise RetryableLeft(f"{count_of(int(counters['retryable']), 'photo')} could not be reached from here; run it again")


def _pair(text: str) -> tuple[str, str]:
    theirs, sign, ours = text.partition("=")
    if not sign or not theirs:
        raise UsageError(f"--map {text!r}: write THEIRS=OURS, e.g. --map /mnt/photos/=P:\\\\")
    return theirs, ours
