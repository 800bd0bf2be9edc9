"""Whose Immich's own faces are to be: face by face, what is written, what is asked, what cannot be. Pure but for questions to There."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from facesets.immich import AssetNow, PersonNow
from facesets.people import Look, Told, ToldFace
from facesets.publish.diff import DRAW, FACE, Cannot, What, Write, quoted
from facesets.publish.targets import Ours, Target
from facesets.publish.there import SeenFace, There, unit
from facesets.records import Asset, Box, Reason
from facesets.registry import PlacedFace, same_places
from facesets.wording import count_of, folded, plural

_PREVIEW_SHORT = 1440  # short side of Immich's preview, which is never enlarged
_DATED = "1971"  # a date before says nothing of when a photo was taken
_STILL_OURS = 0.5  # share of published faces that are where they were put: from here on one elsewhere was moved by hand
_SEVERAL = 2  # people whose faces are elsewhere, at least, where a reset in Immich is the reason


@dataclass(frozen=True, slots=True)
class Pair:
    """A face here in one asset, and Immich's own at its place; None where that has none."""

    face: PlacedFace
    seen: SeenFace | None


@dataclass(slots=True)
class Found:
    """What came of a person's faces."""

    writes: list[Write] = field(default_factory=list)
    cannot: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, name) -> how many
    in_step: int = 0


def not_to_be_written(face: PlacedFace, owner_id: str, now: AssetNow | None, *, asked: bool) -> str | None:
    """Why nothing is written to an asset: as the registry knows it, and (``asked``) as Immich has it now. None: it may be."""
    if face.reason is Reason.OTHER_OWNER or (now is not None and now.owner_id != owner_id):
        return "other_owner"
    if now is None and (asked or face.reason in (Reason.GONE, Reason.LOCKED) or face.visibility == "locked"):
        return "away"
    if now is not None and now.visibility == "locked":
        return "away"
    if now.is_trashed if now is not None else face.is_trashed:
        return "trashed"
    return None


def is_other_picture(known: Asset, now: AssetNow) -> bool:
    """Whether an asset shows another picture than the one in which its faces were found: the file was turned, mirrored or replaced.

    An edit in Immich makes none: faces are given in the original's frame.
    """
    if known.is_edited or now.is_edited:
        return False
    size = (known.width, known.height) if known.width and known.height else None
    return any(before and after and before != after for before, after in ((known.thumbhash, now.thumbhash), (size, now.size)))


def pairs_of(faces: Sequence[PlacedFace], seen: Mapping[str, tuple[SeenFace, ...] | None]) -> list[Pair]:
    """Each face with Immich's own at its place: one to one in each asset, from an overlap of one half on."""
    by_asset: dict[str, list[PlacedFace]] = {}
    for face in faces:
        by_asset.setdefault(face.asset_id, []).append(face)
    matched: dict[tuple[str, str], SeenFace] = {}
    for asset_id, here in by_asset.items():
        known = [face for face in here if face.size]
        placed = [one for one in seen.get(asset_id) or () if one.place is not None]
        boxes = [unit(face.box, face.size) for face in known if face.size]
        for i, j in same_places(boxes, [one.place for one in placed if one.place]).items():
            matched[asset_id, known[i].key] = placed[j]
    return [Pair(face, matched.get((face.asset_id, face.key))) for face in faces]


class FaceRules:
    """Decides on faces. ``looked_at`` says of a face's key by which decision somebody said whose it is (None: nobody did)."""

    def __init__(self, there: There, told: Told, what: What, looked_at: Callable[[str], Look | None]) -> None:
        self.there, self.told, self.what, self.looked_at = there, told, what, looked_at
        self.was_reset = False

    def look_over(self, people: Iterable[Sequence[Pair]]) -> None:
        """See by the faces of everybody whether Immich was reset: that forgets everybody's faces, where a hand moves somebody's."""
        rows = list(people)
        self.was_reset = sum(map(self._disturbed, rows)) >= _SEVERAL and self._disturbed([pair for pairs in rows for pair in pairs])

    def decide(self, one: Ours, target: Target, pairs: Iterable[Pair], blocked: Callable[[PlacedFace], str | None]) -> Found:
        """All faces of a person. ``blocked`` says why an asset is not written to."""
        found, rows = Found(), list(pairs)
        disturbed = self.was_reset and self._disturbed(rows)
        for pair in rows:
            if pair.seen is not None and target.person is not None and pair.seen.person_id == target.person.person_id:
                found.in_step += 1
            elif (why := blocked(pair.face)) is not None:
                found.cannot[why, ""] += 1
            elif pair.seen is None:
                self._missing(one, target, pair.face, found)
            else:
                self._there(one, target, pair, pair.seen, found, disturbed=disturbed)
        return found

    def _there(self, one: Ours, target: Target, pair: Pair, seen: SeenFace, found: Found, *, disturbed: bool) -> None:
        person, has = target.person, None if seen.person_id is None else self.there.person(seen.person_id)
        if not self.what.faces:
            return
        if _before_birth(person, pair.face):
            found.cannot["before_birth", ""] += 1
            return
        kind = self._kept(one, pair, seen, has, disturbed=disturbed)
        if kind is not None:
            found.cannot[kind, has.name if has else ""] += 1
            return
        assert pair.face.size is not None
        wanted = {
            "asset": pair.face.asset_id, "face": seen.face_id, "person": person and person.person_id,
            "place": _rounded(unit(pair.face.box, pair.face.size)),
        }  # fmt: skip
        before = {"person": seen.person_id, "name": has.name if has else "", **_to(person)}
        found.writes.append(Write(FACE, one.number, wanted, before))

    def _kept(self, one: Ours, pair: Pair, seen: SeenFace, has: PersonNow | None, *, disturbed: bool) -> str | None:
        """Why a face stays with whom Immich has it; None: it is moved."""
        if has is not None and has.is_hidden:
            return "hidden_there"
        before = self._told(pair)
        if one.number in self.what.overrule:
            return None
        if has is None or (before is not None and self._as_told(before, has)):
            return None
        found_anew = disturbed or (before is not None and before.face_id != seen.face_id)  # given away by a machine
        if before is not None and (has.name or not found_anew):
            look = self.looked_at(pair.face.key)
            return None if look is not None and look.answers(before, has.person_id) else "moved_there"
        if not has.name or folded(has.name) in one.former or self.looked_at(pair.face.key) is not None:
            return None
        return "named_otherwise"

    def _as_told(self, before: ToldFace, has: PersonNow) -> bool:
        """Whether Immich has a face as it was last told from here: then the word that counts is ours, and may be another one by now."""
        return has.person_id == before.person_id and has.name == self.told.names.get(has.person_id, has.name)

    def _missing(self, one: Ours, target: Target, face: PlacedFace, found: Found) -> None:
        seen = self.there.faces.get(face.asset_id) or ()
        close_by = face.size is not None and any(_one_head(unit(face.box, face.size), one.place) for one in seen if one.place)
        if close_by or not self.what.add_faces:
            if self.what.faces or self.what.add_faces:
                found.cannot["close_by" if close_by else "no_face_there", ""] += 1
            return
        now = self.there.assets.get(face.asset_id)
        if now is None or now.is_edited:
            found.cannot["edited", ""] += 1
            return
        frames = {one.frame for one in seen}
        frame = next(iter(frames)) if len(frames) == 1 else _preview(now.size) if not frames else None
        if frame is None or min(frame) <= 0 or face.size is None:
            found.cannot["no_frame", ""] += 1
            return
        place = unit(face.box, face.size)
        if one.number not in self.what.overrule and self._told_at(face.asset_id, place) is not None:
            found.cannot["removed_there", ""] += 1
            return
        if _before_birth(target.person, face):
            found.cannot["before_birth", ""] += 1
            return
        wanted = {
            "asset": face.asset_id, "person": target.person and target.person.person_id, "place": _rounded(place),
            "box": _pixels(place, frame), "frame": list(frame),
        }  # fmt: skip
        before = {"faces": sorted(each.face_id for each in seen), **_to(target.person)}
        found.writes.append(Write(DRAW, one.number, wanted, before))

    def _told(self, pair: Pair) -> ToldFace | None:
        assert pair.face.size is not None
        return self._told_at(pair.face.asset_id, unit(pair.face.box, pair.face.size))

    def _told_at(self, asset_id: str, place: Box) -> ToldFace | None:
        """What Immich was told last of the face at this place."""
        rows = self.told.faces.get(asset_id, [])
        last = None
        for row in rows:
            if same_places([place], [row.place]):
                last = row
        return last

    def _disturbed(self, pairs: Sequence[Pair]) -> bool:
        """Whether most faces that were published for a person are not where they were put."""
        told = [(pair, row) for pair in pairs if pair.seen is not None and (row := self._told(pair)) is not None]
        ours = sum(pair.seen is not None and pair.seen.person_id == row.person_id for pair, row in told)
        return bool(told) and ours < _STILL_OURS * len(told)


def sentences(found: Found, one: Ours) -> list[Cannot]:
    """What is not written, with why."""
    return [_cannot(kind, name, n, one) for (kind, name), n in sorted(found.cannot.items())]


def _cannot(kind: str, name: str, n: int, one: Ours) -> Cannot:
    faces, photos, be, have = count_of(n, "face"), count_of(n, "photo"), plural(n, "is"), plural(n, "has")
    who = f"{quoted(name)}" if name else "somebody without a name"
    why, advice = {
        "other_owner": (f"{photos} {be} somebody else's: whose it is publishes there", ""),
        "away": (f"{photos} {be} not shown to this key: deleted, or in the locked folder", ""),
        "trashed": (f"{photos} {be} in the trash", ""),
        "edited": (f"{faces} in edited photos cannot be placed there", "the key needs asset.edit.get to move those that Immich has"),
        "other_picture": (f"{photos} {be} not as when {'its' if n == 1 else 'their'} faces were found", "facesets run looks again"),
        "no_frame": (f"{photos} {have} no size that a face could be placed by", ""),
        "no_face_there": (f"Immich has no face at the place of {faces}", "--add-faces adds them"),
        "close_by": (f"Immich has a face close to the place of {faces}, and it is not clear that it is the same", ""),
        "removed_there": (f"{faces} that {plural(n, 'was')} added {be} gone in Immich", f"--overrule {one.set_name} adds them again"),
        "before_birth": (f"{faces} {be} in photos from before the birth date that Immich has", ""),
        "hidden_there": (f"{faces} {be} with a person who is hidden in Immich", ""),
        "named_otherwise": (
            f"Immich says {who} of {faces}", f"facesets confirm says that they are right here, --overrule {one.set_name} moves all",
        ),
        "moved_there": (
            f"{faces} {plural(n, 'was')} given to {who} in Immich since",
            f"{'facesets suggest' if name else 'facesets confirm FACE'}; --overrule {one.set_name} moves all back",
        ),
    }[kind]  # fmt: skip
    return Cannot(kind, why, n, advice)


def _to(person: PersonNow | None) -> dict[str, str | bool]:
    """What who is to have a face is called, and whether Immich makes their picture of it; of somebody who is made it goes with them."""
    if person is None:
        return {}
    return {"to": person.name, "first": True} if not person.has_picture else {"to": person.name}


def _before_birth(person: PersonNow | None, face: PlacedFace) -> bool:
    taken = face.taken_at or ""
    return person is not None and bool(person.birth_date) and taken > _DATED and taken[:10] < (person.birth_date or "")


def _one_head(one: Box, other: Box) -> bool:
    """Whether two boxes may be of one head, which Immich may have drawn narrower, wider or beside: one has the other's middle in it."""
    return _has_middle(one, other) or _has_middle(other, one)


def _has_middle(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _preview(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The size of Immich's preview of an original of this size."""
    if size is None:
        return None
    scale = min(1.0, _PREVIEW_SHORT / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels(place: Box, frame: tuple[int, int]) -> list[int]:
    """A place in whole pixels of a frame, inside it and never empty."""
    x1, y1, x2, y2 = place
    left, top = min(max(round(x1 * frame[0]), 0), frame[0] - 1), min(max(round(y1 * frame[1]), 0), frame[1] - 1)
    return [left, top, min(max(round(x2 * frame[0]), left + 1), frame[0]), min(max(round(y2 * frame[1]), top + 1), frame[1])]


def _rounded(place: Box) -> list[float]:
    return [round(x, 6) for x in place]
