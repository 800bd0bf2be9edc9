"""facesets demo: see it work, with nothing to configure."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facesets.cli import App, json_option
from facesets.cli.summary_text import summary_text
from facesets.wording import count_of

if TYPE_CHECKING:
    from facesets.demo import Demo


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
    from facesets.demo import demo as run_demo  # noqa: PLC0415 - needs the open extra, and says so

    done = run_demo(app.root / folder, blur=blur, progress=app.progress)
    app.answer(done.document(), lambda: _text(done))
    if (
        not app.as_json
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and click.confirm("Open the report in your browser?", default=True)
    ):
        webbrowser.open(done.report.absolute().as_uri())


def _text(done: Demo) -> str:
    counts, root = done.verified.counts, done.summary.workspace
    return "\n".join(
        [
            summary_text(done.summary, None),
            f"Verified: {count_of(counts['files'], 'file')} of {count_of(counts['sets'], 'set')} are as recorded.",
            f"Sets:     {done.summary.folder_of_sets}",
            f"Look:     facesets -C {root} status   (or list faces, explain faceset_002, verify)",
            "Yours:    facesets init family && cd family && facesets run --user NAME --folder ~/Pictures",
            f"Report:   {done.report}",
        ]
    )
