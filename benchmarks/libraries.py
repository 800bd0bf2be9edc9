"""Photo libraries whose people are known, drawn from labelled faces, and what a method gets wrong in them.

Faces come from vectors of research photos (``families.npz``, ``ages.npz``, ``poses.npz``, ``strangers.npz``, ``masked.npz``; arrays
``embeddings``, ``identity``, ``photo``, ``det_score`` ...) and from labelled photos (see :mod:`facesets.pipeline.labelled`), which are
embedded once and kept. Nothing of them is part of this project.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import b_cubed
from facesets.identity import FaceTable

SAME = 0.5  # identities of two files whose centroids are so near are one person
LARGE, TWO = 8, 2  # a family to draw has so many members with so many photos


@dataclass(frozen=True, slots=True)
class Library:
    """Faces as columns: unit ``vectors`` float32 [n, d]; ``who`` ("" not labelled), ``family``, ``photo``, ``part``: str [n]."""

    vectors: NDArray[np.float32]
    who: NDArray[np.str_]
    family: NDArray[np.str_]
    photo: NDArray[np.str_]
    part: NDArray[np.str_]
    det_score: NDArray[np.float64]
    face_short: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    boxes: NDArray[np.float64]
    look: NDArray[np.str_]  # young or old, frontal or profile

    def __len__(self) -> int:
        return len(self.who)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Library:
        """These faces."""
        return Library(*(getattr(self, f.name)[rows] for f in fields(self)))

    def people(self) -> list[str]:
        """Who is labelled, by name."""
        return sorted(set(self.who.tolist()) - {""})

    def table(self) -> FaceTable:
        """As :func:`facesets.identity.decide` takes it; a face's id is its row."""
        n = len(self)
        shas = tuple(hashlib.sha256(p.encode()).hexdigest() for p in self.photo.tolist())
        return FaceTable(
            tuple(f"{i:07d}" for i in range(n)),
            shas,
            self.vectors,
            self.boxes,
            self.det_score,
            self.face_short,
            self.sharpness,
            (None,) * n,
        )


def together(*parts: Library) -> Library:
    """One library of several."""
    return Library(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Library)))


def load(folder: Path, name: str) -> Library:
    """The faces of one file of vectors."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        x = file["embeddings"].astype(np.float32)
        n = len(x)
        blank, unknown = np.full(n, "", dtype="<U80"), np.full(n, np.nan)
        return Library(
            x / np.linalg.norm(x, axis=1, keepdims=True),
            file["identity"].astype("<U80"),
            file["family"].astype("<U80") if "family" in file else blank,
            np.array([f"{name} {p}" for p in file["photo"].tolist()], dtype="<U80"),
            np.full(n, name, dtype="<U80"),
            file["det_score"].astype(np.float64),
            file["face_short"].astype(np.float64),
            file["sharpness"].astype(np.float64) if "sharpness" in file else unknown,
            file["box"].astype(np.float64) if "box" in file else np.zeros((n, 4)),
            next((file[key].astype("<U80") for key in ("age", "pose") if key in file), blank),
        )


def load_all(folder: Path) -> dict[str, Library]:
    """Every file of vectors; people who stand in two of them under two names have one."""
    found = {name: load(folder, name) for name in ("families", "ages", "poses", "strangers", "masked")}
    one_name(list(found.values()))
    return found


def one_name(parts: list[Library]) -> None:
    """Give people who stand in two of ``parts`` under two names one, in place."""
    names, centres, files = [], [], []
    for k, part in enumerate(parts):
        for who in part.people():
            mean = part.vectors[part.who == who].mean(axis=0)
            names.append(who)
            centres.append(mean / np.linalg.norm(mean))
            files.append(k)
    stack, file = np.stack(centres), np.array(files)
    one = {who: who for who in names}
    for i, j in np.argwhere((1 - stack @ stack.T < SAME) & (file[:, None] != file)).tolist():
        if i < j:
            one[names[j]] = one[names[i]]
    for part in parts:
        part.who[:] = [one.get(who, who) for who in part.who.tolist()]


def large_families(families: Library) -> list[str]:
    """Families with at least ``TWO`` members of ``LARGE`` photos or more."""
    out = []
    for name in sorted(set(families.family.tolist()) - {""}):
        sizes = Counter(families.who[families.family == name].tolist())
        sizes.pop("", None)
        if sum(size >= LARGE for size in sizes.values()) >= TWO:
            out.append(name)
    return out


def family_library(all_: dict[str, Library], seed: int, families: list[str], adults: list[str]) -> Library:
    """Eight of ``families`` whole, or as many as there are, twelve of the ``adults`` and 600 strangers."""
    rng = np.random.default_rng(seed)
    kin, poses, strangers = all_["families"], all_["poses"], all_["strangers"]
    chosen = rng.choice(families, min(8, len(families)), replace=False)
    known = rng.choice(adults, min(12, len(adults)), replace=False)
    passing = np.sort(rng.choice(len(strangers), 600, replace=False))
    return together(kin.take(np.isin(kin.family, chosen)), poses.take(np.isin(poses.who, known)), strangers.take(passing))


def grown_up_library(all_: dict[str, Library], photos: Library, seed: int, adults: list[str]) -> Library:
    """Thirty grown-ups of many photos (``adults``: of ``poses`` and of the labelled ``photos``) and 700 strangers, seen once, twice."""
    rng = np.random.default_rng(seed)
    poses, strangers = all_["poses"], all_["strangers"]
    sizes = Counter(photos.who.tolist())
    passing = photos.take(np.array([0 < sizes[who] <= 2 and who != "" for who in photos.who.tolist()]))
    everybody = together(strangers, passing)
    rows = np.sort(rng.choice(len(everybody), 700, replace=False))
    known = rng.choice(adults, 30, replace=False)
    return together(poses.take(np.isin(poses.who, known)), photos.take(np.isin(photos.who, known)), everybody.take(rows))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user finds.

    ``wrong`` faces in sets (``kin`` of them relatives of the set's person), faces there that nobody labelled, sets, people with two
    sets or more, people who could have a set and have none (of ``able``, who have ``usable`` good faces), most people in a set,
    B-cubed with faces outside of sets alone (``f``) and with them in their groups (``group_f``).
    """

    wrong: int
    kin: int
    unlabelled: int
    sets: int
    twice: int
    none: int
    able: int
    usable: int
    most: int
    precision: float
    recall: float
    f: float
    group_f: float


def outcome(library: Library, sets: NDArray[np.int64], groups: NDArray[np.int64], *, least: int = 5, size: float = 90.0) -> Outcome:
    """Score ``sets`` (of each face, -1: in none) and ``groups`` (of each face, whether or not it became a set)."""
    labelled = library.who != ""
    family = dict(zip(library.who.tolist(), library.family.tolist(), strict=True))
    owners: Counter[str] = Counter()
    wrong = kin = most = unlabelled = 0
    for s in np.unique(sets[sets >= 0]).tolist():
        here = Counter(library.who[sets == s].tolist())
        unlabelled += here.pop("", 0)
        if here:
            (owner, _), *others = here.most_common()
            owners[owner] += 1
            most = max(most, len(here))
            wrong += sum(times for _, times in others)
            kin += sum(times for who, times in others if family[who] and family[who] == family[owner])
    good = (library.face_short >= size) & ~(library.det_score < 0.6) & labelled
    able = [who for who, times in Counter(library.who[good].tolist()).items() if times >= least]
    n = len(library)
    alone = np.where(sets >= 0, sets, 10**6 + np.arange(n))
    grouped = np.where(sets >= 0, sets, 10**6 + groups)
    score = b_cubed(alone[labelled], library.who[labelled])
    return Outcome(
        wrong, kin, unlabelled, len(np.unique(sets[sets >= 0])), sum(times > 1 for times in owners.values()),
        sum(who not in owners for who in able), len(able), int(good[np.isin(library.who, able)].sum()), most,
        score.precision, score.recall, score.f,
        b_cubed(grouped[labelled], library.who[labelled]).f,
    )  # fmt: skip
