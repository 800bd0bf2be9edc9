"""Undo: a decision is taken back, its rows and files are as before it; refused where a later decision stands on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from facesets.changes import NOT_CARRIED, follow, is_as_recorded, put_back_record, standing
from facesets.errors import NotFound, Refused, UsageError
from facesets.identity import WhatStands, face_key
from facesets.people.accept import ACCEPT, in_manifest
from facesets.people.deciding import decide
from facesets.people.outcome import Effects, Outcome
from facesets.registry import Change, Made, Registry, changes, decisions, exports, lost, people, published, rows, sets
from facesets.wording import count_of, plural
from facesets.workspace import Workspace

UNDO = "undo"
_ACT = "act"
#: A row by its table and key, a number that was given, whose a face is, into whose set a face or a file comes back, or a set's file.
Fact = tuple[str, str]
_RETIRED = 4  # the column of a set's row in a difference
# what says the opposite of a decision of which a registry that was brought back knows too little; the others need no rows of faces
_OPPOSITE = {
    "extend": "facesets move FACE... --to SET, or facesets reject FACE...",
    "reject": "facesets move FACE... --to SET",
    "move": "facesets move FACE... --to SET",
    "split": "facesets merge SET INTO",
    "merge": "facesets split SET FACE...",
    "accept": "change the folder as it is to be, then facesets accept SET",
    UNDO: "say the decision again",
}


def undo(workspace: Workspace, registry: Registry, decision: int | None = None, *, dry_run: bool = False) -> Outcome:
    """Take decision number ``decision`` back (None: the last one that stands and is no undo itself). An undo can be undone.

    The sets' folders get back the bytes they had. Numbers that were given stay used; what runs decided meanwhile stays.
    Raises NotFound; UsageError where it was taken back already; Refused where a later decision stands on it, naming that.
    """
    made = to_undo(registry, decision)
    acts = changes.of_decisions(registry, made.id, decisions.select(registry)[-1].id, _ACT)
    inverse = _what_it_changed(registry, made, acts)
    recorded, here = inverse.get("recorded"), inverse.get("carried", True)
    into = people.of_number(registry, made.payload["set"]) if "set" in made.payload else None

    now = _names_now(registry, made, acts, inverse["folders"])

    def do(effects: Effects) -> rows.Difference:
        files = {name: dict(sets.files_by_measurement(registry, name)) for name in now.values()}
        # a face that goes by another pack's measure again keeps its file
        back = {
            (key.partition(":")[0], before[2]) for table, key, before, _ in inverse["difference"] if table == "set_faces" and before
        }
        ids = sets.ids(registry)
        for table, key, before, _ in inverse["difference"]:
            if table != "set_faces":
                continue
            set_id, measurement = map(int, key.split(":"))
            name = ids.get(set_id, "")
            path = files.get(name, {}).get(measurement)
            if before is None and path is not None and (str(set_id), path) not in back:
                effects.leaves(name, path)
        stood = standing(registry)
        done = rows.put_back(registry, inverse["difference"], into.id if into else None)
        held = len(done)
        put_back = {(table, key) for table, key, _, _ in done}
        elsewhere = {  # crops of faces that a run has given to others meanwhile
            (ids.get(int(key.partition(":")[0])), before[2]) for table, key, before, _ in inverse["difference"]
            if table == "set_faces" and before and (table, key) not in put_back
        }  # fmt: skip
        whose = {after[0] for table, _, _, after in done if table == "memberships" and after and after[0] is not None}
        done = rows.one_after_the_other(done, lost.lose_photos(registry, whose))
        if recorded:
            effects.recorded = put_back_record(registry, recorded)
        for was, name in now.items():
            effects.touches(name)
            for path in inverse["in"].get(was, ()):
                effects.leaves(name, path)
            for path, sha256 in inverse["out"].get(was, {}).items():
                if (name, path) not in elsewhere:
                    effects.comes(name, path, sha256)
        decisions.take_back(registry, made.id, effects.decision)
        effects.sentences += [f"taken back: {sentence}" for sentence in inverse["sentences"] or [f"decision {made.id} ({made.act})"]]
        if kept := len(inverse["difference"]) - held:
            effects.notes.append(
                f"{count_of(kept, 'fact')} {plural(kept, 'has')} changed since by other decisions or runs, "
                f"and {'stays' if kept == 1 else 'stay'}"
            )
        effects.changes |= {"undone": made.id, "act": made.act}
        return done if here else [*done, *_followed(registry, stood)]

    outcome = decide(workspace, registry, UNDO, {"decision": made.id}, do, people=(), dry_run=dry_run)
    if recorded and outcome.decision is not None:
        in_manifest(workspace, registry, recorded["person"], recorded["name"][1])
    return outcome


def _what_it_changed(registry: Registry, made: Made, acts: Mapping[int, Change]) -> Mapping[str, Any]:
    """What takes a decision back. Raises UsageError, Refused, as :func:`undo`."""
    if made.undone_by is not None:
        raise UsageError(f"decision {made.id} ({made.act}) was taken back already, by {made.undone_by}: facesets undo {made.undone_by}")
    if made.act == published.PUBLISH:
        raise Refused(f"decision {made.id} (publish) is taken back in Immich: facesets undo {made.id}, or facesets.publish.undo")
    if made.act in (exports.CONSENT, exports.WITHDRAW):
        person = people.of_number(registry, made.payload["person"])
        how = "--withdraw" if made.act == exports.CONSENT else "--by YOUR-NAME --adult"
        raise Refused(
            f"decision {made.id} ({made.act}) stays in the history; what it said is changed by: "
            f"facesets consent {person.set_name if person else 'SET'} {how}"
        )
    change = acts.get(made.id)
    if change is None and changes.of_decision(registry, made.id, published.PUBLISH) is not None:
        raise Refused(f"decision {made.id} took a publish back; to write it again: facesets publish")
    if change is None:
        more = ". Change the folder as it is to be, then: facesets accept SET" if made.act == ACCEPT else ""
        raise Refused(f"decision {made.id} ({made.act}) cannot be taken back: what was there before it is not kept{more}")
    inverse = change.inverse
    recorded, here = inverse.get("recorded"), inverse.get("carried", True)
    if not here and made.act in _OPPOSITE:
        raise Refused(
            f"decision {made.id} ({made.act}) cannot be taken back: {NOT_CARRIED}. The opposite can be said: {_OPPOSITE[made.act]}"
        )
    if later := _stands_on(registry, made, acts):
        raise Refused(
            f"decision {made.id} ({made.act}) cannot be taken back while decision {later.id} ({later.act}) stands on it: "
            f"facesets undo {later.id}  first"
        )
    if recorded and not is_as_recorded(registry, recorded):
        raise Refused(
            f"decision {made.id} ({made.act}) cannot be taken back: the folder of {recorded['name'][1]} was written anew or accepted "
            "again since. Take back what came later, or change the folder as it is to be, then: facesets accept "
            f"{recorded['name'][1]}"
        )
    return inverse


def _names_now(registry: Registry, made: Made, acts: Mapping[int, Change], names: Sequence[str]) -> dict[str, str]:
    """What each folder that a decision was about is called by now: its owner may have renamed it since."""
    now = {name: name for name in names}
    for _, change in sorted((number, change) for number, change in acts.items() if number > made.id):
        before, after = change.inverse.get("recorded", {}).get("name", ("", ""))
        now = {was: after if name == before else name for was, name in now.items()}
    return {was: name for was, name in now.items() if people.of_set(registry, name) is not None}  # a restored registry may know none


def _followed(registry: Registry, before: WhatStands) -> rows.Difference:
    """Names and who is ignored, by what stands now: of a decision whose rows are not known."""
    after = standing(registry)
    about = before.names.keys() | after.names.keys() | before.ignored | after.ignored
    found = [person.id for number in about if (person := people.of_number(registry, number)) is not None]
    were = rows.take_down(registry, found, ())
    follow(registry, before, after)
    return rows.difference(were, rows.take_down(registry, found, ()))


def to_undo(registry: Registry, decision: int | None) -> Made:
    """The decision that an undo is about: the one with this number, or the last that stands, is no undo and, if any, can be taken back.

    Raises NotFound.
    """
    if decision is None:
        stand = [made for made in reversed(decisions.select(registry)) if made.stands and made.act != UNDO]
        if not stand:
            raise NotFound("nothing was decided here that could be taken back")
        return next((made for made in stand if _can_go(registry, made)), stand[0])  # of the last one the words say what to do instead
    found = decisions.find(registry, decision)
    if found is None:
        raise NotFound(f"there is no decision {decision}; facesets history  lists them")
    return found


def _can_go(registry: Registry, made: Made) -> bool:
    """Whether what was there before a decision is kept."""
    if made.act == published.PUBLISH:
        return True
    change = changes.of_decision(registry, made.id, _ACT)
    return change is not None and (change.inverse.get("carried", True) or made.act not in _OPPOSITE)


def standing_on(registry: Registry, first: int, last: int) -> dict[int, int]:
    """Of the decisions from ``first`` to ``last`` that stand: on which of them a later one stands, and which. What an undo refuses."""
    all_ = decisions.select(registry)
    known = changes.of_decisions(registry, first, all_[-1].id, _ACT) if all_ else {}
    numbers = _numbers(registry, known.values())
    leans = {made.id: _leans_on(made, known[made.id], numbers) for made in all_ if made.id in known}
    found = {}
    for made in all_:
        if first <= made.id <= last and made.stands and made.id in known:
            later = _later(all_, made, _gave(registry, made, known[made.id], numbers), lambda number: leans.get(number, set()))
            if later is not None:
                found[made.id] = later.id
    return found


def _stands_on(registry: Registry, made: Made, acts: Mapping[int, Change]) -> Made | None:
    """The last decision after this one that stands and leans on what this one gave."""
    all_ = decisions.select(registry)
    by_number, numbers = {each.id: each for each in all_}, _numbers(registry, acts.values())

    def of(number: int) -> set[Fact]:
        return _leans_on(by_number[number], acts[number], numbers) if number in acts else set()

    return _later(all_, made, _gave(registry, made, acts[made.id], numbers), of)


def _numbers(registry: Registry, acts: Iterable[Change]) -> dict[str, int]:
    """Every name that sets have, or had before one of these acts, with their numbers."""
    renamed = {name: said["person"] for act in acts if (said := act.inverse.get("recorded")) for name in said["name"]}
    return renamed | {person.set_name: person.number for person in people.select(registry)}


def _gave(registry: Registry, made: Made, change: Change, numbers: Mapping[str, int]) -> set[Fact]:
    """The rows that a decision is about, the numbers that it gave, whose it said, or made, faces to be, and files that it brought."""
    recorded = change.inverse.get("recorded") or {"files": ()}
    brought = _files(change.inverse["in"], numbers)
    brought += [(recorded["person"], path, now[1]) for path, was, now in recorded["files"] if now is not None and now != was]
    difference = change.inverse["difference"]
    found: set[Fact] = {*rows.touched(difference)}
    found |= {("number", str(after[0])) for table, _, before, after in difference if table == "people" and before is None and after}
    owners = {before[0] for table, _, before, _ in difference if table == "memberships" and before and before[0] is not None}
    owners |= {person.id for name in change.inverse["out"] if (person := people.of_set(registry, name)) is not None}
    found |= {("into", str(owner)) for owner in owners}
    if made.act in ("move", "split"):
        found |= {_whose(key, made.payload["to"]) for key in made.payload["faces"]}
    elif made.act == "merge":
        one = people.of_number(registry, made.payload["into"])
        joined = [
            int(key) for table, key, before, after in difference
            if table == "memberships" and one and before and after and before[0] != after[0] == one.id
        ]  # fmt: skip
        found |= {_whose(key, made.payload["into"]) for key in decisions.content_of_faces(registry, joined)}
    for number, path, sha256 in brought:
        found |= {("file", f"{number} {path}"), _image(sha256, number)}
    return found


def _leans_on(made: Made, change: Change, numbers: Mapping[str, int]) -> set[Fact]:
    """The rows that a decision is about, the numbers of people of whom it speaks, and whose it says, or took it, that faces and files
    are.
    """
    said = made.payload
    found: set[Fact] = {*rows.touched(change.inverse["difference"])}
    spoken_of = [said.get("set"), said.get("to"), said.get("into"), *said.get("sets", ()), *said.get("of", ()), *said.get("names", ())]
    found |= {("number", str(number)) for number in spoken_of if number is not None}
    retired = [
        after[0] for table, _, before, after in change.inverse["difference"]
        if table == "sets" and before and after and not before[_RETIRED] and after[_RETIRED]
    ]  # fmt: skip
    found |= {("into", str(person)) for person in retired}  # nothing can be given back into a set that is gone
    for number, path, sha256 in _files(change.inverse["out"], numbers):
        found |= {("file", f"{number} {path}"), _image(sha256, number)}
    if made.act in ("confirm", "best"):
        found |= {_whose(key, number) for key, number in zip(said["faces"], said["of"], strict=True)}
    return found


def _files(of_sets: Mapping[str, Mapping[str, str]], numbers: Mapping[str, int]) -> list[tuple[int, str, str]]:
    """Number of a person, path and SHA-256 of files that came into sets, or went from them."""
    return [(numbers[name], *file) for name, files in of_sets.items() if name in numbers for file in files.items()]


def _image(sha256: str, number: int) -> Fact:
    """An owner's image is a face that no row is about."""
    return _whose({"photo": sha256, "box": []}, number)


def _whose(key: Mapping[str, Any], number: int) -> Fact:
    return "face", f"{face_key(key)} {number}"


def _later(all_: Sequence[Made], made: Made, gave: set[Fact], leans_on: Callable[[int], set[Fact]]) -> Made | None:
    for later in reversed(all_):
        if later.id <= made.id:
            return None
        pair = later.undoes is not None and later.undoes > made.id  # it and what it took back come to nothing
        if not later.stands or pair or later.undoes == made.id:
            continue
        if gave & leans_on(later.id):
            return later
    return None
