"""Acts on whole sets: merge, split, extend, ignore, distinct."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesets.changes import names_used
from facesets.clustering import centroid
from facesets.errors import UsageError
from facesets.identity import set_name
from facesets.people import names, resolve, said
from facesets.people.deciding import decide
from facesets.people.faces_of_sets import free_name, join, pack_for
from facesets.people.outcome import Effects, Outcome
from facesets.people.resolve import KnownFace
from facesets.records import Centroid, Reason
from facesets.registry import Person, Registry, changes, decisions, measurements, people, sets
from facesets.wording import count_of, plural
from facesets.workspace import Workspace


def merge(workspace: Workspace, registry: Registry, one: str, into: str, *, name: str | None = None, dry_run: bool = False) -> Outcome:
    """The person of the set ``one`` is the one of ``into``: its faces become theirs, its number is retired and stays used.

    A face that was rejected from one of the two comes into neither. Raises NotFound; UsageError where both are the same, or have
    different names and no ``name`` says which holds.
    """
    old, new = resolve.person(registry, one), resolve.person(registry, into)
    if old.id == new.id:
        raise UsageError(f"{old.said} is {new.said}: there is nothing to merge")
    for each in (old, new):
        if not each.written and not changes.decided_on(registry, each.set_name):  # a run's plan may still be given up
            raise UsageError(f"{each.said} is planned and not written yet: facesets write")
    chosen = names.checked(name) if name is not None else None
    if chosen is None and old.name and new.name and old.name != new.name:
        raise UsageError(f"{old.said} and {new.said} have different names: say which holds with --name")
    chosen = chosen or new.name or old.name
    payload = {"set": old.number, "into": new.number, "name": chosen}
    theirs = decisions.faces_of(registry, old.id, [str(reason) for reason in Reason])
    members = sets.member_files(registry, old.set_name)
    of_new = decisions.faces_of(registry, new.id, [str(reason) for reason in Reason])
    both = {*theirs, *of_new, *(key for key, _, _ in (*members, *sets.member_files(registry, new.set_name)))}
    refused = both & said.of_neither(registry, old.number, new.number)
    joining = [key for key, _, _ in members if key not in refused]
    pack, others = pack_for(registry, new, joining)

    def do(effects: Effects) -> None:
        if (earlier := said.cannot_link(registry, old.number, new.number, effects.decision)) is not None:
            effects.notes.append(f"decision {earlier} said that they are two people; this later one holds")
        written = {fact.path: fact.sha256 for fact in sets.files(registry, old.set_name)}
        for key, _, file in members:
            sets.remove_member(registry, key)
            if file in written:
                effects.leaves(old.set_name, file)
                del written[file]
        people.hand_over(registry, old.id, new.id)
        join(registry, joining, new, effects, pack)
        for path, sha256 in sorted(written.items()):
            effects.leaves(old.set_name, path)
            if old.origin == "adopted":  # its owner's images are faces; of a set made here the rest is its description
                taken = path in names_used(registry, new.set_name)
                wanted = f"{old.set_name}_{path.replace('/', '_')}" if taken else path
                effects.comes(new.set_name, free_name(registry, new.set_name, wanted, effects), sha256)
        for key in sorted(refused):
            was = sets.remove_member(registry, key)
            if was is not None and was[0] == new.set_name:
                effects.leaves(*was)
            people.free(registry, key)
        people.set_standing(registry, old.id, "merged", merged_into=new.id)
        sets.set_retired(registry, old.set_name, retired=True)
        people.rename(registry, new.id, chosen)
        effects.touches(old.set_name)
        effects.touches(new.set_name)
        effects.sentences.append(
            f"{old.said} is part of {new.said} now, which has "
            f"{count_of(len(members) or len(written), 'more face')}; the number {old.number} is retired"
        )
        if chosen and chosen != new.name:
            effects.sentences.append(f"{new.set_name} is {chosen}")
        if refused:
            effects.notes.append(f"{count_of(len(refused), 'face', 'is')} in neither, rejected before")
        effects.changes["merged"] = {"set": old.set_name, "into_set": new.set_name, "name": chosen, "rejected_before": len(refused)}

    about = {*theirs, *refused, *others, *(key for key, _, _ in members)}
    return decide(workspace, registry, "merge", payload, do, people=(old.id, new.id), faces=sorted(about), dry_run=dry_run)


def split(
    workspace: Workspace, registry: Registry, one: str, faces: Sequence[str], *, name: str | None = None, dry_run: bool = False
) -> Outcome:
    """These members of the set ``one`` are another person, who gets the next number and, where given, a ``name``.

    Raises NotFound; UsageError where a face is no member, or nothing would be left.
    """
    old = resolve.person(registry, one)
    if old.origin == "adopted":
        raise UsageError(f"{old.said} is a set of your own images: make a folder of the next number with some, or facesets move")
    if not old.written:
        raise UsageError(f"{old.said} is planned and not written yet: facesets write")
    found = resolve.faces(workspace, registry, faces)
    inside = {key for key, _, _ in sets.member_files(registry, old.set_name)}
    keys = [ref.key for ref in found if isinstance(ref, KnownFace) and ref.key in inside]
    if strangers := len(found) - len(keys):
        raise UsageError(f"{count_of(strangers, 'face', 'is')} not in {old.said}; nothing was changed")
    if len(keys) == len(inside):
        raise UsageError(f"these are all faces of {old.said}: nothing would be left of it. To call it something else: facesets name")
    number = sets.highest_number(registry) + 1
    chosen = names.checked(name) if name is not None else None
    contents = decisions.content_keys(registry, keys)
    payload = {"set": old.number, "to": number, "faces": contents, "of": [old.number] * len(keys), "name": chosen}

    def do(effects: Effects) -> None:
        new = people.add(registry, set_name(number), number, old.pack, person_name=chosen)
        target = people.of_number(registry, number)
        assert target is not None
        for key in keys:
            was = sets.remove_member(registry, key)
            assert was is not None
            effects.leaves(*was)
        join(registry, keys, target, effects, old.pack)
        vectors = [seen.vector for key in sorted(keys) if (seen := decisions.seen(registry, key, old.pack)) is not None]
        sets.set_centroid(registry, old.pack, Centroid(target.set_name, centroid(np.stack(vectors)), len(vectors)))
        many = f"{count_of(len(keys), 'face')} of {old.said} {plural(len(keys), 'is')}"
        effects.sentences.append(f"{many} another person's: {target.said}")
        effects.changes |= {"split": {"set": old.set_name, "new_set": target.set_name, "faces": len(keys)}, "_people": [new]}

    return decide(workspace, registry, "split", payload, do, people=(old.id,), faces=keys, dry_run=dry_run)


def extend(workspace: Workspace, registry: Registry, one: str, *, dry_run: bool = False) -> Outcome:
    """The faces that runs recognised as this person become members of the set. Raises NotFound, UsageError where there is none."""
    person = resolve.person(registry, one)
    keys = decisions.faces_of(registry, person.id, [Reason.RECOGNISED])
    if not keys:
        raise UsageError(f"no face was recognised as {person.said} since; there is nothing to extend it with")
    return _extend(workspace, registry, person, keys, dry_run=dry_run)


def extend_as_ordered(workspace: Workspace, registry: Registry) -> list[Outcome]:
    """The standing order ``[sets] on_match = "extend"``: one decision a set. An extension that was undone is not made again."""
    taken_back = [
        key for made in decisions.select(registry) if made.act == "extend" and not made.stands for key in made.payload["faces"]
    ]
    undone = said.spoken_of(registry, taken_back, measurements.packs(registry)) if taken_back else frozenset()
    done = []
    for person in people.select(registry, standing=("active",)):
        if person.retired or not person.written:
            continue
        keys = decisions.faces_of(registry, person.id, [Reason.RECOGNISED])
        if wanted := [key for key in keys if key not in undone]:
            try:
                done.append(_extend(workspace, registry, person, wanted, dry_run=False))
            except UsageError as err:  # its faces cannot be ranked with the set's; the other sets are extended all the same
                done.append(Outcome("extend", None, (f"{person.said} was not extended: {err}",), {}))
    return done


def _extend(workspace: Workspace, registry: Registry, person: Person, keys: list[str], *, dry_run: bool) -> Outcome:
    payload = {"set": person.number, "faces": decisions.content_keys(registry, keys), "of": [person.number] * len(keys)}
    pack, others = pack_for(registry, person, keys)

    def do(effects: Effects) -> None:
        join(registry, keys, person, effects, pack)
        effects.sentences.append(f"{count_of(len(keys), 'recognised face', 'is')} in {person.said} now")
        effects.changes["extended"] = {"set": person.set_name, "faces": len(keys)}

    return decide(workspace, registry, "extend", payload, do, people=(person.id,), faces=[*keys, *others], dry_run=dry_run)


def ignore(workspace: Workspace, registry: Registry, one: str, *, dry_run: bool = False) -> Outcome:
    """This person is of no interest (a stranger, a statue, a poster): recognised from now on, and left alone. Raises NotFound."""
    person = resolve.person(registry, one)
    if person.standing == "ignored":
        return Outcome("ignore", None, (f"{person.said} is ignored already",), {}, dry_run=dry_run)

    def do(effects: Effects) -> None:
        people.set_standing(registry, person.id, "ignored")
        effects.sentences.append(f"{person.said} is ignored: its faces are still recognised, and nothing is suggested of it")
        effects.changes["ignored"] = {"set": person.set_name}

    return decide(workspace, registry, "ignore", {"set": person.number}, do, people=(person.id,), dry_run=dry_run)


def distinct(workspace: Workspace, registry: Registry, one: str, other: str, *, dry_run: bool = False) -> Outcome:
    """The two are two people, however alike they look: that they are one is not suggested again.

    Raises NotFound; UsageError where both are the same.
    """
    first, second = resolve.person(registry, one), resolve.person(registry, other)
    if first.id == second.id:
        raise UsageError(f"{first.said} is {second.said}: one person. To divide a set: facesets split")

    def do(effects: Effects) -> None:
        effects.sentences.append(f"{first.said} and {second.said} are two people; that they are one is not suggested again")
        effects.changes["distinct"] = {"sets": [first.set_name, second.set_name]}

    payload = {"set": first.number, "to": second.number}
    return decide(workspace, registry, "distinct", payload, do, people=(first.id, second.id), dry_run=dry_run)
