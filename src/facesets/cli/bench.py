"""facesets bench: what this machine can do."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from facesets.cli import App, json_option
from facesets.cli.run import pack_option
from facesets.models import Measured, measure_engines, pack_loader


@click.group()
@json_option
def bench() -> None:
    """Measure what this machine can run the networks on."""


@bench.command(short_help="Which engine runs them how fast, and to the same vectors.")
@pack_option
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads inside one call of a network.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="The median of so many calls counts.")
@json_option
@click.pass_obj
def providers(app: App, pack: str | None, threads: int, repeats: int) -> None:
    """Measure what can run the networks here: milliseconds, speed beside the plain CPU, and whether the vectors are the same.

    The names in the first column are those of [embed] engine. An engine whose vectors are less alike than 0.999 is never used.
    """
    name, load = pack_loader(pack or "auto", note=app.progress.note)
    lines = measure_engines(load, threads=threads, repeats=repeats)
    app.answer({"pack": name, "threads": threads, "engines": [asdict(line) for line in lines]}, lambda: _table(name, lines))


def _table(name: str, lines: list[Measured]) -> str:
    table = Table("engine", "runs as", "find, ms", "times CPU", "embed a face, ms", "times CPU", "cosine", title=f"pack {name}")
    plain = next((line for line in lines if line.runs), None)
    absent = []
    for line in lines:
        if plain is None or not line.runs:
            absent.append(f"{line.engine}: {line.problem}")
            continue
        finding, embedding = line.times_as_fast(plain)
        table.add_row(
            line.engine, line.runs, f"{line.detection_ms:.1f}", f"{finding:.2f}", f"{line.recognition_ms:.1f}", f"{embedding:.2f}",
            f"{line.cosine:.5f}" + (f" ({line.problem})" if line.problem else ""),
        )  # fmt: skip
    console = Console(width=110)
    with console.capture() as captured:
        console.print(table)
    rest = ["not here:", *(f"  {why}" for why in absent)] if absent else []
    return "\n".join([captured.get().rstrip(), *rest])
