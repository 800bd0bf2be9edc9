from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facesets.errors import UsageError, UserMismatch
from facesets.immich import Client
from facesets.progress import Silent
from facesets.registry import Registry, assets
from facesets.settings import Settings
from facesets.sources.binding import bind, bind_folder
from facesets.testing import ImmichServer, Library, User, immich_server


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        yield opened


@pytest.fixture
def family() -> tuple[Library, User, User]:
    library = Library()
    return library, library.user("Anna"), library.user("Bob")


@pytest.fixture
def server(family: tuple[Library, User, User]) -> Iterator[ImmichServer]:
    with immich_server(family[0]) as running:
        yield running


@pytest.fixture
def as_(server: ImmichServer) -> Iterator[Callable[[User], Client]]:
    made: list[Client] = []

    def client(user: User) -> Client:
        made.append(Client(server.url + "/api", server.key_for(user)))
        return made[-1]

    yield client
    for one in made:
        one.close()


Family = tuple[Library, User, User]


def test_a_new_label_becomes_its_keys_owner_and_this_is_said(registry: Registry, family: Family, as_: Callable[[User], Client]) -> None:
    _, anna, _ = family
    said = Silent()
    user = bind("oma", Settings(), registry, as_(anna), said)
    assert (user.user_id, user.name) == (anna.id, "Anna")
    assert assets.users(registry) == [user]
    assert len(said.notes) == 1
    assert "Anna" in said.notes[0]
    assert bind("oma", Settings(), registry, as_(anna), said) == user
    assert len(said.notes) == 1


def test_a_label_of_the_settings_must_be_the_keys_owner(registry: Registry, family: Family, as_: Callable[[User], Client]) -> None:
    _, anna, bob = family
    settings = replace(Settings(), users={"an-na": anna.id})
    said = Silent()
    assert bind("an-na", settings, registry, as_(anna), said).user_id == anna.id
    assert said.notes == []
    with pytest.raises(UserMismatch) as caught:
        bind("an-na", settings, registry, as_(bob), said)
    for part in ("Anna", anna.id, "Bob", bob.id, "IMMICH_API_KEY_AN_NA", "facesets.toml"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_label_bound_before_stays_with_its_user(registry: Registry, family: Family, as_: Callable[[User], Client]) -> None:
    _, anna, bob = family
    bind("oma", Settings(), registry, as_(anna), Silent())
    with pytest.raises(UserMismatch, match="this workspace") as caught:
        bind("oma", Settings(), registry, as_(bob), Silent())
    assert anna.id in str(caught.value)
    assert bob.id in str(caught.value)


def test_one_persons_key_serves_one_label(registry: Registry, family: Family, as_: Callable[[User], Client]) -> None:
    _, anna, _ = family
    bind("oma", Settings(), registry, as_(anna), Silent())
    with pytest.raises(UserMismatch, match="--user oma"):
        bind("opa", Settings(), registry, as_(anna), Silent())


def test_the_other_persons_name_may_be_unknown_to_the_key(registry: Registry, family: Family, server: ImmichServer) -> None:
    library, _, bob = family
    key = library.key(bob, ["user.read"]).secret
    settings = replace(Settings(), users={"oma": "64e61621-ea00-4e5b-a197-ef2142f2fa48"})
    with Client(server.url + "/api", key) as client, pytest.raises(UserMismatch, match="64e61621"):
        bind("oma", settings, registry, client, Silent())


@pytest.mark.parametrize("label", ["", "Oma", "../x", "a b", "a" * 65])
def test_a_label_that_could_not_name_a_file_is_refused(
    registry: Registry, family: Family, as_: Callable[[User], Client], label: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="label"):
        bind(label, Settings(), registry, as_(family[1]), Silent())
    with pytest.raises(UsageError, match="label"):
        bind_folder(label, tmp_path, Settings(), registry, Silent())


def test_a_folders_label_stands_for_that_folder(registry: Registry, tmp_path: Path) -> None:
    one, two, said = tmp_path / "one", tmp_path / "two", Silent()
    one.mkdir()
    two.mkdir()
    user = bind_folder("box", one, Settings(), registry, said)
    assert user.user_id == "folder:box"
    assert bind_folder("box", one, Settings(), registry, said) == user
    with pytest.raises(UserMismatch, match="one"):
        bind_folder("box", two, Settings(), registry, said)
    one.rename(tmp_path / "three")
    assert bind_folder("box", tmp_path / "three", Settings(), registry, said).user_id == user.user_id
    assert "moved" in said.notes[0]


def test_a_folder_needs_a_label_of_its_own(registry: Registry, family: Family, as_: Callable[[User], Client], tmp_path: Path) -> None:
    bind("oma", Settings(), registry, as_(family[1]), Silent())
    with pytest.raises(UserMismatch, match="--user of its own"):
        bind_folder("oma", tmp_path, Settings(), registry, Silent())
    bind_folder("box", tmp_path, Settings(), registry, Silent())
    with pytest.raises(UserMismatch, match="folder"):
        bind("box", Settings(), registry, as_(family[2]), Silent())


def test_a_folder_that_is_none_is_a_matter_of_the_call(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        bind_folder("box", tmp_path / "nothing", Settings(), registry, Silent())
