"""facesets explain: the story of one file, face, set or person."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from facesets.cli import App, json_option
from facesets.errors import NotFound, UsageError
from facesets.people import KnownFace, face_words, faces_named, person_of, retired_words, set_words
from facesets.reason_texts import SENTENCES
from facesets.records import FaceSet, Reason
from facesets.registry import AssetRow, FaceRow, Registry, assets, eras, faces, gallery, originals, people, preembedded, sets
from facesets.report import explained_set, face_facts, face_reasons, face_story, file_facts, file_story, set_story
from facesets.sources import folder_of, shown
from facesets.wording import count_of, day_of, folded, listed, printable
from facesets.workspace import Workspace

_SHOWN = 12  # members of a set that are named; --json has all
_ID = 6  # characters of an id that are enough to look for it


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one thing: as a document and in sentences, each with its indent."""

    document: dict[str, Any]
    lines: list[str]


@click.command()
@click.argument("what", metavar="FILE|FACE|SET|PERSON")
@json_option
@click.pass_obj
def explain(app: App, what: str) -> None:
    """Tell the story of one file, face, set or person: what became of it, why, and what it is near to.

    A file may be named by its asset id, its name or its path; a face by its id or its crop; a set by its name or number; a person by
    name. Ids may be cut short.
    """
    workspace = app.workspace()
    with workspace.registry_to_read() as registry:
        story = _Teller(workspace, registry).story(shown(what))
    app.answer(story.document, lambda: "\n".join(map(printable, story.lines)))


class _Teller:
    """Finds what is meant, and tells of it."""

    def __init__(self, workspace: Workspace, registry: Registry) -> None:
        self.workspace, self.registry = workspace, registry

    def story(self, what: str) -> Story:
        """Raises NotFound where nothing is meant, UsageError where ids of several begin so."""
        ways: tuple[Callable[[str], Story | None], ...] = (
            self._set,
            self._crop,
            self._own_image,
            self._face,
            self._files,
            self._person,
            self._retired,
        )
        for way in ways:
            if story := way(what):
                return story
        raise NotFound(
            f"no file, face, set or person is called {what!r} here. facesets list assets, faces or sets shows what there is "
            f"(of an id, {_ID} characters are enough)"
        )

    def _set(self, what: str) -> Story | None:
        found = sets.find(self.registry, what)
        if found is None and (number := re.fullmatch(r"(?:faceset_)?0*([0-9]{1,9})", what.strip())):
            found = next((each for each in sets.select(self.registry) if each.number == int(number[1])), None)
        return None if found is None else self._of_set(found)

    def _person(self, what: str) -> Story | None:
        theirs = [each for each in sets.select(self.registry) if each.person_name and folded(each.person_name) == folded(what)]
        if not theirs:
            return None
        stories = [self._of_set(each) for each in theirs]
        if len(stories) == 1:
            return stories[0]
        document = {"name": theirs[0].person_name, "sets": [story.document for story in stories]}
        lines = [f"{theirs[0].person_name} has {count_of(len(theirs), 'set')}: {listed(each.name for each in theirs)}."]
        return Story(document, lines + [line for story in stories for line in ("", *story.lines)])

    def _retired(self, what: str) -> Story | None:
        """Somebody who was merged into another person, by name or number."""
        try:
            found = sets.find(self.registry, person_of(self.registry, what, retired=True).set_name)
        except NotFound:
            return None
        return None if found is None else self._of_set(found)

    def _crop(self, what: str) -> Story | None:
        """A crop in a set's folder: the face it shows."""
        place = re.fullmatch(r"(faceset_[0-9]+)/faces/0*([0-9]+)\.[a-z]+", "/".join(Path(what).parts[-3:]))
        rows = sets.member_files(self.registry, place[1]) if place else []
        file = "/".join(Path(what).parts[-2:])
        ids = [face_id for face_id, _, written in rows if written == file]
        row = faces.find(self.registry, ids[0]) if ids else None
        return None if row is None else self._of_face(row)

    def _own_image(self, what: str) -> Story | None:
        """An image of its owner's own in a set: a face by its file."""
        try:
            ref = faces_named(self.workspace, self.registry, [what])[0]
        except (NotFound, UsageError):
            return None
        if isinstance(ref, KnownFace):
            return None
        faceset = sets.find(self.registry, ref.set)
        document = {"set": ref.set, "name": faceset and faceset.person_name, "file": ref.path, "sha256": ref.sha256}
        lines = [f"{ref.path} is an image of your own in {ref.set}, a face by its file: it is moved or left out, and never rewritten."]
        return Story(document, [*lines, "", f"Next: facesets explain {ref.set}"])

    def _face(self, what: str) -> Story | None:
        row = faces.find(self.registry, what)
        if row is not None:
            return self._of_face(row)
        several = faces.beginning_with(self.registry, what) if len(what) >= _ID else []
        if several:
            raise UsageError(f"{what!r} is the beginning of several faces' ids: {listed(several)}; give more")
        return None

    def _files(self, what: str) -> Story | None:
        rows = assets.find(self.registry, what) or assets.named(self.registry, what)
        if not rows:
            path = Path(what).absolute()
            rows = assets.named(self.registry, str(path)) or assets.named(self.registry, self.workspace.relative(path))
        rows = rows or list(self._in_folders(what)) or assets.called_alike(self.registry, what)
        if not rows:
            return None
        stories = [self._of_file(row) for row in rows]
        if len(stories) == 1:
            return stories[0]
        lines = [f"{count_of(len(rows), 'file')} are called {what}.", *(line for story in stories for line in ("", *story.lines))]
        return Story({"assets": [story.document for story in stories]}, lines)

    def _in_folders(self, what: str) -> Iterator[AssetRow]:
        """Files of the folders of photos, by the path they have on this machine: also those that were never used."""
        at = Path(os.path.realpath(Path(what).parent), Path(what).name)
        for user in assets.users(self.registry):
            folder = folder_of(self.registry, user.label)
            if folder is not None and at.is_relative_to(folder):
                inside = at.relative_to(folder).as_posix()
                rows = assets.named(self.registry, inside)
                yield from (row for row in rows if row.label == user.label and row.asset.original_path == inside)

    def _of_file(self, row: AssetRow) -> Story:
        document: dict[str, Any] = {
            "asset_id": row.asset.asset_id, "owner_id": row.asset.owner_id, "user": row.label, "file_name": row.asset.file_name,
            "path": _path(row), "taken_at": row.asset.taken_at, "state": row.state, "reason": row.reason,
            "why": SENTENCES[row.reason], "detail": row.detail, "sha256": row.sha256, "original": row.path,
            "source_boxes": None if row.asset.boxes is None else len(row.asset.boxes),
        }  # fmt: skip
        if row.pixels != "original":
            document["pixels"] = row.pixels
        if row.kept_id is not None:
            document["duplicate_of"] = assets.get(self.registry, row.kept_id).asset.asset_id
        lines = [
            *file_story(file_facts(self.workspace, self.registry, row)),
            f"Asset {row.asset.asset_id}; {_at_source(row)}.",
        ]
        found = list[FaceRow]()
        if key := row.sha256 or row.source_key:
            found = list(faces.select(self.registry, sha256=key))
            document["faces"] = [_face_document(face) for face in found]
            lines += [f"{count_of(len(found), 'face')} of it {'is' if len(found) == 1 else 'are'} known here:"] if found else []
            for face in found:
                lines += [f"  {face.face.face_id}: {face.face.face_short:.0f} pixels. " + " ".join(face_reasons(face_facts(face, row)))]
        return Story(document, [*lines, "", *self._next(found[0] if found else None)])

    def _of_face(self, row: FaceRow) -> Story:
        photo, changed = self._photo(row)
        document = _face_document(row) | {
            "asset_id": photo.asset.asset_id if photo else None,
            "path": _path(photo) if photo else None,
            "file_name": photo.asset.file_name if photo else None,
            "taken_at": photo.asset.taken_at if photo else None,
            "photo_changed": changed,
        }
        found = sets.find(self.registry, row.set_name) if row.set_name else None
        said = face_words(self.registry, row.face.face_id)
        document["last_words"] = said
        lines = [*face_story(face_facts(row, photo, found.person_name if found else None)), *said, f"Face {row.face.face_id}."]
        if photo:
            is_, since = ("was", ", whose file has changed since then") if changed else ("is", "")
            lines.append(f"Its photo {is_} asset {photo.asset.asset_id}{since}; {_at_source(photo)}.")
        return Story(document, [*lines, "", *self._next(row)])

    def _photo(self, face: FaceRow) -> tuple[AssetRow | None, bool]:
        """The asset that shows a face, else the one that did; and whether its file has changed since."""
        if photo := preembedded.photo(self.registry, face.face.sha256):
            return photo, False
        photo = self._changed.get(face.face.sha256)
        return photo, photo is not None

    @cached_property
    def _changed(self) -> dict[str, AssetRow]:
        return originals.changed_asset_by_key(self.registry)

    def _of_set(self, faceset: FaceSet) -> Story:
        person = people.of_set(self.registry, faceset.name)
        gone = person if person is not None and person.retired else None
        members = [
            {"rank": rank, "face_id": face_id, "distance": away, "file": file}
            for rank, (face_id, away, file) in enumerate(sets.member_files(self.registry, faceset.name), 1)
        ]
        own = gallery.own_images(self.registry, [person.id]).get(person.id, []) if person is not None else []
        reasons: dict[str, int] = {}
        for row in faces.select(self.registry, set_name=faceset.name):
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
        document: dict[str, Any] = {
            "set": faceset.name,
            "person": faceset.number,
            "name": faceset.person_name,
            "origin": faceset.origin,
            "standing": person and person.standing,
            "pack": faceset.pack,
            "files": len(sets.files(self.registry, faceset.name)),
            "faces_by_reason": reasons,
            "members": members,
            "own_images": [{"file": path, "sha256": sha256} for path, sha256 in own],
            "retired": gone is not None,
            "merged_into": gone and gone.merged_into,
            "eras": [
                {"era": era.name, "from": era.first, "to": era.last, "faces": era.faces, "thin": era.thin}
                for era in eras.select(self.registry, faceset.name)
            ],
        }
        said = set_words(self.registry, faceset.number)
        document["immich"] = said
        if gone is not None:
            return Story(document, [f"{retired_words(self.registry, gone)}.", *said])
        lines = [*set_story(explained_set(self.registry, faceset)), *said, f"The model pack is {faceset.pack}."]
        if document["eras"]:
            lines.append(f"Its looks moved; eras beside it: {listed(era.years for era in eras.select(self.registry, faceset.name))}.")
        if members:
            lines += ["Its faces, best first:", *self._members(members)]
        if own:
            lines += ["Images of your own in it:", *(f"  {path}" for path, _ in own[:_SHOWN]), *_more(len(own))]
        lines += ["", f"Folder: {self.workspace.facesets / faceset.name}", "Next:   facesets report --open shows it"]
        return Story(document, lines)

    def _members(self, members: list[dict[str, Any]]) -> Iterator[str]:
        for member in members[:_SHOWN]:
            row = faces.find(self.registry, member["face_id"])
            photo = self._photo(row)[0] if row else None
            where = f"{day_of(photo.asset.taken_at) or 'no date   '}  {photo.asset.file_name}" if photo else ""
            file = member["file"] or "to be written"
            yield f"  {file:14}  {member['face_id'][:12]}  {member['distance']:.2f}  {where}".rstrip()
        yield from _more(len(members))

    def _next(self, face: FaceRow | None) -> Iterator[str]:
        if face is not None and face.set_name:
            yield f"Next: facesets explain {face.set_name}"
        else:
            yield "Next: facesets status, facesets report --open"


def _more(count: int) -> list[str]:
    more = count - _SHOWN
    return [f"  and {more:,} more (facesets explain --json has all of them)"] if more > 0 else []


def _face_document(row: FaceRow) -> dict[str, Any]:
    face = row.face
    return {
        "face_id": face.face_id, "box": [round(v, 1) for v in face.box], "det_score": _rounded(face.det_score, 4),
        "face_short": round(face.face_short, 1), "sharpness": _rounded(face.sharpness, 2), "pack": face.pack,
        "state": row.reason.state, "reason": row.reason, "why": SENTENCES[row.reason], "set": row.set_name,
        "distance": row.distance, **row.detail,
    }  # fmt: skip


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _path(row: AssetRow) -> str | None:
    """Where a photo lies at its source; None where that has it no longer."""
    return None if row.reason is Reason.GONE else row.asset.original_path


def _at_source(row: AssetRow) -> str:
    if row.reason is Reason.GONE:
        return "its source does not have it any more"
    return f"at its source {row.asset.original_path or 'without a path'}"
