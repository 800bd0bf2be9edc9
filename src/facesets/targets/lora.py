"""A LoRA's training folder that kohya, ai-toolkit, OneTrainer and SimpleTuner read as it is: pictures, a caption each, their settings.

Pictures are cut wide from the originals, in the proportions that trainers recommend, of one era, with nobody else in them, and never
enlarged. Captions name what varies: framing, pose, year; never how the person looks. A captioner's text has its place in ``captions/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facesets.photos import crops
from facesets.targets.choice import era_of, farthest_first, years
from facesets.targets.framing import ASPECTS, QUOTA, Cut, cut
from facesets.targets.job import Item, Job
from facesets.targets.lora_trainers import settings_files
from facesets.targets.names import file_name, one_line
from facesets.targets.pictures import NoPicture, only_face, shrunk
from facesets.targets.terms import Candidate, Pixels
from facesets.wording import count_of

LEAST, LONGEST = 1024, 2048  # pixels: the shortest side that trainers want, the longest that helps
_SMALLEST = 512  # below this a picture teaches blur
_CONTEXT = 0.15  # of the largest face's area: smaller ones in the background are nobody


@dataclass(slots=True)
class _Plan:
    """What was cut so far: framing -> how many."""

    count: int
    taken: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUOTA, 0))
    aspects: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))

    def wanted(self) -> list[str]:
        """Framings, the one that lacks most first."""
        return sorted(QUOTA, key=lambda name: self.taken[name] / (QUOTA[name] * self.count))

    def shapes(self) -> list[str]:
        """Aspects, the rarest first."""
        return sorted(ASPECTS, key=lambda name: self.aspects[name])


def files(job: Job) -> Mapping[str, Item]:
    """``NAME/images``, the trainers' settings and a README."""
    name = file_name(job.called, job.person.set_name)
    settings = job.workspace.settings.targets.lora
    trigger = one_line(job.options.get("trigger") or settings.trigger) or f"{name.split()[0].lower()}_person"
    era, span = era_of(job, settings.era_years)
    inside = {c.face.face_id for c in era}
    for candidate in job.candidates:
        if candidate.face.face_id not in inside:
            job.leave_out(candidate, "of another time than most, or of none that is known")
    plan = _Plan(job.count or 30)
    made: dict[str, Item] = {}
    images = f"{settings.repeats}_{trigger} {settings.class_word}" if settings.repeats_folder else "images"
    small = 0
    for index in farthest_first(era):
        if sum(plan.taken.values()) >= plan.count:
            break
        candidate = era[index]
        try:
            framing, rgb, box = _cut(job, candidate, plan)
        except NoPicture as err:
            job.leave_out(candidate, err)
            continue
        small += min(rgb.shape[:2]) < LEAST
        stem = f"{name}/{images}/{candidate.key}"
        made[f"{stem}.png"] = Item(crops.encode(rgb), job.about(candidate, cut=list(box), framing=framing))
        made[f"{stem}.txt"] = Item((_caption(job, candidate, framing, trigger, settings.class_word, name) + "\n").encode())
    pictures = sum(plan.taken.values())
    if not pictures:
        return {}
    _notes(job, plan, pictures, small, span)
    folder = settings.path or (str((job.out or Path()).absolute() / name))
    trainers = settings_files(folder.rstrip("/\\"), images, trigger, settings.class_word, settings.repeats, pictures)
    return made | {f"{name}/{path}": Item(text.encode()) for path, text in trainers.items()}


def _notes(job: Job, plan: _Plan, pictures: int, small: int, span: tuple[int, int] | None) -> None:
    share = ", ".join(f"{n} {framing}" for framing, n in plan.taken.items())
    job.outcome.facts["framing"] = dict(plan.taken)
    job.outcome.notes.append(f"{count_of(pictures, 'picture')}: {share}" + (f"; photos of {years(span)}" if span else ""))
    if small:
        job.outcome.notes.append(
            f"{small} of {pictures} pictures are smaller than {LEAST} pixels on their shorter side; none is enlarged"
        )
    if pictures < 9:
        job.outcome.notes.append(f"{count_of(pictures, 'picture')}, where 15 to 30 train best")


def _cut(job: Job, candidate: Candidate, plan: _Plan) -> tuple[str, Pixels, tuple[int, int, int, int]]:
    """The cut of a photo that the plan lacks most. Raises NoPicture."""
    if candidate.asset is None:
        raise NoPicture("its set holds crops alone, and pictures are cut from photos")
    photo = job.pictures.original(candidate)
    alone = "somebody else is in every cut of it" if candidate.others else "its photo has too little around the face"
    trouble = NoPicture(f"{alone}, in the framings wanted")
    for framing in plan.wanted():
        found = [
            (shape, made)
            for shape in plan.shapes()
            if (made := cut(candidate.face.box, framing, photo.width, photo.height, candidate.others, ASPECTS[shape]))
        ]
        for shape, made in sorted(found, key=lambda one: one[1].shortest < LEAST):
            if made.shortest < _SMALLEST:
                trouble = NoPicture(f"its cuts have fewer than {_SMALLEST} pixels on the shorter side, and pictures are never enlarged")
                continue
            try:
                rgb = _pixels(job, photo.rgb, made)
            except NoPicture as err:
                trouble = err
                continue
            plan.taken[framing] += 1
            plan.aspects[shape] += 1
            return framing, rgb, made.box
    raise trouble


def _pixels(job: Job, rgb: Pixels, made: Cut) -> Pixels:
    left, top, right, bottom = made.box
    part = shrunk(rgb[top:bottom, left:right], LONGEST)
    only_face(job.pictures, part, least_share=_CONTEXT)  # what the photo's boxes do not tell
    return part


def _caption(job: Job, candidate: Candidate, framing: str, trigger: str, class_word: str, name: str) -> str:
    yaw = candidate.face.signals.get("yaw", 0.0)
    pose = "facing the camera" if abs(yaw) < 15 else f"turned to the {'right' if yaw > 0 else 'left'}"
    parts = [f"{trigger} {class_word}", framing, pose, str(candidate.year) if candidate.year else "", "one person"]
    text = _captioner(job, name, candidate.key)
    return ", ".join(part for part in (*parts, text) if part)


def _captioner(job: Job, name: str, key: str) -> str:
    """What a captioner, or its user, wrote of this picture: ``captions/<picture>.txt`` in the export's folder."""
    path = (job.out or Path()) / name / "captions" / f"{key}.txt"
    try:
        return one_line(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""
    except OSError:
        job.outcome.notes.append(f"{path} cannot be read, so its caption lacks that text")
        return ""
