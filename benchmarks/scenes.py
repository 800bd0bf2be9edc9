"""Scenes of known people as libraries have them: beside the photos themselves collages, mirrors and walls of photos made from them.

The photos of ``scenes/`` (scope ``person_in_photo``) and what is made of them are embedded with a pack; faces and labels are kept in
the work folder. Of a made picture each face is whom its original shows, where it is near enough to that person's centroid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.libraries import Library
from facesets.clustering import centroid, distances
from facesets.exchange import QueueEntry
from facesets.faces import embed_photos
from facesets.models import Pack
from facesets.pipeline.labelled import Label, embed_labelled, read_labels
from facesets.progress import Progress
from facesets.records import Face

SIDE = 900  # pixels of a picture in a collage or on a wall
COLLAGES, MIRRORS, WALLS = 4, 4, 6  # collages and mirrors of each person, walls in all
NEAR, APART = 0.55, 0.1  # a face of a made picture is a person's if so near to their centroid, and by so much nearer than to the next


def labelled_photos(csv: Path, pack: Pack, work: Path, progress: Progress) -> Library:
    """Every face of the labelled photos."""
    kept = work / f"labelled-{pack.id.replace('@', '-')}.npz"
    if not kept.exists():
        found = embed_labelled(csv, pack, progress)
        people = np.array([label.identity if label else "" for label in found.labels], dtype="<U80")
        _keep(kept, found.vectors, people, list(found.paths), list(found.scopes), found.faces)
    return _read(kept)


def made_pictures(csv: Path, photos: Library, pack: Pack, work: Path, progress: Progress) -> Library:
    """The faces of collages, mirrors and walls made of the scenes; ``photos`` are the labelled photos as they are."""
    kept = work / f"made-{pack.id.replace('@', '-')}.npz"
    if not kept.exists():
        scenes = photos.take(photos.part == "person_in_photo")
        people = scenes.people()
        centres = np.stack([centroid(scenes.vectors[scenes.who == who]) for who in people])
        folder = work / "made"
        names = _make(csv, [label for label in read_labels(csv) if label.scope == "person_in_photo"], folder)
        vectors, who, paths, parts, faces = [], [], [], [], []
        entries = (QueueEntry(asset_id=name, path=name) for name in names)
        with progress.task("embedding made pictures", len(names), "photos") as task:
            for name, result in zip(names, embed_photos(entries, pack, root=folder), strict=True):
                task.advance()
                for face, vector in zip(result.faces, result.vectors, strict=True):
                    d = distances(vector[None], centres)[0]
                    best, second = np.sort(d)[:2]
                    who.append(people[int(np.argmin(d))] if best <= NEAR and second - best >= APART else "")
                    vectors.append(vector)
                    paths.append(name)
                    parts.append(name.split("-")[0])
                    faces.append(face)
        _keep(kept, np.stack(vectors), np.array(who, dtype="<U80"), paths, parts, tuple(faces))
    return _read(kept)


def _make(csv: Path, labels: list[Label], folder: Path) -> list[str]:
    """Write the pictures; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    of: dict[str, list[Path]] = defaultdict(list)
    for label in labels:
        of[label.identity].append(csv.parent / label.path)
    names: list[str] = []

    def write(kind: str, image: Image.Image) -> None:
        names.append(f"{kind}-{len(names):03d}.jpg")
        image.save(folder / names[-1], quality=92)

    for who in sorted(of):
        for _ in range(COLLAGES):  # then and now: two to four photos of one person
            chosen = rng.choice(len(of[who]), min(int(rng.integers(2, 5)), len(of[who])), replace=False)
            write("collage", _grid([of[who][i] for i in chosen], 2))
        for i in rng.choice(len(of[who]), min(MIRRORS, len(of[who])), replace=False):
            one = _open(of[who][i])
            both = Image.new("RGB", (one.width * 2, one.height))
            both.paste(one, (0, 0))
            both.paste(ImageOps.mirror(one), (one.width, 0))
            write("mirror", both)
    every = [path for who in sorted(of) for path in of[who]]
    for _ in range(WALLS):  # a person before a wall of photos, some of them twice
        chosen = rng.choice(len(every), min(9, len(every)), replace=False)
        write("wall", _grid([every[i] for i in chosen], 3))
    return names


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((SIDE, SIDE))
    return upright


def _grid(paths: list[Path], columns: int) -> Image.Image:
    rows = -(-len(paths) // columns)
    out = Image.new("RGB", (columns * SIDE, rows * SIDE), "white")
    for i, path in enumerate(paths):
        out.paste(_open(path), (i % columns * SIDE, i // columns * SIDE))
    return out


def _keep(
    kept: Path, vectors: NDArray[np.float32], who: NDArray[np.str_], paths: list[str], parts: list[str], faces: Sequence[Face]
) -> None:
    def signal(name: str) -> NDArray[np.float64]:
        return np.array([np.nan if (v := getattr(f, name)) is None else v for f in faces], dtype=np.float64)

    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        kept, vectors=vectors.astype(np.float32), who=who, photo=np.array(paths, dtype="<U200"), part=np.array(parts, dtype="<U80"),
        det_score=signal("det_score"), face_short=signal("face_short"), sharpness=signal("sharpness"),
        boxes=np.array([f.box for f in faces], dtype=np.float64).reshape(-1, 4),
    )  # fmt: skip


def _read(kept: Path) -> Library:
    with np.load(kept, allow_pickle=False) as file:
        return Library(
            file["vectors"], file["who"], np.full(len(file["who"]), "", dtype="<U80"), file["photo"], file["part"],
            file["det_score"], file["face_short"], file["sharpness"], file["boxes"], np.full(len(file["who"]), "", dtype="<U80"),
        )  # fmt: skip
