"""One question at a time, for the keyboard: yes, no, later, undo. The next one is in the page before it is asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from facesets.errors import NotFound, UsageError
from facesets.records import Reason
from facesets.registry import Person, Registry, face_lists, gallery, people
from facesets.review import acts
from facesets.review.context import Review, fragment, page, review_of
from facesets.review.forms import Form, query, read_form
from facesets.review.person_page import Shown, face_shown
from facesets.review.questions import EYES, LANES, Question
from facesets.workspace import Workspace

_AROUND: Final = 2  # years before and after, from which the three faces of the person come
_SHOWN: Final = 12  # faces of a set
_SOON: Final = 0.4  # seconds: a search that takes longer is not waited for before the page is shown


@dataclass(frozen=True, slots=True)
class Side:
    """A person as one side of a question."""

    person: Person
    faces: list[face_lists.ListedFace]
    members: int
    years: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that is looked at for it."""

    question: Question
    face: Shown | None
    left: Side | None
    right: Side | None
    own: Person | None


def _side(registry: Registry, name: str, most: int, standing: Reason = Reason.MEMBER, near: str | None = None) -> Side:
    person = people.of_set(registry, name)
    if person is None:
        raise NotFound(f"there is no set {name} any more")

    def some(standing: Reason, years: tuple[int, int] | None = None) -> tuple[int, list[face_lists.ListedFace]]:
        order = "far" if standing is Reason.RECOGNISED else "best"
        return face_lists.faces(registry, person.id, standing, order=order, years=years, first=0, most=most)

    members, found = some(Reason.MEMBER)
    if standing is not Reason.MEMBER:
        _, found = some(standing)
    elif near:
        found = some(standing, (int(near[:4]) - _AROUND, int(near[:4]) + _AROUND))[1] or found
    return Side(person, found, members, gallery.years(registry, [person.id]).get(person.id))


def _asked(review: Review, registry: Registry, question: Question) -> Asked:
    own = people.of_set(registry, str(question.evidence["own"])) if "own" in question.evidence else None
    if question.kind in ("look", "move"):
        face = face_shown(review, registry, question.left)
        taken = face.photo.taken_at if face.photo else None
        assert question.right is not None
        return Asked(question, face, None, _side(registry, question.right, 3, near=taken), own)
    left = _side(registry, question.left, _SHOWN, Reason.RECOGNISED if question.kind == "extend" else Reason.MEMBER)
    return Asked(question, None, left, _side(registry, question.right, _SHOWN) if question.right else None, own)


async def _next(review: Review, lane: str, held: list[str]) -> Asked | None:
    """The question at the head of the queue; one that fits no more is passed over."""
    search = review.queue.refresh()
    if search is not None and not review.queue.left(lane):
        await asyncio.wrap_future(search)
    while (question := review.queue.head(lane, held)) is not None:
        try:
            return await review.threads.read(lambda registry, question=question: _asked(review, registry, question))  # type: ignore[misc]
        except NotFound:
            review.queue.dropped(question)
    return None


async def shown(request: Request) -> HTMLResponse:
    """GET /decide?lane=...: the first question of a lane."""
    review, lane = review_of(request), query(request).one("lane", EYES)
    if lane not in LANES:
        raise NotFound("there is no such lane")
    search = review.queue.refresh()
    if search is not None and not review.queue.left(lane):
        await asyncio.wait({asyncio.wrap_future(search)}, timeout=_SOON)
    searching = search is not None and not search.done() and not review.queue.left(lane)  # then the page asks again, and waits
    asked = None if searching else await _next(review, lane, [])
    return await page(
        request, "decide.html", here="decide", asked=asked, searching=searching, lane=lane, lanes=LANES, left=_left(review),
        right=review.queue.right,
    )  # fmt: skip


def _left(review: Review) -> dict[str, int]:
    return {lane: len(review.queue.left(lane)) for lane in LANES}


async def following(request: Request) -> HTMLResponse:
    """GET /decide/next?lane=...&held=...: the question after those that the page holds, and how many are left."""
    review, asked = review_of(request), query(request)
    lane = asked.one("lane", EYES)
    found = await _next(review, lane, asked.all("held"))
    answer = fragment(request, "question.html", asked=found, searching=False)
    answer.headers["x-left"] = json.dumps(_left(review))
    return answer


async def answer(request: Request) -> JSONResponse:
    """POST /decide/answer with ``question``, ``answer`` (yes, no, later) and, where a name is asked for, ``name``.

    Raises NotFound where the question fits no more, so that the page goes on to the next one.
    """
    form, review = await read_form(request), review_of(request)
    question = review.queue.find(form.one("question"))
    if question is None:
        raise NotFound("this was decided elsewhere meanwhile; nothing was changed")
    said = _act(question, form)
    if said is None:
        review.queue.put_off(question.id)
        return JSONResponse({**acts.answer_of([]), "right": round(review.queue.right)})
    do, values = acts.ACTS[said[0]], Form(said[1].items())

    def done(workspace: Workspace, registry: Registry) -> acts.Answer:
        made = do(workspace, registry, values)
        review.people.decided(registry, [name for field in ("set", "sets", "into", "to") for name in values.all(field)])
        return made

    try:
        made = await review.threads.act(done)
    except UsageError as err:
        if question.kind == "who":  # the name cannot be taken
            raise
        review.queue.dropped(question)
        raise NotFound(str(err)) from err
    except NotFound:
        review.queue.dropped(question)
        raise
    review.queue.answered(question, made["decisions"])
    return JSONResponse({**acts.without_names(review, made), "right": round(review.queue.right)})


def _act(question: Question, form: Form) -> tuple[str, dict[str, str]] | None:
    match form.one("answer"), form.one("name").strip():
        case "yes", name if question.kind == "who" and name:
            return "name", {"set": question.left, "name": name}
        case "ignore", _ if question.lane != EYES:
            return "ignore", {"sets": question.left}
        case "yes", _ if question.yes:
            return question.yes[0], dict(question.yes[1])
        case "no", _ if question.no:
            return question.no[0], dict(question.no[1])
        case "later", _:
            return None
    raise UsageError("that is no answer to this question; nothing was changed")


ROUTES = [Route("/decide", shown), Route("/decide/next", following), Route("/decide/answer", answer, methods=["POST"])]
