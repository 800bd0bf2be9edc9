"""Plots as SVG, written by hand: axes with powers of ten, a line for each series."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

_COLOURS = ("#0b6e99", "#d1495b", "#66a182", "#edae49", "#6a4c93", "#888888", "#2f4858", "#8d6a9f")
_DASHES = {"family": '"', "flat": '" stroke-dasharray="6 4"'}
_WIDE, _HIGH, _LEFT, _TOP = 460, 330, 70, 40

Series = dict[str, list[tuple[float, float]]]


def growth(rows: list[dict[str, Any]], path: Path) -> None:
    """Time and memory of every method over the number of faces, side by side."""
    seconds: Series = {}
    memory: Series = {}
    for row in sorted(rows, key=lambda r: r["faces"]):
        name = f"{row['method']}, {row['kind']}"
        seconds.setdefault(name, []).append((row["faces"], row["cpu"]))
        if row["method"] != "half product":
            memory.setdefault(name, []).append((row["faces"], max(row["above"], 1e6) / 1e6))
    methods = sorted({name.split(",")[0] for name in seconds})
    colour = {name: _COLOURS[methods.index(name.split(",")[0])] + _DASHES[name.split(",")[1].strip()] for name in seconds}
    body = _panel(0, "CPU seconds", seconds, colour) + _panel(_WIDE + 110, "MB above the vectors", memory, colour)
    for i, name in enumerate(seconds):
        x, y = _LEFT + 240 * (i % 4), _TOP + _HIGH + 62 + 20 * (i // 4)
        body.append(f'<line x1="{x}" y1="{y}" x2="{x + 22}" y2="{y}" stroke="{colour[name]} stroke-width="3"/>')
        body.append(f'<text x="{x + 28}" y="{y + 4}">{escape(name)}</text>')
    wide, high = 2 * _WIDE + 200, _TOP + _HIGH + 80 + 20 * math.ceil(len(seconds) / 4)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="sans-serif" font-size="12">'
    path.write_text("\n".join([head, f'<rect width="{wide}" height="{high}" fill="#fff"/>', *body, "</svg>", ""]), encoding="utf-8")


def _panel(shift: int, title: str, series: Series, colour: dict[str, str]) -> list[str]:
    points = [p for line in series.values() for p in line]
    (x0, x1), (y0, y1) = (_decades([p[k] for p in points]) for k in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (math.log10(x) - x0) / (x1 - x0), (math.log10(y) - y0) / (y1 - y0)
        return shift + _LEFT + _WIDE * across, _TOP + _HIGH * (1 - up)

    out = [f'<text x="{shift + _LEFT}" y="{_TOP - 14}" font-size="14">{escape(title)} over faces</text>']
    for k in range(x0, x1 + 1):
        x, y = place(10**k, 10**y0)
        out.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10**k:,}</text>')
    for k in range(y0, y1 + 1):
        x, y = place(10**x0, 10**k)
        out.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + _WIDE:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**k:,g}</text>')
    for name, line in series.items():
        dots = [place(*p) for p in line]
        out.append(
            f'<polyline fill="none" stroke="{colour[name]} stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in dots)}"/>'
        )
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour[name][:7]}"/>' for x, y in dots]
    return out


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
