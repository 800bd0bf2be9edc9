"""facesets demo: see it work, with nothing to configure."""

from __future__ import annotations

from pathlib import Path

import click

from . import App, json_option
from .run import told


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("facesets-demo"), show_default=True, help="Where."
)
@click.option("--blur", is_flag=True, help="Blur every face in the report but the astronaut's, for a picture that may be shown around.")
@json_option
@click.pass_obj
def demo(app: App, folder: Path, blur: bool) -> None:
    """Run everything on a sample library: an Immich that listens on this machine alone, a new workspace, the whole pipeline, a report.

    The photos are made of pictures that come with installed packages; the model pack is the open one. Nothing is asked of
    the network. Run it again and it goes on, or finds everything done.
    """
    from ..demo import demo as run_demo  # noqa: PLC0415 - needs the open extra, and says so

    done = run_demo(app.root / folder, blur=blur, progress=app.progress)
    root = done.summary.workspace
    app.answer(
        done.document(),
        lambda: "\n".join(
            [
                told(done.summary),
                f"verified: {done.verified.counts['files']} files of {done.verified.counts['sets']} sets are as recorded",
                f"report:   {done.report}",
                f"sets:     {Path(root) / 'facesets'}",
                f"look:     facesets -C {root} status   (or list faces, explain faceset_002, verify)",
            ]
        ),
    )
