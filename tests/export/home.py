"""What the fixtures are made of: faces, plans, and a workspace in which a run went through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets.export.existing_sets import file_facts
from facesets.export.folders import Member, SetPlan, crop_name, write_set
from facesets.export.manifest import ManifestEntry, merge_manifest
from facesets.records import Asset, Centroid, Face, FaceSet, Reason
from facesets.registry import Registry, Standing, assets, faces, measurements, runs, sets
from facesets.settings import ExportSettings
from facesets.workspace import Workspace

PACK = "open@1"
EVIL = "Zoë <script>alert(1)</script>"
PEOPLE, DIMENSIONS, EMBEDDED = 4, 32, 24
LANDMARKS = ((206.0, 109.0), (241.0, 107.0), (227.0, 130.0), (211.0, 147.0), (242.0, 145.0))


def a_face(number: int, **changes: object) -> Face:
    values = {
        "face_id": f"f{number:04d}", "sha256": f"{number:064x}", "index": 0, "box": (180.0, 60.0, 268.0, 172.0), "landmarks": LANDMARKS,
        "det_score": 0.9, "face_short": 88.0, "sharpness": 0.5, "pack": PACK, "signals": {"yaw": 0.123456789},
    }  # fmt: skip
    return Face(**(values | changes))  # type: ignore[arg-type]


def a_plan(number: int = 7, faces: int = 3) -> SetPlan:
    taken = "2019-05-04T10:00:00Z"
    members = [Member(a_face(n), 0.1 + n / 100, "owner", f"asset-{n}", taken, f"photos/u/{n}.jpg") for n in range(faces)]
    return SetPlan(f"faceset_{number:03d}", number, "abcdef", PACK, np.array([0.6, -0.8, 1 / 3, -1e-9]), members)


@dataclass
class Home:
    """An open workspace."""

    workspace: Workspace
    registry: Registry

    @property
    def sets(self) -> Path:
        return self.workspace.facesets

    @property
    def out(self) -> Path:
        return self.workspace.root / "reports/report.html"


def furnished(home: Home, photo: npt.NDArray[np.uint8]) -> Home:
    """Sets 1 and 2 existed (plain, one with a note), 3 and 4 are planned; assets and faces with all kinds of reasons."""
    rng = np.random.default_rng(5)
    centres = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))[0][:PEOPLE]
    for number in (1, 2):
        folder = home.sets / f"faceset_{number:03d}"
        folder.mkdir(parents=True)
        Image.fromarray(photo[40:200, 140:300]).save(folder / "a <b>.jpg")
    (home.sets / "faceset_002/notes.txt").write_text("mine")
    photos = home.workspace.root / "photos/ann"
    photos.mkdir()
    Image.fromarray(photo).save(photos / "0.jpg")
    for n in range(1, EMBEDDED):
        (photos / f"{n}.jpg").hardlink_to(photos / "0.jpg")
    run = runs.start(home.registry, "test")
    with home.registry.transaction():
        _assets(home.registry, run)
        for number, centre in enumerate(centres, 1):
            name = f"faceset_{number:03d}"
            person = EVIL if number == 3 else None
            sets.add(home.registry, FaceSet(name, number, "adopted" if number <= 2 else "made", PACK, person), run, written=number <= 2)
            sets.set_centroid(home.registry, PACK, Centroid(name, centre, 9))
            if number <= 2:
                sets.set_files(home.registry, name, file_facts(home.sets / name))
        _faces(home.registry, centres, rng)
        thresholds = {"match": 0.25, "cluster": 0.4, "consolidate": 0.3, "likely": 0.3, "near_duplicate": 0.02}
        runs.note(home.registry, run, "plan", thresholds=thresholds)
    return home


def _assets(registry: Registry, run: int) -> None:
    owner = "3f0c0f5e-0000-4000-8000-000000000001"
    assets.add_listed(registry, "ann", "immich", [Asset(owner, f"asset-{n}") for n in range(30)], run)
    others = (Reason.NO_FACES, Reason.EXCLUDED_PATH, Reason.UNREADABLE, Reason.DOWNLOAD_ERROR)
    for n, row in enumerate(list(assets.select(registry))):
        if n < EMBEDDED:
            assets.settle(registry, row.id, Reason.EMBEDDED, sha256=f"{n:064x}", path=f"photos/ann/{n}.jpg")
        else:
            assets.settle(registry, row.id, others[n % 4])


def _faces(registry: Registry, centres: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    members: dict[str, list[tuple[str, float]]] = {}
    for n in range(EMBEDDED):
        person, face_id = n % PEOPLE, f"f{n:04d}"
        vector = centres[person] + rng.normal(size=DIMENSIONS) * 0.09
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        measurements.add_embedded(registry, f"{n:064x}", PACK, Reason.EMBEDDED, [a_face(n)], vector[None], size=(512, 512))
        name, distance = f"faceset_{person + 1:03d}", round(float(((vector - centres[person]) ** 2).sum() / 2), 6)
        if n >= EMBEDDED - 4:
            left_out = (Reason.FEW_FACES, Reason.BLURRED, Reason.OUTLIER, Reason.TOO_SMALL)[n % 4]
            faces.decide(registry, PACK, [Standing(face_id, left_out, None, None)])
        else:
            faces.decide(registry, PACK, [Standing(face_id, Reason.RECOGNISED if person < 2 else Reason.MEMBER, name, distance)])
            if person >= 2:
                members.setdefault(name, []).append((face_id, distance))
    for name, faces_of in members.items():
        sets.add_members(registry, name, sorted(faces_of, key=lambda each: each[1]))


def _lit(photo: npt.NDArray[np.uint8], member: Member) -> npt.NDArray[np.uint8]:
    return (photo // (1 + int(member.face.sha256, 16) % 3)).astype(np.uint8)


def carried_out(home: Home, photo: npt.NDArray[np.uint8]) -> Home:
    """The plan carried out, as the pipeline does it."""
    centroids = {c.name: c.vector for c in sets.centroids(home.registry, PACK)}
    entries = []
    for faceset in list(sets.select(home.registry, written=False)):
        rows = [(faces.find(home.registry, face_id), distance) for _, face_id, distance in sets.members(home.registry, faceset.name)]
        members = [Member(row.face, distance, "owner", f"asset-{row.face.face_id}", None, "") for row, distance in rows if row]
        plan = SetPlan(faceset.name, faceset.number, "x", faceset.pack, centroids[faceset.name], members)
        facts = write_set(home.sets, plan, lambda member: _lit(photo, member), export=ExportSettings(size=256))
        with home.registry.transaction():
            sets.set_files(home.registry, faceset.name, facts)
            sets.mark_written(home.registry, faceset.name, [crop_name(n) for n in range(1, 1 + len(members))])
        entries.append(ManifestEntry(faceset.name, faceset.number, len(members), faceset.pack, faceset.person_name, facts))
    merge_manifest(home.sets, entries)
    return home
