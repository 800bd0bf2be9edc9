"""facesets verify: prove that sets are intact and complete."""

from __future__ import annotations

from dataclasses import asdict

import click

from facesets.cli import App, json_option
from facesets.export import VerifyReport
from facesets.export import verify as verify_workspace
from facesets.wording import count_of, printable, size_of


@click.command()
@json_option
@click.pass_obj
def verify(app: App) -> None:
    """Prove by hash that every set has exactly the files it had, that the manifest names it, and that the sums are right.

    Exit code 1 where anything is missing, changed or too much.
    """
    workspace = app.workspace()
    with workspace.registry_to_read() as registry:
        report = verify_workspace(workspace, registry)
    app.answer(asdict(report), lambda: _text(report))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _text(report: VerifyReport) -> str:
    counts, problems = report.counts, len(report.problems)
    lines = [f"problem: {printable(str(problem))}" for problem in report.problems] + [
        f"note: {printable(note)}" for note in report.notes
    ]
    what = f"{count_of(counts['sets'], 'set')} with {count_of(counts['files'], 'file')} ({size_of(counts['bytes'])})"
    if report.ok:
        lines += [f"{what}: every byte is as recorded.", "Next: facesets status, facesets report --open"]
    else:
        lines += [
            f"{what}: {count_of(problems, 'problem')}.",
            "Next: what you changed yourself, facesets accept SET takes for right; what you did not, bring back from a backup of "
            "yours (facesets run never alters a set)",
        ]
    return "\n".join(lines)
