"""facesets review: the local web app."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path

import click

from facesets.cli import App, json_option
from facesets.review import DEFAULT_PORT, options_of, serve

PASSWORD = "FACESETS_REVIEW_PASSWORD"  # noqa: S105 - the name of a variable


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="Where it listens; 0: any free one."
)
@click.option("--no-browser", is_flag=True, help="Open no browser; the link is printed either way.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help=f"Another address of this machine; needs a password in {PASSWORD}."
)
@click.option("--base", default="", metavar="PATH|URL", help="Where a reverse proxy shows it: /faces, or https://home.example/faces.")
@click.option("--blur", is_flag=True, help="Blur every face, for showing the program around.")
@json_option
@click.pass_obj
def review(app: App, port: int, no_browser: bool, host: str, base: str, blur: bool) -> None:
    """Look at faces, name them and put them right, in your browser, on this machine alone.

    Nothing is loaded from anywhere else, and nothing leaves this machine. The link works once, in one browser, until you press Ctrl-C;
    then the folders of sets are brought up to date with what you decided. While a run is at work you can look, and decide once it ends.
    """
    workspace = app.workspace()
    options = options_of(host, port, base, os.environ.get(PASSWORD) or None, blur=blur)
    # beside the photos: a browser that runs in a sandbox of its own (snap, flatpak) sees no /tmp of ours
    with tempfile.TemporaryDirectory(prefix=".review-", dir=workspace.root) as private:

        def started(link: str) -> None:
            opened = not no_browser and webbrowser.open(_page(Path(private), link).as_uri())
            app.answer(
                {"link": link, "opened": opened},
                lambda: (
                    f"facesets review: {link}\n{'It opens in your browser.' if opened else 'Open it in your browser.'} Ctrl-C ends it."
                ),
            )

        serve(workspace, options, app.progress, started)


def _page(folder: Path, link: str) -> Path:
    """A file that leads a browser to the link, readable by its owner alone: whoever lists processes would see an address."""
    page = folder / "facesets.html"
    leads = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={html.escape(link)}">'
    page.write_text(leads, encoding="utf-8")
    return page
