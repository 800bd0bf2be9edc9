"""facesets verify: prove that sets are intact and complete."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..export.verify import VerifyReport
from ..export.verify import verify as verify_workspace
from . import App, json_option


@click.command()
@json_option
@click.pass_obj
def verify(app: App) -> None:
    """Prove by hash that every set has exactly the files it had, that the manifest names it, and that the sums are right.

    Exit code 1 where anything is missing, changed or too much.
    """
    workspace = app.workspace()
    with workspace.registry() as registry:
        report = verify_workspace(workspace, registry)
    app.answer(asdict(report), lambda: _told(report))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _told(report: VerifyReport) -> str:
    counts = report.counts
    lines = [f"problem: {problem}" for problem in report.problems] + [f"note: {note}" for note in report.notes]
    verdict = "all as recorded" if report.ok else f"{len(report.problems)} problems"
    lines += [f"{counts['sets']:,} sets, {counts['files']:,} files, {counts['bytes']:,} bytes: {verdict}"]
    return "\n".join(lines)
