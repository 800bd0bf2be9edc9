"""A LoRA's training folder that kohya, ai-toolkit, OneTrainer and SimpleTuner read as it is: pictures, a caption each, their settings.

Pictures are cut wide from the originals, in the proportions that trainers recommend, of one era, with nobody else in them, and never
enlarged. Captions name what varies: framing, pose, year; never how the person looks. A captioner's text has its place in ``captions/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_USUAL = 30  # pictures: what the shares of framings are of where there are fewer and no limit is set
_CONTEXT = 0.15  # of the largest face's area: smaller ones in the background are nobody


class _TooSmall(NoPicture):
    """A photo has cuts, and none with so many pixels."""


@dataclass(slots=True)
class _Plan:
    """What was cut so far: framing -> how many."""

    count: int
    taken: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUOTA, 0))
    aspects: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))

    def wanted(self, *, lacking: bool) -> list[str]:
        """Framings, the one that lacks most first; ``lacking``: those alone of which there are too few."""
        shares = {name: self.taken[name] / (QUOTA[name] * self.count) for name in QUOTA}
        return sorted((name for name in QUOTA if not lacking or shares[name] < 1), key=lambda name: shares[name])

    @property
    def is_full(self) -> bool:
        """Whether there are as many as were asked for."""
        return sum(self.taken.values()) >= self.count

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
    plan = _Plan(min(job.count, max(len(era), _USUAL)))
    made: dict[str, Item] = {}
    images = file_name(f"{settings.repeats}_{trigger} {settings.class_word}", "images") if settings.repeats_folder else "images"
    small = 0
    whys: dict[str, NoPicture] = {}
    order = [era[index] for index in farthest_first(era)]
    for least in (LEAST, _SMALLEST):  # what is smaller than trainers want comes where there is nothing else
        for candidate in order:
            stem = f"{name}/{images}/{candidate.key}"
            if plan.is_full or f"{stem}.png" in made:
                continue
            try:
                framing, rgb, box = _cut(job, candidate, plan, least)
            except NoPicture as err:
                if least == _SMALLEST or not isinstance(err, _TooSmall):
                    whys[candidate.face.face_id] = err
                continue
            whys.pop(candidate.face.face_id, None)
            small += min(rgb.shape[:2]) < LEAST
            made[f"{stem}.png"] = Item(crops.encode(rgb), job.about(candidate, cut=list(box), framing=framing))
            made[f"{stem}.txt"] = Item((_caption(job, candidate, framing, trigger, settings.class_word, name) + "\n").encode())
    for candidate in order:
        if (why := whys.get(candidate.face.face_id)) is not None:
            job.leave_out(candidate, why)
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


def _cut(job: Job, candidate: Candidate, plan: _Plan, least: int) -> tuple[str, Pixels, tuple[int, int, int, int]]:
    """The cut of a photo that the plan lacks most, with ``least`` pixels on the shorter side or more. Raises NoPicture."""
    if candidate.asset is None:
        raise NoPicture("its set holds crops alone, and pictures are cut from photos")
    trouble: NoPicture = _TooSmall(f"its cuts have fewer than {least} pixels on the shorter side, and pictures are never enlarged")
    known = candidate.asset.asset
    wanted = plan.wanted(lacking=least > _SMALLEST)
    if known.width and known.height and least > _SMALLEST and not _cuts(candidate, wanted, plan, known.width, known.height, least):
        raise trouble  # it need not be fetched to know that
    photo = job.pictures.original(candidate)
    if not _cuts(candidate, [*QUOTA], plan, photo.width, photo.height, 0):
        alone = "somebody else is in every cut of it" if candidate.others else "its photo has too little around the face"
        raise NoPicture(f"{alone}, in the framings wanted")
    for shape, made in _cuts(candidate, wanted, plan, photo.width, photo.height, least):
        try:
            rgb = _pixels(job, photo.rgb, made)
        except NoPicture as err:
            trouble = err
            continue
        plan.taken[made.framing] += 1
        plan.aspects[shape] += 1
        return made.framing, rgb, made.box
    raise trouble


def _cuts(candidate: Candidate, framings: Sequence[str], plan: _Plan, width: int, height: int, least: int) -> list[tuple[str, Cut]]:
    """Aspects and cuts of a photo of this size that are large enough, the one that the plan lacks most first."""
    found = []
    for framing in framings:
        made = [(shape, cut(candidate.face.box, framing, width, height, candidate.others, ASPECTS[shape])) for shape in plan.shapes()]
        large = [(shape, one) for shape, one in made if one is not None and one.shortest >= least]
        found += sorted(large, key=lambda one: one[1].shortest < LEAST)
    return found


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
