"""The single writes to people and faces: what each needs to find there, sends and leaves behind, and how it is taken back.

Everything is looked at first: a write is sent where Immich still has what the diff saw, and taken back where it still has what was
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from facesets.errors import NotFound
from facesets.immich import Client, PersonNow, write_back
from facesets.publish.diff import DRAW, FACE, MAKE, NAME, quoted
from facesets.publish.there import SeenFace, unit
from facesets.records import Asset, Box
from facesets.registry import PublishedStep, published, same_places
from facesets.sources import ImmichSource
from facesets.wording import folded

Values = Mapping[str, Any]
_TAKEN = "a face was taken from whom it was given to, in Immich since, and stays nobody's"
_MARK = "facesets "  # what a person or album is called, or described as, while it is not certain that it was made


@dataclass(slots=True)
class Context:
    """An open source, how to know an asset, and the names that this publish gave, by person's id. For undo, who takes faces that are to
    be nobody's, whether somebody is that, and ids of people who may have faces that could not be taken back.
    """

    source: ImmichSource
    asset: Callable[[str], Asset | None]
    nobody: Callable[[], str] = field(default=lambda: "")
    is_nobody: Callable[[str], bool] = field(default=lambda _: False)
    keep: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        """The source's client."""
        return self.source.client


@dataclass(frozen=True, slots=True)
class Changed:
    """It is not as the diff saw it, or not ours any more: nothing is sent, and this is said.

    ``held``: a face may be with whom it was given to, and would be nobody's if they went.
    """

    why: str
    held: bool = False


class Sent(Protocol):
    """A write of a diff, or one in the journal."""

    @property
    def wanted(self) -> Values:
        """Ids and values to be written."""

    @property
    def before(self) -> Values:
        """Ids and values that were there."""


class Action(Protocol):
    """One kind of write."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        """What is there right before, to be recorded with the write; Changed where it is not what the diff saw."""

    def send(self, context: Context, write: Sent) -> Values:
        """Send it; returns what the server made. ``before`` of the write is as :meth:`ready` gave it."""

    def landed(self, context: Context, write: Sent) -> Values | None:
        """After a lost answer: what :meth:`send` would have returned where it was done, None where not."""

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        """Make it as it was where it still is ours."""


class _Make:
    """A person. It is made under a name of its own, by which it is found where the answer is lost; the name follows as a write."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        if _called(context, write.wanted["name"]):
            return Changed(f"somebody in Immich is called {quoted(write.wanted['name'])} by now")
        return {**write.before, "token": token()}

    def send(self, context: Context, write: Sent) -> Values:
        return {"person": write_back.create_person(context.client, write.before["token"])}

    def landed(self, context: Context, write: Sent) -> Values | None:
        found = [one for one in write_back.people_called(context.client, write.before["token"]) if one.name == write.before["token"]]
        return {"person": found[0].person_id} if found else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        person = write_back.person(context.client, step.result["person"])
        if person is None:
            return None  # somebody has done so, or merged them away
        if person.name not in (step.before["token"], ""):
            return Changed(f"the person {quoted(person.name)}, who was made, has that name from Immich and stays")
        born = bool(person.birth_date)
        if not born and person.person_id not in context.keep and not write_back.has_faces(context.client, person.person_id):
            write_back.delete_person(context.client, person.person_id)
            return None
        name = step.wanted["name"]
        if person.name:  # not under the one by which it is found
            write_back.rename(context.client, person.person_id, name)
        has = "a birth date that was given in Immich" if born else "faces that were given in Immich, or that stay"
        return Changed(f"the person who was made for {quoted(name)} has {has}, and stays too")


class _Name:
    """A person's name."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        person = write_back.person(context.client, write.wanted["person"])
        if person is None:
            return Changed("the person is not in Immich any more: deleted or merged there")
        if person.name != write.before["name"]:
            return Changed(f"the person was {quoted(write.before['name'])} in Immich and is {quoted(person.name)} now")
        if person.is_hidden:
            return Changed("the person was hidden in Immich")
        others = _called(context, write.wanted["name"]) - {person.person_id, *write.before.get("given_up_by", ())}
        if others and not person.name.startswith(_MARK):  # that is no name to stay with
            return Changed(f"somebody else in Immich is called {quoted(write.wanted['name'])} by now")
        return write.before

    def send(self, context: Context, write: Sent) -> Values:
        write_back.rename(context.client, write.wanted["person"], write.wanted["name"])
        return {}

    def landed(self, context: Context, write: Sent) -> Values | None:
        person = write_back.person(context.client, write.wanted["person"])
        return {} if person is not None and person.name == write.wanted["name"] else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        person = write_back.person(context.client, step.wanted["person"])
        if person is None:
            return Changed(f"{quoted(step.wanted['name'])} is not in Immich any more: deleted or merged there")
        if person.name == step.before["name"]:
            return None
        if person.name != step.wanted["name"]:
            return Changed(f"{quoted(step.wanted['name'])} is called {quoted(person.name)} in Immich by now, and stays so")
        write_back.rename(context.client, person.person_id, step.before["name"])
        return None


class _Face:
    """Whose one of Immich's own faces is. The featured face of who loses it may change: their ``updated_at`` says so."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        other = self._elsewhere(context, write) or _another(context, write)
        if other is not None or write.before["person"] is None:
            return other or write.before
        person = write_back.person(context.client, write.before["person"])
        if (other := _changed(context, person, write.before["name"], "who has it")) is not None:
            return other
        return {**write.before, "updated_at": person.updated_at if person else ""}

    @staticmethod
    def _elsewhere(context: Context, write: Sent) -> Changed | None:
        people = _people_of(context, write.wanted["asset"])
        if people is None:
            return Changed("its photo is not shown to this key any more")
        if write.wanted["face"] not in people:
            return Changed("Immich has looked for faces anew, and has this one under another id")
        if people[write.wanted["face"]] != write.before["person"]:
            return Changed("it was given to somebody else in Immich meanwhile")
        return None

    def send(self, context: Context, write: Sent) -> Values:
        write_back.assign_face(context.client, write.wanted["face"], write.wanted["person"])
        return self._result(context, write)

    def landed(self, context: Context, write: Sent) -> Values | None:
        people = _people_of(context, write.wanted["asset"]) or {}
        return self._result(context, write) if people.get(write.wanted["face"]) == write.wanted["person"] else None

    @staticmethod
    def _result(context: Context, write: Sent) -> Values:
        if write.before["person"] is None:
            return {}
        person = write_back.person(context.client, write.before["person"])
        return {"featured": person is not None and person.updated_at != write.before["updated_at"]}

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        asset_id, before = step.wanted["asset"], step.before["person"]
        face_id = _find(context, step)
        people = _people_of(context, asset_id)
        if people is None or face_id is None:
            why = photo_gone(context, step)
            return Changed(f"a face is not to be found in Immich any more{f': {why}' if why else ''}", held=bool(why and before))
        whose = people[face_id]
        if whose == before:
            if step.state == published.UNDOING and step.result.get("featured") and before is not None:  # cut off between the two
                write_back.feature(context.client, before, asset_id)
            return None
        if whose != step.wanted["person"]:
            if before is None and whose is not None and context.is_nobody(whose):
                return None
            return Changed("a face was given to somebody else in Immich since, and stays there" if whose else _TAKEN)
        return self._give_back(context, step, face_id)

    @staticmethod
    def _give_back(context: Context, step: PublishedStep, face_id: str) -> Changed | None:
        before = step.before["person"]
        if before is None:
            write_back.assign_face(context.client, face_id, context.nobody())
            return None
        if write_back.person(context.client, before) is None:
            return Changed("a face stays, since the person who had it is not in Immich any more")
        write_back.assign_face(context.client, face_id, before)
        if step.result.get("featured"):
            write_back.feature(context.client, before, step.wanted["asset"])
        return None


class _Draw:
    """A face where Immich has none. The server does not say its id: it is the one that was not there before."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        asset = write_back.asset(context.client, write.wanted["asset"])
        if asset is None or asset.is_trashed or asset.visibility == "locked" or asset.is_edited:
            return Changed("its photo is not shown to this key any more, was edited, or is in the trash")
        if asset.owner_id != context.source.user.user_id:
            return Changed("its photo is somebody else's")
        people = _people_of(context, write.wanted["asset"])
        if people is None or sorted(people) != list(write.before["faces"]):
            return Changed("Immich has other faces in its photo by now")
        return _another(context, write) or write.before

    def send(self, context: Context, write: Sent) -> Values:
        x1, y1, x2, y2 = write.wanted["box"]
        frame = write.wanted["frame"]
        write_back.draw_face(context.client, write.wanted["asset"], write.wanted["person"], (x1, y1, x2, y2), (frame[0], frame[1]))
        return self.landed(context, write) or {}

    def landed(self, context: Context, write: Sent) -> Values | None:
        try:
            drawn = write_back.drawn_faces(context.client, write.wanted["asset"])
        except NotFound:
            return None
        sent = (*write.wanted["box"], *write.wanted["frame"], write.wanted["person"])
        new = [
            box.face_id for box in drawn if box.face_id not in write.before["faces"]
            and (box.x1, box.y1, box.x2, box.y2, box.image_width, box.image_height, box.person_id) == sent
        ]  # fmt: skip
        return {"face": new[0]} if new else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        people = _people_of(context, step.wanted["asset"])
        face_id = step.result.get("face") or (self.landed(context, step) or {}).get("face")
        if people is None:
            return Changed("a face that was added is in a photo that is not shown to this key any more")
        if face_id not in people:
            return None  # gone already
        if people[face_id] != step.wanted["person"]:
            return Changed("a face that was added was given to somebody else in Immich since, and stays" if people[face_id] else _TAKEN)
        if face_id not in {face.face_id for face in write_back.drawn_faces(context.client, step.wanted["asset"])}:
            return Changed("a face that was taken for one that was added is Immich's own, and stays")
        write_back.delete_face(context.client, face_id)
        return None


PEOPLE_ACTIONS: Mapping[str, Action] = {MAKE: _Make(), NAME: _Name(), FACE: _Face(), DRAW: _Draw()}


def photo_gone(context: Context, write: Sent) -> str:
    """Why nothing can be written about a face, where it is for its photo."""
    asset_id = write.wanted.get("asset")
    if asset_id is None:
        return ""
    now = write_back.asset(context.client, asset_id)
    if now is None:
        return "its photo is not shown to this key, deleted or in the locked folder"
    return "its photo is in the trash" if now.is_trashed else ""


def changed_since(action: Action, context: Context, write: Sent) -> str:
    """What is not as it was when a write was sent; empty where that is all as it was."""
    found = action.ready(context, write)
    return found.why if isinstance(found, Changed) else ""


def _another(context: Context, write: Sent) -> Changed | None:
    """Whether who is to have a face is not whom the diff saw under this id."""
    if "to" not in write.before:
        return None  # who is made
    return _changed(context, write_back.person(context.client, write.wanted["person"]), write.before["to"], "who is to have it")


def _changed(context: Context, person: PersonNow | None, name: str, who: str) -> Changed | None:
    if person is None:
        return Changed(f"the person {who} is not in Immich any more: deleted or merged there")
    if person.is_hidden:
        return Changed(f"the person {who} was hidden in Immich")
    if person.name not in (name, context.named.get(person.person_id, name)):
        return Changed(f"the person {who} was {quoted(name)} in Immich and is {quoted(person.name)} now")
    return None


def _called(context: Context, name: str) -> set[str]:
    """Ids of the people of a name, whatever the case."""
    return {one.person_id for one in write_back.people_called(context.client, name) if folded(one.name) == folded(name)}


def token() -> str:
    """A name that nobody else has."""
    return f"{_MARK}{uuid4().hex}"


def _people_of(context: Context, asset_id: str) -> dict[str, str | None] | None:
    try:
        return write_back.people_of_faces(context.client, asset_id)
    except NotFound:
        return None


def _find(context: Context, step: PublishedStep) -> str | None:
    """The id that a face has now: its own, or after a reset in Immich that of the face at its place."""
    asset = context.asset(step.wanted["asset"])
    people = _people_of(context, step.wanted["asset"])
    if people is None or step.wanted["face"] in people or asset is None:
        return step.wanted["face"] if people and step.wanted["face"] in people else None
    place: Box = tuple(step.wanted["place"])
    seen = [SeenFace(b.face_id, unit((b.x1, b.y1, b.x2, b.y2), (b.image_width, b.image_height)), b.person_id, (0, 0))
            for b in context.source.boxes(asset) if min(b.image_width, b.image_height) > 0 and b.x2 > b.x1 and b.y2 > b.y1]  # fmt: skip
    pairs = same_places([place], [one.place for one in seen if one.place])
    return seen[pairs[0]].face_id if 0 in pairs else None
