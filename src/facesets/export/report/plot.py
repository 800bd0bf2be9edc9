"""The report's plot of distances, as inline SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .facts import Distances

_WIDTH, _HEIGHT = 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 28, 64, 44
_CUTS = {"match": "match", "outlier": "outlier"}  # the cuts that speak of a face and a centroid, as this plot does


def histogram(data: Distances) -> str:
    """Two histograms on one axis, to the own and to the nearest other set, with the cuts drawn. An ``<svg>`` element."""
    cuts = {name: data.cuts[name] for name in _CUTS if data.cuts.get(name, 0) > 0}
    highest = max([*data.own, *data.other, *cuts.values(), 0.1])
    step = next((s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if highest / s <= 12), 1.0)
    end = step * np.ceil(highest / step + 0.01)
    edges = np.linspace(0.0, end, 61)
    own, other = (np.histogram(values, edges)[0].tolist() for values in (data.own, data.other))
    top = max(*own, *other, 1)
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="plot-title plot-desc">',
        '<title id="plot-title">Distances of faces to their own set and to the nearest other one</title>',
        f'<desc id="plot-desc">{len(data.own)} faces. {summary(data.own)}; {summary(data.other)}.</desc>',
        *_grid(top, end, step),
        *_bars("other", other, edges.tolist(), top, end),
        *_bars("own", own, edges.tolist(), top, end),
        *_lines(cuts, end),
        "</svg>",
    ]
    return "\n".join(parts)


def summary(values: Sequence[float]) -> str:
    """The middle and the ends of a distribution, in words."""
    if not len(values):
        return "none"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"median {middle:.2f}, nine in ten between {low:.2f} and {high:.2f}"


def _x(value: float, end: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / end


def _y(count: float, top: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * count / top


def _grid(top: int, end: float, step: float) -> list[str]:
    stride = next(s * 10**p for p in range(10) for s in (1, 2, 5) if top / (s * 10**p) <= 4)
    parts = []
    for count in range(0, top + 1, stride):
        y = _y(count, top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{count:,}</text>')
    below = _HEIGHT - _BOTTOM + 18
    parts += [
        f'<text class="tick" x="{_x(at, end):.1f}" y="{below}" text-anchor="middle">{at:.2f}</text>'
        for at in np.arange(0, end + step / 2, step)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, f'<text class="tick" x="{middle:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">distance to a set’s centroid</text>']


def _bars(kind: str, counts: Sequence[int], edges: Sequence[float], top: int, end: float) -> list[str]:
    """One path a histogram: columns with a hair of room between them."""
    floor, path = _y(0, top), []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x1, x2 = _x(low, end) + 0.75, _x(high, end) - 0.75
            path.append(f"M{x1:.1f} {floor:.1f}V{_y(count, top):.1f}H{x2:.1f}V{floor:.1f}Z")
    return [f'<path class="{kind}" d="{"".join(path)}"/>']


def _lines(cuts: Mapping[str, float], end: float) -> list[str]:
    """The cuts, those at one distance under one label, the labels on steps so that none covers another."""
    at: dict[float, list[str]] = {}
    for name, value in cuts.items():
        at.setdefault(value, []).append(_CUTS[name])
    parts = []
    for level, (value, names) in enumerate(sorted(at.items())):
        x, y = _x(value, end), _TOP - 40 + 18 * (level % 2)
        parts.append(f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 5}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text class="cut-label" x="{x:.1f}" y="{y}" text-anchor="middle">{" and ".join(names)} {value:.2f}</text>')
    return parts
