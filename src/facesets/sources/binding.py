"""Sources room: whose key is this, and whose photos are these? A label belongs to one user id, for good."""

from __future__ import annotations

import re
from pathlib import Path

from facesets.errors import Refused, UsageError, UserMismatch
from facesets.immich import Client, server
from facesets.progress import Progress
from facesets.records import User
from facesets.registry import Registry, assets, photos, rebinding
from facesets.settings import LABEL, Settings
from facesets.sources.folder import shown
from facesets.sources.immich import ImmichSource
from facesets.wording import count_of, plural

_FOLDER = "folder:"
_SAME_LIBRARY = 0.5  # share of the known photos that must be there again; a family shares fewer


def bind(label: str, settings: Settings, registry: Registry, client: Client, progress: Progress, *, new_server: bool = False) -> User:
    """The user that ``label`` stands for, which must be the key's owner; an unknown label is bound to that owner, and this is said.

    ``new_server``: where the owner has another id, and the photos that are known here, the server was set up anew: then what is known
    goes over. Raises UserMismatch (names both and says what to do), Refused (hardly any of the photos), WrongKey, MissingPermission.
    """
    _check_label(label)
    owner = server.whoami(client)
    known = {user.label: user for user in assets.users(registry)}
    before = known[label].user_id if label in known else None
    set_to = settings.users.get(label)
    renewed = before is not None and before != owner.user_id and set_to in (None, before, owner.user_id)
    if renewed and is_anew(client, known[label]):
        return _renewed(known, known[label], owner, set_to, registry, client, progress, accepted=new_server)
    for user_id, where in ((set_to, "facesets.toml"), (before, "this workspace")):
        if user_id is not None and user_id != owner.user_id:
            raise UserMismatch(_other_owner(label, user_id, where, owner, client, known))
    _check_one_label(label, owner, client, known)
    if label not in settings.users and label not in known:
        progress.note(f"User {label!r} is from now on {owner.name!r} ({owner.user_id}), the owner of the {client.credential}.")
    return _remember(registry, User(label, owner.user_id, owner.name))


def is_anew(client: Client, before: User) -> bool:
    """Whether a user may have another id since the server was set up anew: it does not know the one of before."""
    return not before.user_id.startswith(_FOLDER) and not server.name_of(client, before.user_id)


def _renewed(
    known: dict[str, User],
    before: User,
    owner: server.Person,
    set_to: str | None,
    registry: Registry,
    client: Client,
    progress: Progress,
    *,
    accepted: bool,
) -> User:
    """The user under the new id, where most of the photos are there again and this was ``accepted``. Raises UserMismatch, Refused."""
    label, now = before.label, User(before.label, owner.user_id, owner.name)
    _check_one_label(label, owner, client, known)
    mismatch = _other_owner(label, before.user_id, "this workspace", owner, client, known)
    matches = rebinding.match(registry, before, ImmichSource(client, now).listing(progress), owner.user_id)
    were, again = matches.share()
    said = f"{again:,} of the {count_of(were, 'photo')} known here {plural(again, 'is')} in the library of {owner.name!r}"
    if not again or again < were * _SAME_LIBRARY:
        if accepted:
            raise Refused(f"{mismatch}. Only {said}, so nothing was carried over: it is another library, or not all of it is there yet")
        raise UserMismatch(f"{mismatch}. ({said}.)" if again else mismatch)
    if not accepted:
        raise UserMismatch(
            f"user {label!r} is {before.user_id} in this workspace, whom this server does not know, and {whose_it_is(client, owner)}. "
            f"But {said}: was the server set up anew? Then: facesets run --user {label} --new-server. Faces, sets and decisions "
            f"carry over by the photos' content. If it is somebody else's library, give {label!r} {_own(client, label)}"
        )
    if set_to == before.user_id:
        raise UserMismatch(f'facesets.toml still has the old id: under [users] write {label} = "{owner.user_id}", and run this again')
    rebinding.rebind(registry, before, now, matches.found)
    progress.note(
        f"User {label!r} is from now on {owner.name!r} ({owner.user_id}) on the server that was set up anew; {said}, and what is known "
        "of them stays."
    )
    return now


def bind_folder(label: str, root: Path, settings: Settings, registry: Registry, progress: Progress) -> User:
    """The user that ``label`` stands for as the owner of a plain folder. Raises UserMismatch where it is somebody or something else.

    A folder that moved keeps its photos' identity: they are known by their paths inside it.
    """
    _check_label(label)
    if not root.is_dir():
        raise UsageError(f"{shown(root)} is not a folder")
    owner_id, fact = f"{_FOLDER}{label}", f"{_FOLDER}{label}"
    known = {user.label: user.user_id for user in assets.users(registry)}
    bound = settings.users.get(label) or known.get(label)
    if bound not in (None, owner_id):
        raise UserMismatch(f"user {label!r} is {bound} on the Immich server, not a folder. Give the folder a --user of its own.")
    here, before = shown(root.resolve()), registry.fact(fact)
    if before not in (None, here):
        assert before is not None
        if Path(before).is_dir():
            raise UserMismatch(f"user {label!r} stands for the folder {before}, not {here}. Give this folder a --user of its own.")
        progress.note(f"The folder of user {label!r} has moved: {before} is now {here}.")
    with registry.transaction():
        registry.set_fact(fact, here)
        if before not in (None, here):
            photos.move_folder(registry, str(before), here)
    return _remember(registry, User(label, owner_id, shown(root.resolve().name)))


def folder_of(registry: Registry, label: str) -> Path | None:
    """The folder that a label stands for; None where it is a user of the server."""
    folder = registry.fact(f"{_FOLDER}{label}")
    return None if folder is None else Path(folder)


def _remember(registry: Registry, user: User) -> User:
    with registry.transaction():
        assets.bind_user(registry, user)
    return user


def _check_one_label(label: str, owner: server.Person, client: Client, known: dict[str, User]) -> None:
    for other in known.values():
        if other.user_id == owner.user_id and other.label != label:
            raise UserMismatch(
                f"{whose_it_is(client, owner)}, who is user {other.label!r} in this workspace. "
                f"Use --user {other.label}, or give {label!r} {_own(client, label)}"
            )


def _check_label(label: str) -> None:
    if not LABEL.fullmatch(label):
        raise UsageError(f"{label!r} is not a user label: 1 to 64 of a-z, 0-9, - and _ (it names files)")


def _other_owner(label: str, user_id: str, where: str, owner: server.Person, client: Client, known: dict[str, User]) -> str:
    name = server.name_of(client, user_id) or next((u.name for u in known.values() if u.user_id == user_id), "")
    whose = f"{name!r} ({user_id})" if name else user_id
    return (
        f"user {label!r} is {whose} in {where}, but {whose_it_is(client, owner)}. "
        f"Immich shows everybody their own photos only, so give {label!r} {_own(client, label)}"
    )


def whose_it_is(client: Client, owner: server.Person) -> str:
    """Whose key or login a client has, in words."""
    return f"the {client.credential} belongs to {owner.name!r} ({owner.user_id})"


def _own(client: Client, label: str) -> str:
    if client.credential == "login":
        return f"a login of their own: facesets login --user {label}"
    return f"a key of their own: export {_variable(label)}=..."


def _variable(label: str) -> str:
    return "IMMICH_API_KEY_" + re.sub(r"[^A-Z0-9]", "_", label.upper())
