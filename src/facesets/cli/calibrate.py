"""facesets calibrate: distances that suit one's own people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from facesets import people
from facesets.cli import App, json_option
from facesets.identity import Rates
from facesets.people import Calibration
from facesets.report import write_calibration
from facesets.settings import SETTINGS_FILE, put
from facesets.wording import count_of


@click.command()
@click.option("--pack", metavar="PACK", help="Of which model pack's vectors; else that of most sets.")
@click.option("--false-match", type=float, default=0.001, show_default=True, help="The share of other people that a cut may let pass.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where the plot goes; else reports/calibration.html."
)
@click.option("--write", is_flag=True, help="Put the proposed distances into facesets.toml.")
@json_option
@click.pass_obj
def calibrate(app: App, pack: str | None, false_match: float, out: Path | None, write: bool) -> None:
    """Measure how far faces of the same person and of others are apart, on people you know, and propose distances.

    Whose a face is comes from what you confirmed (facesets confirm SET), and from the names in Immich or in your photos. Each cut
    comes with its false-match rate, and with that on people whom it was not chosen on. Settings are changed with --write alone.
    """
    workspace = app.workspace()
    with workspace.registry_to_read() as registry:
        found = people.calibrate(workspace, registry, pack=pack, false_match=false_match)
    cuts = {proposal.name: proposal.rates.cut for proposal in found.proposals}
    drawn = {name: cuts[name] for name in ("match", "likely")}
    page = write_calibration(
        (out or workspace.root / "reports" / "calibration.html").absolute(), found.pack, found.own.tolist(), found.other.tolist(),
        drawn, len(found.people),
    )  # fmt: skip
    if write:
        with workspace.lock():
            put(workspace.root / SETTINGS_FILE, "cluster", cuts)
    document = {**found.document(), "plot": str(page), "written": cuts if write else {}}
    app.answer(document, lambda: "\n".join(_text(found, page, write=write)))


def _text(found: Calibration, page: Path, *, write: bool) -> Iterator[str]:
    faces = sum(found.people.values())
    yield f"{count_of(faces, 'face')} of {count_of(len(found.people), 'person')}, as {found.pack} measures them."
    yield from ("", "cut    face to averages: others matched  same missed    two faces: others matched  same missed")
    for averages, pairs in found.errors:
        two = f"{pairs.false_match:>27.3%} {pairs.missed:>12.2%}"
        yield f"{averages.cut:.2f}   {averages.false_match:>31.3%} {averages.missed:>12.2%} {two}"
    yield from ("", "setting    now  others matched  same missed   proposed  others matched  same missed   on people held out")
    for proposal in found.proposals:
        now, new, held = found.now[proposal.name], proposal.rates, proposal.held_out
        yield (
            f"{proposal.name:<9} {now.cut:.2f}  {_rate(now):>14} {now.missed:>12.2%}   {new.cut:>8.2f}  {_rate(new):>14} "
            f"{new.missed:>12.2%}   {_rate(held)}, {held.missed:.2%} missed"
        )
    if doubtful := found.doubtful:
        yield ""
        yield f"{count_of(len(doubtful), 'face')} nearer to somebody else, the clearest first; is the name right?"
        yield from (f"  {face[:16]}  {own}, nearer to {other}" for face, own, other in doubtful[:10])
    yield from ("", f"Plot: {page}")
    yield (
        "Written to facesets.toml, [cluster]; the next run decides with them."
        if write
        else "Nothing was changed; --write puts them into facesets.toml."
    )


def _rate(rate: Rates) -> str:
    return f"{rate.false_match:.3%}" if rate.false_match or not rate.compared else f"<{3 / rate.compared:.3%}"
