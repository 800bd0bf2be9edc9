"""Acts on faces: reject, move, confirm, best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facesets.changes import names_used
from facesets.errors import UsageError
from facesets.export import FACES
from facesets.people import resolve, said
from facesets.people.deciding import decide
from facesets.people.outcome import Effects, Outcome
from facesets.people.resolve import KnownFace, PlainFile
from facesets.records import Reason
from facesets.registry import Person, Registry, decisions, gallery, people, published, sets
from facesets.wording import count_of
from facesets.workspace import Workspace

_OFFERED = (Reason.RECOGNISED, Reason.LIKELY)


def reject(workspace: Workspace, registry: Registry, faces: Sequence[str], *, dry_run: bool = False) -> Outcome:
    """These faces are not of the person they are given to: kept for ever, no run or merge gives them back.

    A rejected face is nobody's until the next run, which may find whose it is. Raises NotFound, UsageError where a face is nobody's.
    """
    found = resolve.faces(workspace, registry, faces)
    owners = _owners(registry, found)
    payload = spoken(registry, found, [owners[ref].number for ref in found])

    def do(effects: Effects) -> None:
        for ref in found:
            _leave(registry, ref, owners[ref], effects)
            if isinstance(ref, KnownFace):
                people.free(registry, ref.key)
        _has_some_left(registry, owners, effects)
        for owner in _each(owners[ref] for ref in found):
            n = sum(owners[ref] == owner for ref in found)
            effects.sentences.append(f"{count_of(n, 'face', 'is')} not of {owner.said}, and will not be given to it again")
        effects.changes["rejected"] = {owner.set_name: sum(owners[r] == owner for r in found) for owner in _each(owners.values())}
        for owner in _each(owners.values()):
            effects.notes += said.contradicted(registry, _spoken_of(payload, owner), effects.decision, not_person=owner.number)

    return decide(
        workspace, registry, "reject", payload, do,
        people={owner.id for owner in owners.values()}, faces=_keys(found), dry_run=dry_run,
    )  # fmt: skip


def move(workspace: Workspace, registry: Registry, faces: Sequence[str], to: str, *, dry_run: bool = False) -> Outcome:
    """These faces are of the person ``to``, and of nobody else. Raises NotFound, UsageError."""
    target = resolve.person(registry, to)
    found = resolve.faces(workspace, registry, faces)
    owners = _owners(registry, found, needed=False)
    if stay := [ref for ref in found if owners[ref] == target and (isinstance(ref, PlainFile) or ref.standing == Reason.MEMBER)]:
        raise UsageError(f"{count_of(len(stay), 'face', 'is')} in {target.said} already; nothing was changed")
    of = [None if (owner := owners[ref]) is None or owner == target else owner.number for ref in found]
    payload = {**spoken(registry, found, of), "to": target.number}
    pack, others = pack_for(registry, target, _keys(found))

    def do(effects: Effects) -> None:
        joining, used = list[str](), names_used(registry, target.set_name)
        effects.notes += said.contradicted(registry, payload["faces"], effects.decision, person=target.number)
        for ref in found:
            if (owner := owners[ref]) is not None:
                _leave(registry, ref, owner, effects)
            if isinstance(ref, KnownFace):
                joining.append(ref.key)
            else:
                effects.comes(target.set_name, free_name(named_in(registry, target, ref.path), used), ref.sha256)
        _has_some_left(registry, owners, effects)
        if joining:
            join(registry, joining, target, effects, pack)
        effects.sentences.append(f"{count_of(len(found), 'face', 'is')} of {target.said} now")
        effects.changes["moved"] = {"to_set": target.set_name, "faces": len(found)}

    touched = {target.id, *(owner.id for owner in owners.values() if owner)}
    faces = [*_keys(found), *others]
    return decide(workspace, registry, "move", payload, do, people=touched, faces=faces, dry_run=dry_run)


def confirm(workspace: Workspace, registry: Registry, what: Sequence[str], *, dry_run: bool = False) -> Outcome:
    """These faces, or all members of a set, were looked at and are right. A likely face becomes a recognised one of that person.

    Raises NotFound, UsageError where a face is nobody's.
    """
    found: list[resolve.FaceRef] = []
    for text in what or [""]:
        is_set = people.of_set(registry, text) is not None or not _is_face(registry, text)
        whole = resolve.person(registry, text) if is_set else None
        if whole is None:
            found += resolve.faces(workspace, registry, [text])
            continue
        keys = decisions.faces_of(registry, whole.id, [Reason.MEMBER])
        found += [KnownFace(key, Reason.MEMBER, whole.id) for key in keys]
        own = gallery.own_images(registry, [whole.id]).get(whole.id, [])
        found += [PlainFile(whole.set_name, path, sha256) for path, sha256 in own]
    found = list(dict.fromkeys(found))
    owners = _owners(registry, found)
    payload = spoken(registry, found, [owners[ref].number for ref in found])

    def do(effects: Effects) -> None:
        for ref in found:
            if isinstance(ref, KnownFace) and ref.standing == Reason.LIKELY:
                people.give(registry, ref.key, owners[ref].id, Reason.RECOGNISED)
        for owner in _each(owners.values()):
            n = sum(owners[ref] == owner for ref in found)
            effects.sentences.append(f"{count_of(n, 'face')} of {owner.said} confirmed")
            effects.changes.setdefault("confirmed", {})[owner.set_name] = n
            effects.notes += said.contradicted(registry, _spoken_of(payload, owner), effects.decision, person=owner.number)

    offered = [ref.key for ref in found if isinstance(ref, KnownFace) and ref.standing in _OFFERED]
    return decide(workspace, registry, "confirm", payload, do, people=(), faces=offered, dry_run=dry_run)


def best(workspace: Workspace, registry: Registry, face: str, *, dry_run: bool = False) -> Outcome:
    """This face is the one that its person is shown by; no file changes. Raises NotFound, UsageError where it is nobody's."""
    found = resolve.faces(workspace, registry, [face])[:1]
    owner = _owners(registry, found)[found[0]]

    def do(effects: Effects) -> None:
        effects.sentences.append(f"{owner.said} is shown by this face now")
        effects.changes["best"] = {"set": owner.set_name, "face_id": face}

    payload = {**spoken(registry, found, [owner.number]), "set": owner.number}
    return decide(workspace, registry, "best", payload, do, people=(), dry_run=dry_run)


def pack_for(registry: Registry, target: Person, keys: Sequence[str]) -> tuple[str, list[str]]:
    """By whose measure a set's faces are ranked once these join them, and the members whose rows that changes.

    The pack that it was made with, or another that has measured them all. Raises UsageError where there is none.
    """
    packs = [target.pack] if target.origin == "adopted" else decisions.packs_of(registry, keys, target.set_name)
    if target.pack in packs:
        return target.pack, []
    if packs:
        return packs[-1], [key for key, _, _ in sets.member_files(registry, target.set_name)]
    lacks = next(key for key, (_, by) in decisions.measured_by(registry, keys, target.pack).items() if by != target.pack)
    raise UsageError(
        f"{target.said} was made with {target.pack}, which has not measured face {lacks[:12]}, and no pack has measured both: "
        f"facesets run --pack {target.pack.partition('@')[0]}  measures it, and then its faces can be ranked together"
    )


def join(registry: Registry, keys: Sequence[str], target: Person, effects: Effects, pack: str) -> None:
    """Faces become members of a set; their crops are brought when the folder follows. ``pack``: see :func:`pack_for`."""
    if pack != target.pack:
        sets.change_pack(registry, target.set_name, pack)
        effects.notes.append(f"the faces of {target.said} are ranked by {pack} from now on, which has measured all of them")
    measured = decisions.measured_by(registry, keys, pack)
    people.give_all(registry, keys, target.id, Reason.MEMBER)
    sets.add_all_members(registry, target.set_name, [measured[key][0] for key in keys])
    effects.touches(target.set_name)


def _leave(registry: Registry, ref: resolve.FaceRef, owner: Person, effects: Effects) -> None:
    if isinstance(ref, PlainFile):
        effects.leaves(ref.set, ref.path)
    elif (was := sets.remove_member(registry, ref.key)) is not None:
        effects.leaves(was[0], was[1])
    elif ref.standing == Reason.MEMBER:
        raise UsageError(f"face {ref.key[:12]} is a member of {owner.said}, whose folder does not have it: facesets verify")


def _owners(registry: Registry, found: Sequence[resolve.FaceRef], *, needed: bool = True) -> dict[resolve.FaceRef, Any]:
    """Whose each face is; None of nobody's, which is a UsageError where an owner is ``needed``."""
    known: dict[str | int | None, Person | None] = {None: None}
    owners: dict[resolve.FaceRef, Any] = {}
    for ref in found:
        who = ref.set if isinstance(ref, PlainFile) else ref.person
        if who not in known:
            known[who] = people.of_set(registry, who) if isinstance(who, str) else people.of_id(registry, who)
        owners[ref] = known[who]
        if owners[ref] is None and needed:
            assert isinstance(ref, KnownFace)
            raise UsageError(f"face {ref.key[:12]} is nobody's ({ref.standing}), so there is nothing to say of it but: facesets move")
    return owners


def _has_some_left(registry: Registry, owners: Mapping[resolve.FaceRef, Person | None], effects: Effects) -> None:
    """Raises UsageError where a set lost its last face."""
    for owner in _each(o for ref, o in owners.items() if o and (isinstance(ref, PlainFile) or ref.standing == Reason.MEMBER)):
        if not sets.is_empty(registry, owner.set_name):
            continue
        own = {path for path, _ in gallery.own_images(registry, [owner.id]).get(owner.id, ())}
        if own <= {*effects.out.get(owner.set_name, ())}:
            raise UsageError(
                f"nothing would be left of {owner.said}. If it is somebody else's: facesets merge {owner.set_name} SET; if it is of "
                f"no interest: facesets ignore {owner.set_name}"
            )


def named_in(registry: Registry, target: Person, path: str) -> str:
    """A file's name in another set: where the owner's images lie there."""
    there = sets.files(registry, target.set_name)
    folder = f"{FACES}/" if target.origin == "made" or any(fact.path.startswith(f"{FACES}/") for fact in there) else ""
    return folder + path.rpartition("/")[2]


def free_name(path: str, used: set[str]) -> str:
    """``path``, or one like it that is not ``used``; it is from now on."""
    stem, dot, suffix = path.rpartition(".")
    n, free = 1, path
    while free in used:
        n += 1
        free = f"{stem}-{n}{dot}{suffix}"
    used.add(free)
    return free


def spoken(registry: Registry, found: Sequence[resolve.FaceRef], of: Sequence[int | None]) -> dict[str, Any]:
    """Faces by content key (an owner's image by its own hash), each with the number of whom it is, or is not, of.

    Where they were published also ``immich``: the people there whose they were said to be, so that it is known what this is said of.
    """
    known = {ref.key: None for ref in found if isinstance(ref, KnownFace)}
    keys = dict(zip(known, decisions.content_keys(registry, known), strict=True))
    listed = [
        keys[ref.key] if isinstance(ref, KnownFace) else {"photo": ref.sha256, "box": [], "set": ref.set, "file": ref.path}
        for ref in found
    ]
    there = published.people_of_published(registry, known)
    return {"faces": listed, "of": list(of), **({} if there is None else {"immich": there})}


def _spoken_of(payload: Mapping[str, Any], owner: Person) -> list[Mapping[str, Any]]:
    """The faces, by content key, of which it is said whether they are of this person."""
    return [key for key, number in zip(payload["faces"], payload["of"], strict=True) if number == owner.number]


def _keys(found: Sequence[resolve.FaceRef]) -> list[str]:
    return [ref.key for ref in found if isinstance(ref, KnownFace)]


def _each(owners: Any) -> list[Person]:
    return sorted({owner.id: owner for owner in owners}.values(), key=lambda owner: owner.number)


def _is_face(registry: Registry, text: str) -> bool:
    return "/" in text or bool(decisions.keys_like(registry, text))
