"""facesets export: hand sets on to those who use them."""

from __future__ import annotations

from pathlib import Path

import click

from facesets.cli import App, json_option
from facesets.errors import UsageError
from facesets.targets import TARGETS, Exported, Outcome, export_to
from facesets.wording import count_of


@click.command()
@click.argument("names", nargs=-1, metavar="[SET|NAME]...")
@click.option(
    "--to", "target", default="", metavar="TARGET", help=f"One of: {', '.join(TARGETS)}.",
    shell_complete=lambda _ctx, _param, begun: [name for name in TARGETS if name.startswith(begun)],
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where files go.")
@click.option("--url", default="", metavar="URL", help="Where the service is; else url under [targets.TARGET].")
@click.option("--count", type=click.IntRange(min=0), help="Faces a person at most, the best; 0: no limit. Else the setting.")
@click.option("--era", default="", metavar="YEARS", help="Photos of these years alone: 2012-2016. So does the name of an era set.")
@click.option("--trigger", default="", metavar="WORD", help="For lora: the word that stands for the person.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--check", is_flag=True, help="Then have the service recognise photos that it was not given.")
@click.option("--remove", is_flag=True, help="Take out what earlier exports made, and nothing else.")
@json_option
@click.pass_obj
def export(app: App, names: tuple[str, ...], target: str, out: Path | None, url: str, count: int | None, era: str, trigger: str,
           dry_run: bool, check: bool, remove: bool) -> None:  # fmt: skip
    """Hand sets on: to Frigate, CompreFace, double-take, digiKam (xmp), LoRA trainers, swapping tools, data sets.

    The faces that suit each are chosen, and for each that is left out the answer says why. Run it again when a set has grown: only
    what is new goes out, and what was rejected since is withdrawn. Files of others are never touched.

    What generates or swaps faces (lora, fsz, reactor, folder, imagefolder, parquet) needs the person's recorded agreement: facesets
    consent. Refused: exit code 4; the others go out all the same.
    """
    if not target:
        raise UsageError(f"to what? --to TARGET, one of {', '.join(TARGETS)}. (facesets write  is what writes planned sets.)")
    done = export_to(
        app.workspace(), target, names, out=out, url=url, count=count, dry_run=dry_run, remove=remove, check=check, trigger=trigger,
        era=era,
        progress=app.progress,
    )  # fmt: skip
    document, refused = done.document(), done.refused
    if refused:
        document |= {"error": str(refused), "exit_code": refused.exit_code}
    app.answer(document, lambda: "\n".join(line for one in done.people for line in _lines(done, one)) or "nobody to export")
    if refused:
        click.echo(f"facesets: {refused}", err=True)
        raise click.exceptions.Exit(refused.exit_code)


def _lines(done: Exported, one: Outcome) -> list[str]:
    who = one.set_name if one.name == one.set_name else f"{one.name} ({one.set_name})"
    if one.refused:
        return [f"{who} to {done.target}, {one.place}: refused"]
    verb, unit = "would go" if done.dry_run else "new", "file" if TARGETS[done.target].kind == "files" else "face"
    counts = [f"{count_of(one.new, unit)} {verb}", f"{one.kept:,} there already"]
    counts += [f"{one.withdrawn:,} {'would be ' if done.dry_run else ''}withdrawn"] if one.withdrawn else []
    lines = [f"{who} to {done.target}, {one.place}: {', '.join(counts)}"]
    if predicted := one.facts.get("predicted"):
        held = count_of(predicted["held_out"], "photo")
        lines += [
            f"  predicted by Frigate's formula on {held} held out: confidence {predicted['confidence']:.2f}, "
            f"{predicted['recognised']:.0%} recognised; the nearest stranger {predicted['stranger']:.2f}"
        ]
    if checked := one.facts.get("checked"):
        lines += [f"  asked about {count_of(checked['asked'], 'photo')} that it was not given: {checked['hits']:,} right"]
    lines += [f"  {note}" for note in one.notes]
    whys: dict[str, list[str]] = {}
    for why in sorted(one.left_out.values()):
        whys.setdefault(why.partition(" (")[0], []).append(why)
    for each in sorted(whys.values(), key=lambda each: (-len(each), each[0])):
        more = ", for one" if len(set(each)) > 1 else ""  # each names its own photo, and there may be thousands
        lines += [f"  left out, {len(each):,}: {each[0]}{more}"]
    return lines
