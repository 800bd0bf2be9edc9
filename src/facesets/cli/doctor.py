"""facesets doctor: what works here, and what to fix."""

from __future__ import annotations

import click

from ..doctor import PROBLEM, Finding, examine
from . import App, json_option
from .run import user_option


@click.command()
@user_option
@click.option("--no-sample", is_flag=True, help="Do not take a sample of the library: no estimate of what a run will cost.")
@json_option
@click.pass_obj
def doctor(app: App, labels: tuple[str, ...], no_sample: bool) -> None:
    """Look at the server, each key and its permissions, the models and the disk: what works, what to fix, what a run will cost.

    Changes nothing, and asks the server for little: a few pages, some faces, eight parts of originals. Exit code 1 where
    something stands in the way of a run.
    """
    findings = examine(app.workspace(), labels, sample=not no_sample, progress=app.progress)
    wrong = sum(finding.level == PROBLEM for finding in findings)
    app.answer(
        {"ok": not wrong, "problems": wrong, "findings": [finding.document() for finding in findings]}, lambda: _told(findings, wrong)
    )
    if wrong:
        raise click.exceptions.Exit(1)


def _told(findings: list[Finding], wrong: int) -> str:
    lines, part = [], ""
    for finding in findings:
        if finding.part != part:
            lines.append(part := finding.part)
        lines.append(f"  {finding.level:<8} {finding.what}")
        if finding.fix:
            lines.append(f"           -> {finding.fix}")
    return "\n".join([*lines, "", f"{wrong} problems" if wrong else "nothing stands in the way of a run"])
