"""The plot of distances as geometry: what the template draws as SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facesets.report.model import Distances

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 46, 28, 64, 44
_DRAWN = ("match", "likely")  # the thresholds that speak of a face and a set's average, as this plot does


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place, in the plot's units."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Two histograms on one axis: columns as path data, grid lines, ticks and thresholds with their labels."""

    own: str
    other: str
    grid: Sequence[Label]
    ticks: Sequence[Label]
    thresholds: Sequence[Label]
    own_summary: str
    other_summary: str
    faces: int


def histogram(data: Distances) -> Plot:
    """Distances to the own and to the nearest other set, with the thresholds."""
    thresholds = {name: data.thresholds[name] for name in _DRAWN if data.thresholds.get(name, 0) > 0}
    highest = max([*data.own, *data.other, *thresholds.values(), 0.1])
    step = next((s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if highest / s <= 12), 1.0)
    end = step * np.ceil(highest / step + 0.01)
    edges = np.linspace(0.0, end, 61)
    own, other = (np.histogram(values, edges)[0].tolist() for values in (data.own, data.other))
    top = max(*own, *other, 1)
    stride = next(s * 10**p for p in range(10) for s in (1, 2, 5) if top / (s * 10**p) <= 4)
    return Plot(
        own=_columns(own, edges.tolist(), top, end),
        other=_columns(other, edges.tolist(), top, end),
        grid=[Label(LEFT, _y(count, top), f"{count:,}") for count in range(0, top + 1, stride)],
        ticks=[Label(_x(at, end), HEIGHT - BOTTOM + 18, f"{at:.2f}") for at in np.arange(0, end + step / 2, step)],
        thresholds=_thresholds(thresholds, end),
        own_summary=summary(data.own),
        other_summary=summary(data.other),
        faces=len(data.own),
    )


def summary(values: Sequence[float]) -> str:
    """The middle and the ends of a distribution, in words."""
    if not len(values):
        return "none"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"median {middle:.2f}, nine in ten between {low:.2f} and {high:.2f}"


def _x(value: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / end, 1)


def _y(count: float, top: int) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / top, 1)


def _columns(counts: Sequence[int], edges: Sequence[float], top: int, end: float) -> str:
    """One path a histogram: columns with a hair of room between them."""
    floor, path = _y(0, top), []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            path.append(f"M{_x(low, end) + 0.75:.1f} {floor:.1f}V{_y(count, top):.1f}H{_x(high, end) - 0.75:.1f}V{floor:.1f}Z")
    return "".join(path)


def _thresholds(thresholds: Mapping[str, float], end: float) -> list[Label]:
    """Those at one distance under one label, the labels on steps so that none covers another."""
    at: dict[float, list[str]] = {}
    for name, value in thresholds.items():
        at.setdefault(value, []).append(name)
    return [
        Label(_x(value, end), TOP - 40 + 18 * (level % 2), f"{' and '.join(names)} {value:.2f}")
        for level, (value, names) in enumerate(sorted(at.items()))
    ]
