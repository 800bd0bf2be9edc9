"""A small family library and clients for it, over real HTTP on loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import httpx
import pytest
from PIL import Image

from facesets.testing import Asset, Box, ImmichServer, Library, Person, User, immich_server

VERSIONS = ("2.7.2", "3.1.0")


def jpeg(width: int = 160, height: int = 120, *, colour: tuple[int, int, int] = (90, 120, 40), orientation: int | None = None) -> bytes:
    """A plain JPEG."""
    out = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (width, height), colour).save(out, "JPEG", exif=exif)
    return out.getvalue()


class Family:
    """Two users: anna with a person on six photos, bob with two photos of his own."""

    def __init__(self) -> None:
        self.library = Library(seed=7)
        self.anna: User = self.library.user("anna")
        self.bob: User = self.library.user("bob")
        self.oma: Person = self.library.person(self.anna, "Oma")
        self.photos: list[Asset] = [
            self.library.photo(
                self.anna,
                jpeg(colour=(40 * i, 20, 10), orientation=6 if i == 1 else None),
                taken_at=f"2021-0{i + 1}-15T10:00:00Z",
                faces=[Box(10, 20, 60, 70, self.oma), *([Box(70, 20, 110, 60)] if i == 2 else [])],
            )
            for i in range(6)
        ]
        self.bobs: list[Asset] = [self.library.photo(self.bob, jpeg(200 + i, 100)) for i in range(2)]


@pytest.fixture
def family() -> Family:
    return Family()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(family: Family, version: str) -> Iterator[ImmichServer]:
    with immich_server(family.library, version) as running:
        yield running


@pytest.fixture
def client_for() -> Iterator[Callable[..., httpx.Client]]:
    """``client_for(server, user_or_secret)``: a plain client with that key."""
    opened: list[httpx.Client] = []

    def make(server: ImmichServer, who: User | str | None = None) -> httpx.Client:
        secret = server.key_for(who) if isinstance(who, User) else who
        client = httpx.Client(base_url=server.url, headers={"x-api-key": secret} if secret else {}, timeout=10)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()
