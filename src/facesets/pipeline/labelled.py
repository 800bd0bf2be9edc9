"""Pipeline: a folder of photos whose people are known, for scores and calibration. Reads the photos and their CSV of labels.

The CSV has the columns ``path`` (below the CSV's own folder), ``identity`` and ``scope``:

    main_face         the label is the face nearest the middle among the large ones; other faces are unlabelled
    person_in_photo   the person is somewhere in the photo. Photos with one face give their centroid, in the others it is the face
                      nearest to it; where two are about as near the photo is left out and counted
    group             several known people, not labelled one by one: not scored
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import main_face, persons_in_photos
from facesets.errors import CorruptFile
from facesets.exchange import QueueEntry
from facesets.faces import EmbedResult, embed_photos
from facesets.models import Pack
from facesets.progress import Progress
from facesets.records import Face

SCOPES = ("main_face", "person_in_photo", "group")
_APART = 1 / 4.5  # of the match distance: .1 for ArcFace vectors
_COLUMNS = {"path", "identity", "scope"}


@dataclass(frozen=True, slots=True)
class Label:
    """One line of the CSV."""

    path: str
    identity: str
    scope: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """Every face found, with ``vectors`` float32 [n, d]; ``labels`` says whom a line of the CSV means by it (None: not labelled).

    ``paths`` and ``scopes`` are those of the faces' photos. ``left_out`` counts the lines that gave no labelled face, by why.
    """

    faces: tuple[Face, ...]
    paths: tuple[str, ...]
    scopes: tuple[str, ...]
    vectors: NDArray[np.float32]
    labels: tuple[Label | None, ...]
    left_out: dict[str, int]

    @property
    def people(self) -> NDArray[np.str_]:
        """Who each face is, "" where it is not labelled."""
        return np.array([label.identity if label else "" for label in self.labels], dtype=np.str_)


def read_labels(path: Path) -> list[Label]:
    """The lines of a CSV of labels; CorruptFile where it is not one, or a path leaves its folder."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            if missing := _COLUMNS - set(reader.fieldnames or ()):
                raise CorruptFile(path, f"lacks the column {', '.join(sorted(missing))}; it needs path, identity and scope")
            labels = [Label(row["path"] or "", row["identity"] or "", row["scope"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise CorruptFile(path, f"cannot be read: {err}") from err
    for line, label in enumerate(labels, 2):
        if label.scope not in SCOPES:
            raise CorruptFile(path, f"line {line}: {label.scope!r} is no scope; there are {', '.join(SCOPES)}")
        if not label.path or Path(label.path).is_absolute() or ".." in Path(label.path).parts:
            raise CorruptFile(path, f"line {line}: {label.path!r} is no path below the folder of the CSV")
    return labels


def embed_labelled(csv_path: Path, pack: Pack, progress: Progress, *, workers: int = 0) -> Labelled:
    """Find and embed the faces of every photo that ``csv_path`` names, and say which face each label means."""
    labels = read_labels(csv_path)
    left_out: Counter[str] = Counter()
    photos: list[tuple[Label, EmbedResult]] = []
    with progress.task("embedding labelled photos", len(labels), "photos") as task:
        entries = (QueueEntry(asset_id=label.path, path=label.path) for label in labels)
        for label, result in zip(labels, embed_photos(entries, pack, root=csv_path.parent, workers=workers), strict=True):
            task.advance()
            if result.faces:
                photos.append((label, result))
            else:
                left_out[result.reason.value] += 1
    chosen = _chosen(photos, left_out, pack.thresholds.match * _APART)
    faces, paths, scopes, vectors, said = [], [], [], [], []
    for (label, result), which in zip(photos, chosen, strict=True):
        for i, face in enumerate(result.faces):
            faces.append(face)
            paths.append(label.path)
            scopes.append(label.scope)
            vectors.append(result.vectors[i])
            said.append(label if i == which else None)
    stack = np.stack(vectors) if vectors else np.empty((0, pack.dim), np.float32)
    return Labelled(tuple(faces), tuple(paths), tuple(scopes), stack, tuple(said), dict(sorted(left_out.items())))


def _chosen(photos: list[tuple[Label, EmbedResult]], left_out: Counter[str], margin: float) -> list[int | None]:
    """Which of its faces each photo's label means; faces within ``margin`` of each other are about as near."""
    chosen: list[int | None] = [None] * len(photos)
    scenes = []
    for i, (label, result) in enumerate(photos):
        if label.scope == "main_face":
            width, height = result.size or (0, 0)
            chosen[i] = main_face([face.box for face in result.faces], width, height)
        elif label.scope == "person_in_photo":
            scenes.append(i)
        else:
            left_out["group"] += 1
    found, ambiguous = persons_in_photos([photos[i][1].vectors for i in scenes], [photos[i][0].identity for i in scenes], margin=margin)
    for i, which in zip(scenes, found, strict=True):
        chosen[i] = which
    if ambiguous:
        left_out["ambiguous"] = ambiguous
    return chosen
