"""What a page may change: each act is the function of :mod:`facesets.people` of that name, asked for by POST and answered in JSON.

A page that has been open for a while may speak of a face that is somebody else's by now: such a face is left alone, and this is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facesets import people, publish
from facesets.errors import FacesetsError, NotFound, Refused, UsageError
from facesets.people import Outcome
from facesets.progress import Progress
from facesets.registry import Person, Registry, decisions, gallery, published
from facesets.registry import people as known_people
from facesets.review.context import Review, review_of
from facesets.review.forms import Form, read_form
from facesets.wording import count_of, folded, plural
from facesets.workspace import Workspace

Answer = dict[str, Any]
T = TypeVar("T")


def answer_of(outcomes: Sequence[Outcome], *, left_alone: int = 0, offers: Sequence[Answer] = ()) -> Answer:
    """What a page is told: sentences, notes, the decisions that an undo takes back, and what may follow."""
    # what a button offers need not be said as a command
    notes = [note for outcome in outcomes for note in outcome.notes if not (offers and "facesets merge" in note)]
    if left_alone:
        notes.append(f"{count_of(left_alone, 'face')} had moved meanwhile and {plural(left_alone, 'was')} left alone")
    return {
        "said": [sentence for outcome in outcomes for sentence in outcome.sentences],
        "notes": notes,
        "decisions": [outcome.decision for outcome in outcomes if outcome.decision is not None],
        "undone": [outcome.changes.get("undone") for outcome in outcomes if outcome.decision is not None],  # by each of these
        "offers": [*offers],
    }


def without_names(review: Review, answer: Answer) -> Answer:
    """What an act did, in words without a name where these are left out."""
    if review.options.names or not answer["decisions"]:
        return answer
    return {**answer, "said": [f"recorded as number {number} of the history" for number in answer["decisions"]], "notes": []}


def faces_to_act_on(registry: Registry, form: Form) -> tuple[list[str], int]:
    """The faces that the page named and that still are of the person it showed (``set``), and how many have moved."""
    wanted, of = form.all("faces"), form.one("set")
    shown = known_people.of_set(registry, of) if of else None
    if of and shown is None:
        raise NotFound(f"there is no set {of} any more; nothing was changed")
    own = cache(lambda: _own_files(registry, shown))  # read once for all of them, and only where one is asked for
    kept = [ref for key in wanted if (ref := _still_of(registry, key, shown, own)) is not None]
    if wanted and not kept:
        raise NotFound(f"{count_of(len(wanted), 'face')} had moved meanwhile; nothing was changed")
    return kept, len(wanted) - len(kept)


def _own_files(registry: Registry, shown: Person | None) -> dict[str, str]:
    """The id of each image of its owner's own, in this person's set or in any -> the file that it is."""
    found = gallery.own_images(registry, None if shown is None else [shown.id])
    owners = {who: owner for who in found if (owner := known_people.of_id(registry, who)) is not None}
    files = [(sha256, f"{owner.set_name}/{path}") for who, owner in owners.items() for path, sha256 in found[who]]
    return dict(reversed(files))  # the first of those with the same bytes


def _still_of(registry: Registry, key: str, shown: Person | None, own: Callable[[], Mapping[str, str]]) -> str | None:
    """What the acts call the face with this id; None where it is not there, or not of the person any more that the page showed."""
    if (seen := decisions.seen(registry, key)) is not None:
        return key if shown is None or seen.person == shown.id else None
    return own().get(key)


def _name(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    outcome = people.name(workspace, registry, form.one("set"), form.one("name"))
    person = known_people.of_set(registry, form.one("set"))
    offers: list[Answer] = []
    if outcome.decision is not None and person is not None and person.name:
        same = [
            each for each in known_people.select(registry, standing=("active",))
            if each.id != person.id and not each.retired and folded(each.name or "") == folded(person.name)
        ]  # fmt: skip
        offers = [
            {"act": "merge", "label": f"Merge with {other.set_name}", "values": {"sets": person.set_name, "into": other.set_name}}
            for other in same[:2]
        ]
    return answer_of([outcome], offers=offers)


def _each(several: Sequence[T], do: Callable[[T], Outcome]) -> Answer:
    """The same act on several sets, each a decision of its own; where some cannot be, the others are, and this is said."""
    outcomes, failures = [], list[FacesetsError]()
    for one in several:
        try:
            outcomes.append(do(one))
        except FacesetsError as err:
            failures.append(err)
    if not outcomes:
        raise failures[0] if failures else UsageError("no set was chosen; nothing was changed")
    answer = answer_of(outcomes)
    answer["notes"] = [*map(str, failures), *(note for outcome in outcomes for note in outcome.notes)]
    return answer


def _merge(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    """Several sets are the one person of ``into`` (the largest of them where none is given), whose name holds unless ``name`` says."""
    names = form.all("sets")
    sizes = {person.set_name: person.members for person in gallery.people(registry)}
    into = form.one("into") or max(names, key=lambda name: sizes.get(name, 0), default="")
    target = known_people.of_set(registry, into)
    name = form.one("name") or (target.name if target else None)
    return _each([one for one in names if one != into], lambda one: people.merge(workspace, registry, one, into, name=name))


def _ignore(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    return _each(form.all("sets"), lambda one: people.ignore(workspace, registry, one))


def _bring_back(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    """Ignored people are of interest again: what ignored them is taken back."""

    def back(one: str) -> Outcome:
        person = known_people.of_set(registry, one)
        made = [each for each in decisions.select(registry) if each.act == "ignore" and each.stands]
        mine = [each.id for each in made if person and each.payload["set"] == person.number]
        if not mine:
            raise UsageError(f"{one} is not ignored; nothing was changed")
        return people.undo(workspace, registry, mine[-1])

    return _each(form.all("sets"), back)


def _reject(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    faces, moved = faces_to_act_on(registry, form)
    return answer_of([people.reject(workspace, registry, faces)], left_alone=moved)


def _confirm(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    """These faces; without any, all members of ``set``."""
    if not form.all("faces"):
        return answer_of([people.confirm(workspace, registry, [form.one("set")])])
    faces, moved = faces_to_act_on(registry, form)
    return answer_of([people.confirm(workspace, registry, faces)], left_alone=moved)


def _move(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    faces, moved = faces_to_act_on(registry, form)
    return answer_of([people.move(workspace, registry, faces, form.one("to"))], left_alone=moved)


def _split(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    faces, moved = faces_to_act_on(registry, form)
    return answer_of([people.split(workspace, registry, form.one("set"), faces, name=form.one("name") or None)], left_alone=moved)


def _distinct(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    return answer_of([people.distinct(workspace, registry, form.one("set"), form.one("other"))])


def _extend(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    return answer_of([people.extend(workspace, registry, form.one("set"))])


def _best(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    faces, moved = faces_to_act_on(registry, form)
    return answer_of([people.best(workspace, registry, face) for face in faces[:1]], left_alone=moved)


def _numbers(form: Form) -> list[int]:
    """The decisions that an undo is about, the last first; none: the last that was made. Raises UsageError."""
    named = form.all("decisions")
    if not all(text.isascii() and text.isdigit() and len(text) < 12 for text in named):
        raise UsageError("a decision is undone by its number; nothing was changed")
    return sorted({int(text) for text in named}, reverse=True)


def _is_publish(registry: Registry, number: int | None) -> bool:
    return people.to_undo(registry, number).act == published.PUBLISH


def _undo(workspace: Workspace, registry: Registry, form: Form) -> Answer:
    """Several, the last one first; without a number the last that was made, unless it is a publish: a key alone changes no Immich."""
    if not (numbers := _numbers(form)) and _is_publish(registry, None):
        raise Refused("the last decision is a publish, which is taken back in Immich: by the Undo beside it, under History")
    return _each(numbers or [people.to_undo(registry, None).id], lambda number: people.undo(workspace, registry, number))


def _undo_there(workspace: Workspace, registry: Registry, form: Form, progress: Progress) -> Answer:
    """As :func:`_undo`, where a publish is among them: Immich is asked, which takes its time."""

    def back(number: int) -> Outcome:
        if _is_publish(registry, number):
            return publish.undo(workspace, registry, number, progress)
        return people.undo(workspace, registry, number)

    return _each(_numbers(form), back)


#: Name in the address -> what it does. All run in the one thread that writes, while the workspace is held.
ACTS: dict[str, Callable[[Workspace, Registry, Form], Answer]] = {
    "name": _name,
    "merge": _merge,
    "ignore": _ignore,
    "bring-back": _bring_back,
    "reject": _reject,
    "confirm": _confirm,
    "move": _move,
    "split": _split,
    "distinct": _distinct,
    "extend": _extend,
    "best": _best,
    "undo": _undo,
}


async def act(request: Request) -> JSONResponse:
    """POST /act/NAME with a form."""
    do = ACTS.get(request.path_params["name"])
    if do is None:
        raise NotFound("facesets review has no such act; nothing was changed")
    form, review = await read_form(request), review_of(request)

    def done(workspace: Workspace, registry: Registry, progress: Progress | None = None) -> Answer:
        answer = _undo_there(workspace, registry, form, progress) if progress else do(workspace, registry, form)
        review.people.decided(registry, [name for field in ("set", "sets", "into", "to") for name in form.all(field)])
        return answer

    if do is _undo and await review.threads.read(lambda registry: any(_is_publish(registry, number) for number in _numbers(form))):
        work = review.long.start("publish", done)
        answer = await asyncio.shield(asyncio.wrap_future(work))
    else:
        answer = await review.threads.act(done)
    for undone, undo in zip(answer["undone"], answer["decisions"], strict=True):
        review.queue.taken_back(undone, undo)
    return JSONResponse({**without_names(review, answer), "right": round(review.queue.right)})


ROUTES = [Route("/act/{name}", act, methods=["POST"])]
