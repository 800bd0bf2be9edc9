"""What it says that two groups stand in one photo. Pure: arrays in, arrays out.

Two people stand side by side; but so does one person in a collage, beside a mirror, before a wall of photos. Such photos are told by
their faces, and say nothing:

    one face twice   two faces of the photo are within the distance at which faces are linked: a mirror, a copy, a wall of photos
    a grid           four faces or more whose boxes stand in rows and columns: a collage, a contact sheet, a video call
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from facesets.clustering.arrays import Floats, Ints

_ALIGNED = 0.15  # of a face's height: centres so near are in one line


def shared_photos(x: Floats, labels: Ints, photos: Ints, alike: float, boxes: Floats | None = None) -> Counter[tuple[int, int]]:
    """In how many photos that show nobody twice each pair of groups (the lower first) stands together.

    ``x`` [n, d], ``labels`` and ``photos`` int [n], ``alike``: the distance below which two faces are linked, ``boxes`` [n, 4].
    """
    order = np.argsort(photos, kind="stable")
    count: Counter[tuple[int, int]] = Counter()
    for rows in np.split(order, np.flatnonzero(np.diff(photos[order])) + 1):
        if len(rows) > 1:
            here = sorted(set(labels[rows].tolist()))
            if len(here) > 1 and not _somebody_twice(x[rows], alike) and not (boxes is not None and on_a_grid(boxes[rows])):
                count.update((a, b) for i, a in enumerate(here) for b in here[i + 1 :])
    return count


def _somebody_twice(x: Floats, alike: float) -> bool:
    wide = x.astype(np.float64)
    half = np.einsum("ij,ij->i", wide, wide) / 2
    distances = half[:, None] + half - wide @ wide.T
    return bool((distances[np.triu_indices(len(x), 1)] < alike).any())


def on_a_grid(boxes: Floats) -> bool:
    """Whether at least four ``boxes`` [m, 4] stand in two rows and two columns or more."""
    if len(boxes) < 4:
        return False
    tolerance = _ALIGNED * float(np.median(boxes[:, 3] - boxes[:, 1]))
    on_lines = np.ones(len(boxes), dtype=bool)
    for low, high in ((0, 2), (1, 3)):
        centre = (boxes[:, low] + boxes[:, high]) / 2
        order = np.argsort(centre, kind="stable")
        lines = np.split(order, np.flatnonzero(np.diff(centre[order]) > tolerance) + 1)
        if sum(len(line) > 1 for line in lines) < 2:
            return False
        for line in lines:
            on_lines[line] &= len(line) > 1
    return bool(on_lines.sum() >= max(4, 0.75 * len(boxes)))
