"""facesets doctor: what works here, and what to fix."""

from __future__ import annotations

import click

from facesets.cli import App, json_option
from facesets.cli.run import user_option
from facesets.doctor import FEATURES, PROBLEM, Finding, examine
from facesets.wording import count_of


@click.command()
@user_option
@click.option("--no-sample", is_flag=True, help="Do not take a sample of the library: no estimate of what a run will cost.")
@click.option(
    "--for",
    "features",
    multiple=True,
    type=click.Choice([one.name for one in FEATURES if not one.by_default]),
    help="What else the key is to be good for (may be repeated): names what it lacks for that.",
)
@json_option
@click.pass_obj
def doctor(app: App, labels: tuple[str, ...], no_sample: bool, features: tuple[str, ...]) -> None:
    """Look at the server, each key and its permissions, the models and the disk: what works, what to fix, what a run will cost.

    For a run, for what the settings ask for and for what --for names it says which permissions a key lacks, and prints the list to
    tick in Immich.

    Changes nothing, and asks the server for little: a few pages, some faces, eight parts of originals. Exit code 1 where
    something stands in the way of a run.
    """
    findings = examine(app.workspace(), labels, sample=not no_sample, features=features, progress=app.progress)
    wrong = sum(finding.level == PROBLEM for finding in findings)
    document = {"ok": not wrong, "problems": wrong, "findings": [finding.document() for finding in findings]}
    app.answer(document, lambda: _table(findings, wrong, labels))
    if wrong:
        raise click.exceptions.Exit(1)


def _table(findings: list[Finding], wrong: int, labels: tuple[str, ...]) -> str:
    lines, part = [], ""
    for finding in findings:
        if finding.part != part:
            lines.append(part := finding.part)
        lines.append(f"  {finding.level:<8} {finding.what}")
        if finding.fix:
            lines.append(f"           -> {finding.fix}")
    if wrong:
        return "\n".join([*lines, "", f"{count_of(wrong, 'problem')} to fix, then look again."])
    whose = " ".join(f"--user {label}" for label in labels or ("NAME",))
    return "\n".join([*lines, "", f"Nothing stands in the way of a run. Next: facesets run {whose}"])
