"""The story of a file, a face or a set in plain sentences: what ``explain`` prints, and what stands on the pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facesets.reason_texts import SENTENCES, name_of
from facesets.records import Reason
from facesets.wording import count_of, day_of, listed, plural


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """What is known of a face. ``evidence`` are the figures behind its reason, as the plan recorded them."""

    face_id: str
    short: float  # short side of its box in pixels
    reason: Reason
    photo: str | None = None  # its file's name
    taken_at: str | None = None
    set_name: str | None = None
    person: str | None = None
    distance: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file. ``kept`` is where its original lies, ``is_there`` whether it still does."""

    name: str
    label: str
    reason: Reason
    taken_at: str | None = None
    detail: str | None = None
    source_boxes: int | None = None  # faces that its source found
    duplicate_of: str | None = None
    kept: str | None = None
    is_there: bool = False
    pixels: str = "original"


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What is known of a set. ``left_out`` counts faces that were grouped with it and are not in it, by reason."""

    name: str
    person: str | None
    made: bool
    written: bool
    faces: int
    photos: int
    years: tuple[str, str] | None
    distances: tuple[float, float] | None
    matched: int
    left_out: Mapping[Reason, int]
    neighbour: tuple[str, float] | None
    own: int = 0  # images of its owner's own
    ignored: bool = False


def file_story(file: FileFacts) -> list[str]:
    """What became of a file, and where it is."""
    when = f"taken on {_moment(file.taken_at)}" if file.taken_at else "of unknown date"  # what was left aside was not read
    lines = [f"{file.name}, {when}, belongs to {file.label}.", SENTENCES[file.reason]]
    if file.detail and not file.duplicate_of:
        lines.append(f"More exactly: {file.detail.rstrip('.')}.")
    if file.duplicate_of:
        lines.append(f"The copy that is kept is {file.duplicate_of}.")
    if file.source_boxes is not None:
        lines.append(f"Its source found {count_of(file.source_boxes, 'face')} in it.")
    if file.kept:
        lines.append(f"It is kept as {file.kept}." if file.is_there else f"It was kept as {file.kept}, and is not there any more.")
    if file.pixels not in ("original", "none"):
        lines.append(f"What is here is the server's {file.pixels} of it, since no decoder takes the original.")
    return lines


def face_story(face: FaceFacts) -> list[str]:
    """Where a face came from, where it is, and how near that was."""
    source = f" in {face.photo}" if face.photo else ""
    taken = f", taken on {day_of(face.taken_at)}" if face.taken_at else ""
    return [f"A face of {face.short:.0f} pixels{source}{taken}.", *face_reasons(face)]


def face_reasons(face: FaceFacts) -> list[str]:
    """Why a face is where it is."""
    return [*_place(face), *_evidence(face)]


def set_story(a_set: SetFacts) -> list[str]:
    """How a set came about, what is in it, and what it is near to."""
    who = f"{a_set.name} ({a_set.person})" if a_set.person else a_set.name
    years = "" if a_set.years is None else f", from {a_set.years[0]}" + (f" to {a_set.years[1]}" if len(set(a_set.years)) > 1 else "")
    if a_set.made:
        came = f"{who} was made by facesets of {count_of(a_set.faces, 'face')} in {count_of(a_set.photos, 'photo')}{years}."
    else:
        came = f"{who} was there before facesets, which only reads it: {count_of(a_set.faces + a_set.own, 'picture')}."
    lines = [came]
    if a_set.ignored:
        lines.append("You said that it is of no interest (ignored): its faces are still recognised, and it is left alone.")
    if a_set.made and a_set.own:
        lines.append(f"{count_of(a_set.own, 'image')} of your own {plural(a_set.own, 'was')} put into it.")
    if not a_set.written:
        lines.append("It is planned and still to be written: facesets run does it.")
    if a_set.distances:
        low, high = a_set.distances
        lines.append(f"Its faces are {_between(low, high)} from the set's average.")
    if a_set.matched:
        faces, be = count_of(a_set.matched, "more face" if a_set.made else "face"), plural(a_set.matched, "was")
        lines.append(f"{faces} of your photos {be} recognised as this person. The folder stays as it is: a run never alters a set.")
    if a_set.left_out:
        parts = [f"{count_of(n, 'face')} ({name_of(reason)})" for reason, n in sorted(a_set.left_out.items())]
        lines.append(f"Grouped with it and left out: {listed(parts)}.")
    if a_set.neighbour:
        lines.append(f"The nearest other set is {a_set.neighbour[0]}, {a_set.neighbour[1]:.2f} away.")
    return lines


def _place(face: FaceFacts) -> Iterator[str]:
    who = f"{face.set_name} ({face.person})" if face.person else f"{face.set_name}"
    far = "" if face.distance is None else f", {face.distance:.2f} from the set's average"
    if face.reason is Reason.MEMBER:
        yield f"It is in {who}{far}."
    elif face.reason is Reason.RECOGNISED:
        yield f"It shows the person of {who}{far}. Its folder's faces had been chosen before, so it stays as it is."
    else:
        yield SENTENCES[face.reason]
        if face.set_name and face.distance is not None:
            yield f"It is {face.distance:.2f} from the average of {who}."


def _evidence(face: FaceFacts) -> Iterator[str]:
    known = face.evidence
    failed = known.get("failed")
    if failed and not (face.reason is Reason.LIKELY and failed["needs"] >= 1):  # older versions kept there what its group lacked
        yield _failed(face.reason, failed)
    if lacks := known.get("lacks"):
        later = " Every run asks again. Immich makes one where its own detector sees a face; other packs measure the photo themselves."
        yield f"It lacks {lacks}.{later if 'vector' in lacks else ''}"
    if known.get("other_set") is not None and known.get("other_distance") is not None:
        doubt = "near enough to be that person too" if known.get("ambiguous") else "too far to be that person"
        yield f"The nearest other set, {known['other_set']}, is {known['other_distance']:.2f} away: {doubt}."
    if moved := known.get("moved"):
        yield _joined(moved)
    if known.get("whole_group"):
        yield "All faces of its group look like more of that person."
    if nearest := known.get("near"):
        yield f"The nearest groups, its own among them: {listed(_nearest(nearest))}."


def _joined(moved: Mapping[str, Any]) -> str:
    groups = f"Two groups ({moved['size']:,} and {count_of(moved['others'], 'face')}) were joined:"
    if "allowed" not in moved:  # of a plan by an older version
        return f"{groups} their average faces are {moved['distance']:.2f} apart."
    if moved.get("centroids") is not None:
        return f"{groups} on average their faces are {moved['distance']:.2f} apart, their average faces {moved['centroids']:.2f}."
    return f"{groups} on average their faces are {moved['distance']:.2f} apart; up to {moved['allowed']:.2f} they may join."


def _failed(reason: Reason, failed: Mapping[str, Any]) -> str:
    has, needs = f"{failed['has']:.4g}", f"{failed['needs']:.4g}"
    if reason is Reason.NEAR_DUPLICATE:
        return f"It is {has} from a better face, {failed['better']}; nearer than {needs} counts as the same moment."
    text = _FIGURES.get(reason, "It has {has}, and {needs} is asked for.")
    return text.format(has=has, needs=needs)


# what a gate's two figures are of
_FIGURES = {
    Reason.TOO_SMALL: "Its short side is {has} pixels; a set asks for {needs}.",
    Reason.LOW_SCORE: "The detector's score is {has}; a set asks for {needs}.",
    Reason.BLURRED: "Its sharpness is {has}; a set asks for {needs}.",
    Reason.FEW_FACES: "Good faces in its group: {has}; a set asks for {needs}.",
    Reason.FEW_PHOTOS: "Different photos in its group: {has}; a set asks for {needs}.",
    Reason.OUTLIER: "It is {has} from the set's average; {needs} is the farthest that is let in.",
    Reason.LIKELY: "It is {has} nearer to that person than to anybody else; a set asks for {needs}.",
}


def _nearest(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"one of {count_of(group['size'], 'face')} at {group['distance']:.2f}" for group in groups]


def _between(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def _moment(taken_at: str) -> str:
    day, _, time = taken_at.partition("T")
    return f"{day} at {time[:5]}" if time else day
