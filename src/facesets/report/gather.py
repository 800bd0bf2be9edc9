"""Collects the page model from registry, sets and photos. Reads only, but for the pictures, which are made in the folder of pages.

The one module of this room that asks the registry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path

import numpy as np

from facesets.clustering import distances, nearest_sets
from facesets.export import FACES, ExistingSet, existing_sets
from facesets.progress import Progress
from facesets.reason_texts import FACE_GATES, FACE_STATES, FILE_STATES, SENTENCES, STATES, name_of
from facesets.records import Centroid, FaceSet, Reason, State
from facesets.registry import AssetRow, FaceRow, Registry, assets, faces, gallery, originals, people, runs, sets
from facesets.report.model import Accounting, Distances, Gate, ReasonCount, Report, SetPage, StateCount, Tile
from facesets.report.stories import FaceFacts, FileFacts, SetFacts, face_reasons, set_story
from facesets.report.thumbnails import SMALL, Thumbnails
from facesets.wording import day_of
from facesets.workspace import Workspace

_RECOGNISED, _LEFT_OUT = 12, 24  # faces shown of those that match a set, and of each gate
_COVER = 320  # the first picture of a card is larger
_BATCH = 4096


def gather(
    workspace: Workspace,
    registry: Registry,
    thumbnails: Thumbnails,
    *,
    blur_except: Collection[str] | None,
    progress: Progress,
) -> Report:
    """All facts of the pages. Pictures are blurred and names left out as :func:`facesets.report.write_report` says."""
    by_file, by_face = assets.counts(registry), faces.counts(registry)
    gone = by_file.pop(Reason.GONE, 0)  # of no listing, so that the sums are those of the listings
    centroids = _centroids(registry)
    on_disk = {found.name: found for found in existing_sets(workspace.facesets)}
    written = list(sets.select(registry, written=True))
    pages = []
    with ThreadPoolExecutor(min(4, cpu_count() or 1)) as pool, progress.task("drawing the report", len(written), "sets") as task:
        shown, changed = originals.asset_by_key(registry), originals.changed_asset_by_key(registry)
        work = _Work(workspace, registry, thumbnails, shown, changed, blur_except, centroids, pool, _ignored(registry))
        for faceset in written:
            pages.append(work.page(faceset, on_disk.get(faceset.name)))
            task.advance()
        gates = [work.gate(reason, by_face[reason]) for reason in FACE_GATES if reason in by_face]
    return Report(
        files=accounting("file", by_file, FILE_STATES),
        faces=accounting("face", by_face, FACE_STATES),
        looked_through=sum(n for reason, n in by_file.items() if reason.state is State.DONE),
        placed=by_face.get(Reason.MEMBER, 0) + by_face.get(Reason.RECOGNISED, 0),
        sets=pages,
        distances=_distances(registry, centroids),
        gates=sorted(gates, key=lambda gate: (-gate.count, gate.reason)),
        planned=[faceset.name for faceset in sets.select(registry, written=False)],
        gone=gone,
        blurred=blur_except is not None,
    )


def state_of(workspace: Workspace, registry: Registry) -> list[object]:
    """What tells quickly whether a report would show something new: counts, sets with their names, and when folders of sets changed."""
    changed = []
    for found in sets.select(registry):
        folder = workspace.facesets / found.name
        times = [place.stat().st_mtime_ns if place.is_dir() else 0 for place in (folder, folder / FACES)]
        changed.append([found.name, found.origin, found.person_name, *times])
    waiting = [faceset.name for faceset in sets.select(registry, written=False)]
    counts = sorted(assets.counts(registry).items()), sorted(faces.counts(registry).items())
    return [*counts, changed, waiting, sorted(_ignored(registry))]


def accounting(noun: str, counts: Mapping[Reason, int], order: Sequence[State]) -> Accounting:
    """Counts by reason as a bar and a table; states in their order, reasons by how many have them."""
    total, start, states = sum(counts.values()), 0.0, []
    for state in order:
        of_state = sorted(
            ((n, reason) for reason, n in counts.items() if reason.state is state and n), key=lambda row: (-row[0], row[1])
        )
        if count := sum(n for n, _ in of_state):
            width = round(1000 * count / total, 2)
            reasons = [ReasonCount(reason.value, n, SENTENCES[reason]) for n, reason in of_state]
            states.append(StateCount(state, STATES[state], count, reasons, round(start, 2), width))
            start += width
    return Accounting(noun, total, states)


def face_facts(row: FaceRow, photo: AssetRow | None, person: str | None = None) -> FaceFacts:
    """What the story of a face needs."""
    return FaceFacts(
        row.face.face_id,
        row.face.face_short,
        row.reason,
        photo.asset.file_name or photo.asset.asset_id if photo else None,
        photo.asset.taken_at if photo else None,
        row.set_name,
        person,
        row.distance,
        row.detail,
    )


def file_facts(workspace: Workspace, registry: Registry, row: AssetRow) -> FileFacts:
    """What the story of a file needs."""
    kept = assets.get(registry, row.kept_id) if row.kept_id is not None else None
    return FileFacts(
        row.asset.file_name or row.asset.original_path or row.asset.asset_id,
        row.label,
        row.reason,
        row.asset.taken_at,
        row.detail,
        None if row.asset.boxes is None else len(row.asset.boxes),
        (kept.asset.file_name or kept.asset.asset_id) if kept else None,
        row.path,
        bool(row.path) and (workspace.root / str(row.path)).is_file(),
        row.pixels,
    )


def explained_set(registry: Registry, faceset: FaceSet) -> SetFacts:
    """What the story of a set needs, of one that is asked for by itself."""
    rows = list(faces.select(registry, set_name=faceset.name))
    person = people.of_set(registry, faceset.name)
    own = gallery.own_images(registry, [person.id]).get(person.id, []) if person else []
    return _set_facts(
        faceset,
        rows,
        originals.changed_asset_by_key(registry) | originals.asset_by_key(registry),
        sets.centroids(registry, faceset.pack, whole=True),
        written=all(waiting.name != faceset.name for waiting in sets.select(registry, written=False)),
        own=len(own),
        ignored=faceset.name in _ignored(registry),
    )


def _ignored(registry: Registry) -> set[str]:
    """The sets of people who are of no interest."""
    return {person.set_name for person in people.select(registry, standing=("ignored",))}


def _set_facts(
    faceset: FaceSet,
    rows: Sequence[FaceRow],
    photos: Mapping[str, AssetRow],
    centroids: Sequence[Centroid],
    *,
    written: bool,
    own: int,
    ignored: bool,
) -> SetFacts:
    """``rows`` are all faces that have to do with the set; ``own``: how many images of its owner's own it has."""
    mine = [row for row in rows if row.reason in (Reason.MEMBER, Reason.RECOGNISED)]
    known = [row.distance for row in mine if row.distance is not None]
    members = [row for row in rows if row.reason is Reason.MEMBER]
    return SetFacts(
        name=faceset.name,
        person=faceset.person_name,
        made=faceset.origin == "made",
        written=written,
        faces=len(members),
        own=own,
        ignored=ignored,
        photos=len({row.face.sha256 for row in members}),
        years=_years(mine, photos),
        distances=(min(known), max(known)) if known else None,
        matched=sum(row.reason is Reason.RECOGNISED for row in mine),
        left_out=Counter(row.reason for row in rows if row.reason.state is State.LEFT_OUT),
        neighbour=neighbour(faceset, centroids),
    )


def neighbour(faceset: FaceSet, centroids: Sequence[Centroid]) -> tuple[str, float] | None:
    """The nearest other set of the same model, and how far its average is."""
    own = [c.vector for c in centroids if c.name == faceset.name]
    others = [c for c in centroids if c.name != faceset.name]
    if not own or not others:
        return None
    away = distances(np.stack(own), np.stack([c.vector for c in others])).min(axis=0)
    return others[int(away.argmin())].name, float(away.min())


@dataclass(frozen=True, slots=True)
class _Work:
    workspace: Workspace
    registry: Registry
    thumbnails: Thumbnails
    photos: Mapping[str, AssetRow]
    changed: Mapping[str, AssetRow]  # of bytes that no asset shows any more: their files have others now
    blur_except: Collection[str] | None
    centroids: Mapping[str, list[Centroid]]
    pool: ThreadPoolExecutor
    ignored: Collection[str]  # sets of people of no interest

    def page(self, faceset: FaceSet, found: ExistingSet | None) -> SetPage:
        blur = self.blur_except is not None and faceset.name not in self.blur_except
        rows = list(faces.select(self.registry, set_name=faceset.name))
        by_id = {row.face.face_id: row for row in rows}
        folder, members = self.workspace.facesets / faceset.name, sets.member_files(self.registry, faceset.name)
        of_file = {file or f"{FACES}/{key}.png": by_id.get(key) for key, _, file in members}
        images = {path: of_file.get(path.relative_to(folder).as_posix()) for path in (found.images if found else ())}
        if faceset.origin == "made":  # what should be there: a picture that is not is shown as missing
            images = {folder / file: row for file, row in of_file.items()} | dict.fromkeys(self._own_images(faceset))
        matched = sorted(
            (row for row in rows if row.reason is Reason.RECOGNISED), key=lambda row: (row.distance or 0.0, row.face.face_id)
        )
        centroids = self.centroids.get(faceset.pack, [])
        own, photos = len(images) - len(members), {**self.changed, **self.photos}
        facts = _set_facts(faceset, rows, photos, centroids, written=True, own=own, ignored=faceset.name in self.ignored)
        if self.blur_except is not None:
            facts = replace(facts, person=None)
        return SetPage(
            name=faceset.name,
            number=faceset.number,
            person=None if self.blur_except is not None else faceset.person_name,
            made=faceset.origin == "made",
            ignored=facts.ignored,
            tiles=self._pictures(faceset, images, blur=blur),
            matched=len(matched),
            recognised=list(self.pool.map(self.face_tile, matched[:_RECOGNISED])),
            distances=facts.distances,
            years=facts.years,
            neighbour=facts.neighbour,
            story=set_story(facts),
        )

    def gate(self, reason: Reason, count: int) -> Gate:
        sample = sorted(faces.select(self.registry, reasons=[reason]), key=lambda row: row.face.face_id)[:_LEFT_OUT]
        return Gate(reason, name_of(reason), SENTENCES[reason], count, list(self.pool.map(self.face_tile, sample)))

    def face_tile(self, row: FaceRow) -> Tile:
        """A face that is in no folder, cut from its photo; never shown plainly in a blurred report, whatever it matches."""
        photo = self.photos.get(row.face.sha256)
        thumb = large = None
        if photo is not None and photo.path is not None and row.face.landmarks:
            margin, blur = self.workspace.settings.export.margin, self.blur_except is not None
            thumb, large = self.thumbnails.face(self.workspace.root / photo.path, row.face, margin=margin, blur=blur)
        return self._tile(row.face.face_id[:12], thumb, large, row)

    def _own_images(self, faceset: FaceSet) -> Iterator[Path]:
        """Where the images of its owner's own lie, also of those that its folder is still to get."""
        person = people.of_set(self.registry, faceset.name)
        for path, sha256 in gallery.own_images(self.registry, [person.id] if person else []).get(person.id if person else 0, ()):
            file, place = self.workspace.facesets / faceset.name / path, gallery.picture(self.registry, sha256)
            yield self.workspace.facesets / f"{place.set_name}/{place.file}" if place and not file.is_file() else file

    def _pictures(self, faceset: FaceSet, images: Mapping[Path, FaceRow | None], *, blur: bool) -> list[Tile]:
        recorded = {file.path: file for file in sets.files(self.registry, faceset.name)}
        folder, listed = self.workspace.facesets / faceset.name, list(images.items())

        def tile(at: int) -> Tile:
            path, row = listed[at]
            fact = recorded.get(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else None
            thumb = large = None
            if path.is_file():
                now = path.stat()
                content = fact.sha256 if fact and fact.size == now.st_size else f"{path}\0{now.st_size}\0{now.st_mtime_ns}"
                thumb, large = self.thumbnails.picture(path, content, blur=blur, small=SMALL if at else _COVER)
            if row is None:
                return Tile(f"{at + 1:04d}", thumb, large, photo=None if self.blur_except is not None else path.name)
            return self._tile(f"{at + 1:04d}", thumb, large, row)

        return list(self.pool.map(tile, range(len(images))))

    def _tile(self, key: str, thumb: str | None, large: str | None, row: FaceRow) -> Tile:
        photo = self.photos.get(row.face.sha256) or self.changed.get(row.face.sha256)
        named = self.blur_except is None
        facts = face_facts(row, photo)
        lines = [*face_reasons(facts), f"{row.face.face_short:.0f} pixels on its short side."]
        return Tile(key, thumb, large, day_of(facts.taken_at), row.distance, facts.photo if named else None, lines)


def _years(rows: Iterable[FaceRow], photos: Mapping[str, AssetRow]) -> tuple[str, str] | None:
    taken = [photo.asset.taken_at for row in rows if (photo := photos.get(row.face.sha256)) and photo.asset.taken_at]
    return (min(taken)[:4], max(taken)[:4]) if taken else None


def _centroids(registry: Registry) -> dict[str, list[Centroid]]:
    """The centroids for each model that a set was made or adopted with."""
    return {pack: sets.centroids(registry, pack, whole=True) for pack in sorted({faceset.pack for faceset in sets.select(registry)})}


def _distances(registry: Registry, centroids: Mapping[str, list[Centroid]]) -> Distances | None:
    """Measured anew, as the sets stand now; of the model that most faces with a set were measured with."""
    found: dict[str, tuple[list[float], list[float]]] = {pack: ([], []) for pack in centroids}
    batches: dict[str, list[FaceRow]] = {pack: [] for pack in centroids}
    for row in faces.select(registry, reasons=[Reason.MEMBER, Reason.RECOGNISED]):
        if (batch := batches.get(row.face.pack)) is None:
            continue
        batch.append(row)
        if len(batch) == _BATCH:
            _measure(batch, centroids[row.face.pack], *found[row.face.pack])
            batch.clear()
    for pack, batch in batches.items():
        if batch:
            _measure(batch, centroids[pack], *found[pack])
    pack = max(sorted(found), key=lambda each: len(found[each][0]), default="")
    if not pack or not found[pack][0]:
        return None
    plan = runs.last_note(registry, "plan") or {}
    thresholds = {str(name): float(value) for name, value in (plan.get("thresholds") or plan.get("cuts", {})).items()}
    return Distances(pack, *found[pack], thresholds)


def _measure(rows: list[FaceRow], centroids: list[Centroid], own: list[float], other: list[float]) -> None:
    nearest = nearest_sets(np.stack([row.vector for row in rows]), centroids)
    for at, row in enumerate(rows):
        second = nearest.first[at] < 0 or nearest.names[int(nearest.first[at])] == row.set_name
        away = float((nearest.second_distance if second else nearest.first_distance)[at])
        if np.isfinite(away):
            other.append(away)
        if row.distance is not None:
            own.append(row.distance)
