"""Acts on whole sets: merge, split, extend, ignore, distinct."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from facesets.changes import description_of, excluded_by_any, files_as_decided, names_used
from facesets.clustering import centroid, nearest_few
from facesets.errors import UsageError
from facesets.export import FACES
from facesets.files import is_face_image
from facesets.identity import set_name
from facesets.people import names, resolve, said
from facesets.people.deciding import decide
from facesets.people.faces_of_sets import free_name, join, named_in, pack_for, spoken
from facesets.people.outcome import Effects, Outcome
from facesets.people.resolve import KnownFace, PlainFile
from facesets.records import Centroid, Reason
from facesets.registry import Person, Registry, changes, decisions, gallery, measurements, own_images, people, sets
from facesets.thresholds import thresholds_of
from facesets.wording import count_of, folded, plural
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
    if chosen is None and old.name and new.name and folded(old.name) != folded(new.name):
        raise UsageError(f"{old.said} and {new.said} have different names: say which holds with --name")
    chosen = chosen or new.name or old.name
    payload = {"set": old.number, "into": new.number, "name": chosen}
    theirs = decisions.faces_of(registry, old.id, [str(reason) for reason in Reason])
    members, there = sets.member_files(registry, old.set_name), sets.member_files(registry, new.set_name)
    of_new = decisions.faces_of(registry, new.id, [str(reason) for reason in Reason])
    both = {*theirs, *of_new, *(key for key, _, _ in (*members, *there))}
    faces_of_neither, images_of_neither = said.of_neither(registry, old.number, new.number)
    refused = both & faces_of_neither
    joining = [key for key, _, _ in members if key not in refused]
    own = gallery.own_images(registry, [old.id, new.id])
    own_of_old, own_of_new = own.get(old.id, []), own.get(new.id, [])
    images = [path for path, sha256 in own_of_old if sha256 not in images_of_neither]
    left_out = len(refused) + len(images_of_neither & {sha256 for _, sha256 in (*own_of_old, *own_of_new)})
    if not (joining or images or {key for key, _, _ in there} - refused or {sha256 for _, sha256 in own_of_new} - images_of_neither):
        raise UsageError(f"nothing would be left of {new.said}: each face of the two was rejected from one of them")
    pack, others = pack_for(registry, new, joining)

    def do(effects: Effects) -> None:
        if (earlier := said.cannot_link(registry, old.number, new.number, effects.decision)) is not None:
            effects.notes.append(f"decision {earlier} said that they are two people; this later one holds")
        _take_over_files(registry, old, new, images_of_neither, effects)
        for key, _, _ in members:
            sets.remove_member(registry, key)
        people.hand_over(registry, old.id, new.id)
        join(registry, joining, new, effects, pack)
        for path in [path for path, sha256 in own_of_new if sha256 in images_of_neither]:
            effects.leaves(new.set_name, path)
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
            f"{count_of(len(joining) + len(images), 'more face')}; the number {old.number} is retired"
        )
        if chosen and chosen != new.name:
            effects.sentences.append(f"{new.set_name} is {chosen}")
        if left_out:
            effects.notes.append(f"{count_of(left_out, 'face', 'is')} in neither, rejected before")
        effects.changes["merged"] = {"set": old.set_name, "into_set": new.set_name, "name": chosen, "rejected_before": left_out}

    about = {*theirs, *refused, *others, *(key for key, _, _ in members)}
    return decide(workspace, registry, "merge", payload, do, people=(old.id, new.id), faces=sorted(about), dry_run=dry_run)


def _take_over_files(registry: Registry, old: Person, new: Person, of_neither: Collection[str], effects: Effects) -> None:
    """Files of a set go into another, but crops, which its faces bring, its description, and images ``of_neither`` (SHA-256)."""
    stay, used = description_of(old.origin), names_used(registry, new.set_name)
    stay.update(file for _, _, file in sets.member_files(registry, old.set_name) if file)
    for path, sha256 in sorted(files_as_decided(registry, old.set_name).items()):
        effects.leaves(old.set_name, path)
        if path not in stay and sha256 not in of_neither:
            effects.comes(new.set_name, free_name(_named(registry, path, old, new, used), used), sha256)


def _named(registry: Registry, path: str, old: Person, new: Person, used: Collection[str]) -> str:
    """What a file of a set is called in another: images lie where the other has them, and a name that is taken says whose it was."""
    folder, _, name = path.rpartition("/")
    if is_face_image(path) and folder in ("", FACES):
        path = named_in(registry, new, name)
    inside = f"{FACES}/" if path.startswith(f"{FACES}/") else ""
    return f"{inside}{old.set_name}_{path.removeprefix(inside).replace('/', '_')}" if path in used else path


def split(
    workspace: Workspace, registry: Registry, one: str, faces: Sequence[str], *, name: str | None = None, dry_run: bool = False
) -> Outcome:
    """These members of the set ``one`` are another person, who gets the next number and, where given, a ``name``.

    Images of the owner's own go along byte for byte; a set of them alone is one of that kind, known by what the next run sees in them.
    Raises NotFound; UsageError where a face is no member, or nothing would be left.
    """
    old = resolve.person(registry, one)
    if not old.written:
        raise UsageError(f"{old.said} is planned and not written yet: facesets write")
    found = resolve.faces(workspace, registry, faces)
    inside = {key for key, _, _ in sets.member_files(registry, old.set_name)}
    own = gallery.own_images(registry, [old.id]).get(old.id, [])
    keys = [ref.key for ref in found if isinstance(ref, KnownFace) and ref.key in inside]
    images = [ref for ref in found if isinstance(ref, PlainFile) and (ref.path, ref.sha256) in own and ref.set == old.set_name]
    if strangers := len(found) - len(keys) - len(images):
        raise UsageError(f"{count_of(strangers, 'face', 'is')} not in {old.said}; nothing was changed")
    if len(found) == len(inside) + len(own):
        raise UsageError(f"these are all faces of {old.said}: nothing would be left of it. To call it something else: facesets name")
    number = sets.highest_number(registry) + 1
    chosen = names.checked(name) if name is not None else None
    payload = {**spoken(registry, found, [old.number] * len(found)), "set": old.number, "to": number, "name": chosen}

    def do(effects: Effects) -> None:
        new = people.add(registry, set_name(number), number, old.pack, person_name=chosen, origin=old.origin if keys else "adopted")
        target = people.of_number(registry, number)
        assert target is not None
        for key in keys:
            was = sets.remove_member(registry, key)
            assert was is not None
            effects.leaves(*was)
        for ref in images:
            effects.leaves(old.set_name, ref.path)
            effects.comes(target.set_name, ref.path, ref.sha256)
        join(registry, keys, target, effects, old.pack)
        vectors = [seen.vector for key in sorted(keys) if (seen := decisions.seen(registry, key, old.pack)) is not None]
        if images and old.origin == "adopted":
            sets.forget_centroids(registry, old.set_name)  # of both, taken anew from what they hold
        elif keys:
            sets.set_centroid(registry, old.pack, Centroid(target.set_name, centroid(np.stack(vectors)), len(vectors)))
        many = f"{count_of(len(found), 'face')} of {old.said} {plural(len(found), 'is')}"
        effects.sentences.append(f"{many} another person's: {target.said}")
        effects.changes |= {"split": {"set": old.set_name, "new_set": target.set_name, "faces": len(found)}, "_people": [new]}

    return decide(workspace, registry, "split", payload, do, people=(old.id,), faces=keys, dry_run=dry_run)


def extend(workspace: Workspace, registry: Registry, one: str, *, dry_run: bool = False) -> Outcome:
    """The faces that runs recognised as this person become members of the set. Raises NotFound, UsageError where there is none."""
    person = resolve.person(registry, one)
    keys = decisions.faces_of(registry, person.id, [Reason.RECOGNISED])
    if not keys:
        raise UsageError(f"no face was recognised as {person.said} since; there is nothing to extend it with")
    out, shown = excluded_by_any(registry), shown_by_own_images(registry, person)
    if not (able := [key for key in keys if key not in out]):
        many = f"{count_of(len(keys), 'face')} that {plural(len(keys), 'was')} recognised as {person.said} cannot be of that person"
        raise UsageError(f"{many}, by a birth date or by what was decided since; the next run looks for whose: facesets run")
    if not (left := [key for key in able if key not in shown]):
        many = f"the {count_of(len(able), 'face')} that {plural(len(able), 'was')} recognised as {person.said}"
        raise UsageError(f"images of your own in the set show {many} already; there is nothing to extend it with")
    return _extend(
        workspace, registry, person, left, excluded=len(keys) - len(able), shown=len(able) - len(left), dry_run=dry_run
    )  # fmt: skip


def shown_by_own_images(registry: Registry, person: Person) -> set[str]:
    """Keys of recognised faces that an image shows which their owner has, or had, in the set: as near as a copy of the same exposure.

    Of a set that was there before, these are the very faces that its images were cut from.
    """
    found = set[str]()
    for pack, images in own_images.of_person(registry, person.id).items():
        keys, vectors = own_images.recognised(registry, person.id, pack)
        if keys:
            _, near = nearest_few(vectors, images, 1)
            found |= {key for key, (away,) in zip(keys, near, strict=True) if away <= thresholds_of(pack).near_duplicate}
    return found


def extend_as_ordered(workspace: Workspace, registry: Registry) -> list[Outcome]:
    """The standing order ``[sets] on_match = "extend"``: one decision a set. An extension that was undone is not made again."""
    taken_back = [
        key for made in decisions.select(registry) if made.act == "extend" and not made.stands for key in made.payload["faces"]
    ]
    undone = said.spoken_of(registry, taken_back, measurements.packs(registry)) if taken_back else frozenset()
    done, out = list[Outcome](), excluded_by_any(registry)
    for person in people.select(registry, standing=("active",)):
        if person.retired or not person.written:
            continue
        keys = [key for key in decisions.faces_of(registry, person.id, [Reason.RECOGNISED]) if key not in undone and key not in out]
        shown = shown_by_own_images(registry, person) if keys else set[str]()
        if wanted := [key for key in keys if key not in shown]:
            try:
                done.append(_extend(workspace, registry, person, wanted, dry_run=False))
            except UsageError as err:  # its faces cannot be ranked with the set's; the other sets are extended all the same
                done.append(Outcome("extend", None, (f"{person.said} was not extended: {err}",), {}))
    return done


def _extend(
    workspace: Workspace, registry: Registry, person: Person, keys: list[str], *, excluded: int = 0, shown: int = 0, dry_run: bool
) -> Outcome:  # fmt: skip
    payload = {"set": person.number, "faces": decisions.content_keys(registry, keys), "of": [person.number] * len(keys)}
    pack, others = pack_for(registry, person, keys)

    def do(effects: Effects) -> None:
        join(registry, keys, person, effects, pack)
        effects.sentences.append(f"{count_of(len(keys), 'recognised face', 'is')} in {person.said} now")
        for n, why in ((excluded, "which by a birth date or by what was decided since cannot be of that person"),
                       (shown, f"which {plural(shown, 'is')} on images of your own in the set already")):  # fmt: skip
            if n:
                effects.notes.append(f"{count_of(n, 'recognised face', 'is')} left out, {why}")
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
