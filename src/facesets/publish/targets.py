"""Who in Immich is the person of a set: by what was published before, by name, by faces. Also what they are to be called there.

One to one. Where it is not clear nothing is written, and this is said; nobody is ever merged.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from facesets.immich import PersonNow
from facesets.people import Told
from facesets.publish.diff import NAME, Cannot, Write, quoted
from facesets.publish.there import There
from facesets.wording import count_of, folded, listed

_MOST = 0.5  # share of a person's photos in Immich, and of a set's there, from which the two are one person
_CLEARLY = 0.8  # the same, where Immich has another name for them: as much as a name asks for that is taken from there


@dataclass(frozen=True, slots=True)
class Ours:
    """A person here who has a name. ``named_at`` is when a decision gave it (ISO 8601, UTC), ``former`` folded names of people merged
    into them; ``votes`` says in how many photos each person of Immich has a face of theirs, by id.
    """

    number: int
    set_name: str
    name: str
    named_at: str | None
    former: frozenset[str]
    votes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """The person in Immich, or a ``problem``; without either somebody is to be made."""

    person: PersonNow | None = None
    problem: Cannot | None = None


def choose(
    people: Sequence[Ours], there: There, linked: Mapping[int, str], inherited: Mapping[int, str], overrule: Collection[int]
) -> dict[int, Target]:
    """Number -> target. ``linked``: number -> id of the person that was published as them before; ``inherited``: as one who turned out
    to be them, which is the weaker word: Immich may have had them themselves all along.
    """
    found: dict[int, Target] = {}
    gone: dict[int, Cannot] = {}
    claimed: set[str] = set()
    known = [(one, before, there.person(before)) for one in people if (before := linked.get(one.number)) is not None]
    for one, before, person in sorted(known, key=lambda each: _unlike(*each)):
        if person is not None and before not in claimed:  # two who were one for a while were published as the same
            found[one.number] = Target(person)
            claimed.add(before)
        elif person is None and one.number not in overrule:
            gone[one.number] = _gone(one, there)
    groups: dict[str, list[Ours]] = {}
    for one in people:
        groups.setdefault(folded(one.name), []).append(one)
    for group in groups.values():
        _by_name([one for one in group if one.number not in found], group, there, claimed, found)
    for one in people:
        heir = there.person(inherited[one.number]) if one.number not in found and one.number in inherited else None
        if heir is not None and heir.person_id not in claimed:
            found[one.number] = Target(heir)
            claimed.add(heir.person_id)
    for one, person_id in _by_faces([one for one in people if one.number not in found], there, claimed):
        person = there.person(person_id)
        assert person is not None
        found[one.number] = Target(None, gone[one.number]) if one.number in gone else Target(person)  # by faces alone it is asked
        claimed.add(person_id)
    for one in people:
        target = found.get(one.number)
        if target is None:
            several = len(groups[folded(one.name)]) > 1
            problem = gone.get(one.number) or (_same_name(one, groups[folded(one.name)]) if several else None)
            found[one.number] = Target(None, problem)
        elif target.person is not None and target.person.is_hidden:
            found[one.number] = Target(None, Cannot("hidden", "this person is hidden in Immich, and stays as they are there"))
    return found


def _unlike(one: Ours, person_id: str, person: PersonNow | None) -> tuple[bool, int, int]:
    """Sorts by how little of a person in Immich is somebody's: the name, then the faces."""
    return person is None or folded(person.name) != folded(one.name), -one.votes.get(person_id, 0), one.number


def _gone(one: Ours, there: There) -> Cannot:
    heirs = [(n, person) for person_id, n in one.votes.items() if (person := there.person(person_id)) is not None and person.name]
    who = max(heirs, key=lambda each: (each[0], each[1].person_id))[1].name if heirs else ""
    why = "the person who was published for them is not in Immich any more: deleted or merged there"
    if who:
        return Cannot(
            "gone", f"{why}; most of their faces are with {quoted(who)} now", 1,
            f"facesets name {one.set_name} {shlex.quote(who)}  takes that; publish --overrule {one.set_name} makes them anew",
        )  # fmt: skip
    return Cannot("gone", why, 1, f"publish --overrule {one.set_name}  makes them anew")


def _by_name(wanting: Sequence[Ours], group: Sequence[Ours], there: There, claimed: set[str], found: dict[int, Target]) -> None:
    """Give people of one name those of Immich who have it, the most faces in common first."""
    if not wanting:
        return
    there_too = [person for person in there.called(group[0].name) if person.person_id not in claimed]
    ranked = sorted(
        ((one.votes.get(person.person_id, 0), one, person) for one in wanting for person in there_too),
        key=lambda each: (-each[0], each[1].number, each[2].person_id),
    )
    for votes, one, person in ranked:
        if one.number in found or person.person_id in claimed:
            continue
        if votes == 0 and (len(group) > 1 or len(there_too) > 1):
            continue  # which of several it is cannot be told without a face in common
        found[one.number] = Target(person)
        claimed.add(person.person_id)
    for one in wanting:
        if one.number in found:
            continue
        if len(group) > 1:
            found[one.number] = Target(None, _same_name(one, group))
        elif there_too:
            why = f"{len(there_too)} people in Immich are called {quoted(one.name)}, and none of them has a face of this set"
            found[one.number] = Target(None, Cannot("several", why, 1, "merge or rename them in Immich"))


def _same_name(one: Ours, group: Sequence[Ours]) -> Cannot:
    others = [each.set_name for each in group if each.number != one.number]
    why = f"{listed(others)} {'is' if len(others) == 1 else 'are'} called {quoted(one.name)} too, and Immich is given no second one"
    return Cannot("same_name", why, 1, f"facesets merge {one.set_name} {others[0]}, or another name for one of them")


def _by_faces(people: Sequence[Ours], there: There, claimed: set[str]) -> list[tuple[Ours, str]]:
    """Pairs of whom most photos on both sides are the other's, the clearest first."""
    ranked = sorted(
        ((n, one, person_id) for one in people for person_id, n in one.votes.items()),
        key=lambda each: (-each[0], each[1].number, each[2]),
    )
    taken, used, pairs = set(claimed), set[int](), list[tuple[Ours, str]]()
    for n, one, person_id in ranked:
        if one.number in used or person_id in taken or n < _MOST * sum(one.votes.values()):
            continue
        person = there.person(person_id)
        share = _CLEARLY if person is not None and person.name else _MOST
        if person is None or n < share * sum(one.votes.values()) or n < share * max(there.photos(person_id), n):
            continue
        used.add(one.number)
        taken.add(person_id)
        pairs.append((one, person_id))
    return pairs


def giving_up(people: Sequence[Ours], targets: Mapping[int, Target], there: There, told: Told, overrule: Collection[int]) -> set[str]:
    """Ids of people in Immich who are to get another name, so that the one they have is free: two whose names were mixed up, say."""
    who = {one.number: person for one in people if (person := targets[one.number].person) and folded(person.name) != folded(one.name)}
    while True:
        ids = {person.person_id for person in who.values()}
        still = {
            one.number: who[one.number] for one in people if one.number in who
            and isinstance(name_of(one, who[one.number], there, told, ids, overrule=one.number in overrule), Write)
        }  # fmt: skip
        if len(still) == len(who):
            return ids
        who = still


def name_of(
    one: Ours, target: PersonNow, there: There, told: Told, given_up: Collection[str], *, overrule: bool
) -> Write | Cannot | None:
    """What is to be done about the target's name: the later word holds where it is known which that is, else it is asked.

    ``given_up``: ids of people whose name another one may have.
    """
    now = target.name
    if now == one.name:
        return None
    same = [each.person_id for each in there.called(one.name) if each.person_id != target.person_id]
    if others := [each for each in same if each not in given_up]:
        why = f"Immich has {count_of(len(others), 'other person')} called {quoted(one.name)}, and is given no second one"
        return Cannot("name_taken", why, 1, "merge the two in Immich, or give one another name")
    free = {"given_up_by": same} if same else {}
    write = Write(NAME, one.number, {"person": target.person_id, "name": one.name}, {"name": now, **free})
    before = told.names.get(target.person_id)
    if overrule or now == before or (not now and before is None) or (before is None and later(one.named_at, target.updated_at)):
        return write
    take = f"facesets name {one.set_name} {shlex.quote(now)}  takes it; " if now else ""
    advice = f"{take}publish --overrule {one.set_name} writes {quoted(one.name)} there"
    if before is None:
        return Cannot(
            "named_there", f"Immich calls them {quoted(now)}, and it is not known which of the two names is the later", 1, advice
        )
    said = f"Immich calls them {quoted(now)} now" if now else "their name was taken away in Immich"
    return Cannot("renamed_there", f"{said}; they were published as {quoted(before)}", 1, advice)


def later(ours: str | None, theirs: str) -> bool:
    """Whether a decision here was made after something was last changed there. False where a date says nothing."""
    try:
        return ours is not None and _moment(ours) > _moment(theirs)
    except ValueError:
        return False


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def votes_of(person_ids: Collection[tuple[str, str]]) -> dict[str, int]:
    """Person's id -> in how many photos, of ``(asset id, person's id)``."""
    return dict(Counter(person_id for _, person_id in set(person_ids)))
