"""facesets evaluate: scores against labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facesets.cli import App, json_option
from facesets.cli.run import pack_option
from facesets.models import load_pack
from facesets.pipeline import embed_labelled
from facesets.pipeline import evaluate as evaluate_folder
from facesets.wording import count_of


@click.command()
@click.option(
    "--labels", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="CSV",
    help="Columns path (below the CSV's folder), identity and scope: main_face, person_in_photo or group.",
)  # fmt: skip
@pack_option
@json_option
@click.pass_obj
def evaluate(app: App, labels: Path, pack: str | None) -> None:
    """Score the clustering against photos whose people are known: B-cubed, pairwise, and each person by name.

    All faces found are clustered, as a run does; only the labelled ones are scored, and faces of every size. Reads the photos and
    the CSV; writes nothing and needs no workspace.
    """
    progress = app.progress
    chosen = load_pack(pack or "auto", note=progress.note)
    report = {"pack": chosen.id, **evaluate_folder(embed_labelled(labels, chosen, progress), chosen.thresholds)}
    app.answer(report, lambda: _table(report))


_HEAD = "part             method     faces people   B-cubed P       R       F   pairs P       R   sets of 5+ for people with 5+"


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"pack {report['pack']}: {count_of(report['faces'], 'face')} found, {report['labelled']:,} of them labelled; size gate off"
    ]
    lines += [f"not scored: {count_of(n, 'photo')} ({why.replace('_', ' ')})" for why, n in report["left_out"].items()]
    lines += ["", _HEAD]
    for s in report["scores"]:
        b, p = (tuple(f"{v:.4f}" for v in s[kind].values()) for kind in ("b_cubed", "pairwise"))
        lines.append(
            f"{s['part']:<16} {s['method']:<8} {s['faces']:>7,} {s['people']:>6,}      {'  '.join(b)}    {'  '.join(p[:2])}"
            f"   {s['their_sets_of_five']} for {s['people_with_five']}"
        )
    last = [s for s in report["scores"] if s["method"] == "default"][-1:]
    split = [i for s in last for i in s["identities"] if i["f"] < 1]
    lines += ["", f"people who are not one pure cluster by default: {len(split)}"]
    for i in split:
        where = f"{count_of(i['faces'], 'face'):>9} in {count_of(i['clusters'], 'cluster')}"
        lines.append(f"  {i['name']:<32} {where}, P {i['precision']:.3f} R {i['recall']:.3f}")
    return "\n".join(lines)
