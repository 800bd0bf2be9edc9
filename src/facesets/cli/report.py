"""facesets report: pages to look at, made anew."""

from __future__ import annotations

import webbrowser

import click

from facesets.cli import App, json_option
from facesets.report import write_report


@click.command()
@click.option("--open", "opens", is_flag=True, help="Show it in your browser.")
@click.option("--blur", is_flag=True, help="Blur every face and leave names out, for a picture that may be shown around.")
@json_option
@click.pass_obj
def report(app: App, opens: bool, blur: bool) -> None:
    """Make the report: every set with its faces, how sure they are, and where every file and face went.

    It is a page on your own disk (reports/latest.html, with its pictures in the folder beside it), readable by you alone, and asks
    nothing of any network. facesets run makes it too. --blur makes one beside it, reports/blurred.html.
    """
    workspace = app.workspace()
    out = workspace.root / "reports" / "blurred.html" if blur else None
    with workspace.registry_to_read() as registry:
        page = write_report(workspace, registry, out, blur_except=() if blur else None, progress=app.progress)
    opened = opens and webbrowser.open(page.as_uri())
    app.answer({"report": str(page), "opened": opened}, lambda: _text(str(page), opens, opened))


def _text(page: str, opens: bool, opened: bool) -> str:
    if opened:
        return f"Report: {page}"
    if opens:
        return f"Report: {page}\nNo browser could be started here; open that file in one."
    return f"Report: {page}\nNext:   facesets report --open shows it in your browser"
