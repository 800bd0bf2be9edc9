"""Sources room: whose key is this, and whose photos are these? A label belongs to one user id, for good."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import UsageError, UserMismatch
from ..immich import Client, server
from ..progress import Progress
from ..records import User
from ..registry import Registry, assets
from ..settings import LABEL, Settings

_FOLDER = "folder:"


def bind(label: str, settings: Settings, registry: Registry, client: Client, progress: Progress) -> User:
    """The user that ``label`` stands for, which must be the key's owner; an unknown label is bound to that owner, and this is said.

    Raises UserMismatch (names both and says what to do), WrongKey, MissingPermission.
    """
    _check_label(label)
    owner = server.whoami(client)
    known = {user.label: user for user in assets.users(registry)}
    before = known[label].user_id if label in known else None
    for user_id, where in ((settings.users.get(label), "facesets.toml"), (before, "this workspace")):
        if user_id is not None and user_id != owner.user_id:
            raise UserMismatch(_other_owner(label, user_id, where, owner, client, known))
    for other in known.values():
        if other.user_id == owner.user_id and other.label != label:
            raise UserMismatch(
                f"the API key belongs to {owner.name!r} ({owner.user_id}), who is user {other.label!r} in this workspace. "
                f"Use --user {other.label}, or give {label!r} a key of their own: export {_variable(label)}=..."
            )
    if label not in settings.users and label not in known:
        progress.note(f"User {label!r} is from now on {owner.name!r} ({owner.user_id}), the owner of the API key.")
    return _remember(registry, User(label, owner.user_id, owner.name))


def bind_folder(label: str, root: Path, settings: Settings, registry: Registry, progress: Progress) -> User:
    """The user that ``label`` stands for as the owner of a plain folder. Raises UserMismatch where it is somebody or something else.

    A folder that moved keeps its photos' identity: they are known by their paths inside it.
    """
    _check_label(label)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder")
    owner_id, fact = f"{_FOLDER}{label}", f"{_FOLDER}{label}"
    known = {user.label: user.user_id for user in assets.users(registry)}
    bound = settings.users.get(label) or known.get(label)
    if bound not in (None, owner_id):
        raise UserMismatch(f"user {label!r} is {bound} on the Immich server, not a folder. Give the folder a --user of its own.")
    here, before = _data(str(root.resolve())), registry.fact(fact)
    if before not in (None, here):
        assert before is not None
        if Path(before).is_dir():
            raise UserMismatch(f"user {label!r} stands for the folder {before}, not {here}. Give this folder a --user of its own.")
        progress.note(f"The folder of user {label!r} has moved: {before} is now {here}.")
    with registry.transaction():
        registry.set_fact(fact, here)
    return _remember(registry, User(label, owner_id, root.resolve().name.encode("utf-8", "replace").decode()))


def _remember(registry: Registry, user: User) -> User:
    with registry.transaction():
        assets.bind_user(registry, user)
    return user


def _check_label(label: str) -> None:
    if not LABEL.fullmatch(label):
        raise UsageError(f"{label!r} is not a user label: 1 to 64 of a-z, 0-9, - and _ (it names files)")


def _other_owner(label: str, user_id: str, where: str, owner: server.Person, client: Client, known: dict[str, User]) -> str:
    name = server.name_of(client, user_id) or next((u.name for u in known.values() if u.user_id == user_id), "")
    whose = f"{name!r} ({user_id})" if name else user_id
    return (
        f"user {label!r} is {whose} in {where}, but the API key belongs to {owner.name!r} ({owner.user_id}). "
        f"Immich shows a key its owner's photos only, so give {label!r} a key of their own: export {_variable(label)}=..."
    )


def _variable(label: str) -> str:
    return "IMMICH_API_KEY_" + re.sub(r"[^A-Z0-9]", "_", label.upper())


def _data(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
