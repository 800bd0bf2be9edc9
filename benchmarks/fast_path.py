"""How alike faces are that were looked at around known boxes, in photos decoded as small as they may be, to those of the whole way.

    python -m benchmarks.fast_path --photos FOLDER --pack open --pack FOLDER_OF_A_PACK --work FOLDER [--every 1]

``--photos`` has ``labels.csv`` (path, identity, scope). Known boxes are made as Immich makes them: the pack's detector on a preview of
1440 pixels, sure to 0.7, rounded to whole pixels. ``--every N`` takes every Nth person of the photos with one main face. Known boxes
and the whole way's vectors are kept in ``--work``: a second run goes the fast way alone.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.libraries import Library
from benchmarks.scenes import labelled_photos
from facesets.cli.progress import ConsoleProgress
from facesets.clustering.cluster import cluster
from facesets.clustering.linkage import average_linkage
from facesets.clustering.scoring import b_cubed
from facesets.exchange.cache import Cache, load_cache
from facesets.exchange.queue import QueueEntry, append_queue, read_queue
from facesets.faces.known_boxes import shrink_for
from facesets.faces.queue_worker import embed_queue
from facesets.models.detection import same_face
from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.photos.decode import decode
from facesets.records import Box

_PREVIEW, _SURE = 1440, 0.7  # Immich's defaults


def known_boxes(path: Path, pack: Pack) -> tuple[Box, ...]:
    """What Immich would know of the photo, in its original pixels."""
    photo = decode(path)
    preview = Image.fromarray(photo.rgb)
    preview.thumbnail((_PREVIEW, _PREVIEW))
    scale = photo.width / preview.width
    found = [face.box for face in pack.detect(np.asarray(preview)) if face.score >= _SURE]
    return tuple((round(x1) * scale, round(y1) * scale, round(x2) * scale, round(y2) * scale) for x1, y1, x2, y2 in found)


def chosen(photos: Path, every: int) -> Iterator[str]:
    """Paths of the photos to compare."""
    with (photos / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] in ("main_face", "person_in_photo")]
    people = sorted({row["identity"] for row in rows if row["scope"] == "main_face"})[::every]
    yield from (row["path"] for row in rows if row["scope"] != "main_face" or row["identity"] in people)


def both_ways(photos: Path, work: Path, pack: Pack, every: int) -> tuple[Library, Cache, Cache, dict[str, tuple[Box, ...]]]:
    """The labelled faces of the whole way, both ways' faces, and the boxes that were known."""
    paths = list(chosen(photos, every))
    queues = {way: work / way / f"{pack.id.replace('@', '-')}.jsonl" for way in ("whole", "near")}
    before = queues["near"]
    known = {entry.asset_id: entry.boxes for entry in read_queue(before).entries} if before.exists() else {}
    if set(known) != set(paths):
        for queue in queues.values():
            queue.parent.mkdir(parents=True, exist_ok=True)
            queue.unlink(missing_ok=True)
            queue.with_suffix(".npz").unlink(missing_ok=True)
        known = {path: known_boxes(photos / path, pack) for path in paths}
        append_queue(queues["whole"], "labels", [QueueEntry(path, path, str(photos / path)) for path in paths])
        append_queue(before, "labels", [QueueEntry(path, path, str(photos / path), boxes=known[path]) for path in paths])
    before.with_suffix(".npz").unlink(missing_ok=True)
    for queue in queues.values():
        embed_queue(queue, queue.with_suffix(".npz"), pack)
    caches = [load_cache(queue.with_suffix(".npz")) for queue in queues.values()]
    return labelled_photos(photos / "labels.csv", pack, work, ConsoleProgress()), caches[0], caches[1], known


def compare(whole: Cache, near: Cache, known: dict[str, tuple[Box, ...]]) -> None:
    """Cosines between the two ways, of all known faces and of those in photos that were shrunk; faces won and lost."""
    faces: dict[str, list[int]] = {}
    for i, meta in enumerate(near.meta):
        faces.setdefault(meta["path"], []).append(i)
    cosines: dict[str, list[float]] = {"known faces": [], "of 90 pixels or more": [], "in photos decoded at half": []}
    lost = 0
    for i, meta in enumerate(whole.meta):
        mine = [j for j in faces.get(meta["path"], ()) if same_face(near.meta[j]["bbox"], meta["bbox"])]
        boxes = known[meta["path"]]
        if not any(same_face(box, meta["bbox"]) for box in boxes):
            continue
        if not mine:
            lost += 1
            continue
        cosine = max(float(near.embeddings[j] @ whole.embeddings[i]) for j in mine)
        cosines["known faces"].append(cosine)
        if meta["face_short"] >= 90:
            cosines["of 90 pixels or more"].append(cosine)
        if shrink_for(boxes) > 1 and meta["path"].lower().endswith((".jpg", ".jpeg")):
            cosines["in photos decoded at half"].append(cosine)
    print(f"faces: {len(whole.meta)} the whole way, {len(near.meta)} the fast way; {lost} known ones lost")
    for what, values in cosines.items():
        if values:
            print(f"  {what:26} {len(values):5}: cosine at 50 5 1 0 %: {np.percentile(values, [50, 5, 1, 0]).round(5)}")


def people_of(cache: Cache, data: Library) -> NDArray[np.str_]:
    """Who each face of ``cache`` is by the labels of ``data``: the same face, however it was found; "" where nobody says."""
    places: dict[str, list[int]] = {}
    for i in np.flatnonzero(data.who != "").tolist():
        places.setdefault(data.photo[i], []).append(i)
    same = [[i for i in places.get(m["path"], ()) if same_face(data.boxes[i].tolist(), m["bbox"])] for m in cache.meta]
    return np.array([data.who[mine[0]] if mine else "" for mine in same])


def quality(cache: Cache, who: NDArray[np.str_], pack: Pack) -> float:
    """B-cubed F of the labelled faces after clustering all."""
    labels = (
        cluster(cache.embeddings, thresholds=pack.thresholds)
        if pack.thresholds.consolidate
        else average_linkage(cache.embeddings, pack.thresholds.cluster)
    )
    known = who != ""
    return float(b_cubed(labels[known], who[known]).f)


def main() -> None:
    """Print everything for each pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pack", action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    for name in options.pack:
        pack = load_pack(name)
        print(f"== {pack.id}")
        data, whole, near, known = both_ways(options.photos, options.work, pack, options.every)
        compare(whole, near, known)
        before, after = (quality(way, people_of(way, data), pack) for way in (whole, near))
        print(f"  B-cubed F: whole {before:.4f}, fast {after:.4f}, difference {after - before:+.4f}", flush=True)


if __name__ == "__main__":
    main()
