from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from facesets.errors import NotFound, NotImmich, Unreachable
from facesets.immich import Client, originals
from facesets.testing import Asset, Fault, ImmichServer, Library, User, faults

from .photos import photo

ORIGINAL = "GET /api/assets/{id}/original"


@pytest.fixture
def stored(library: Library, anna: User) -> Asset:
    return library.photo(anna, photo(1, 1200, 900))


def test_an_original_arrives_whole_and_private(stored: Asset, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "ab" / "x.jpg"
    done = originals.download(client, stored.id, target, sha1=stored.sha1.hex(), size=stored.size)
    assert target.read_bytes() == stored.read()
    assert (done.sha256, done.size) == (hashlib.sha256(stored.read()).hexdigest(), stored.size)
    assert target.stat().st_mode & 0o077 == 0
    assert [path.name for path in target.parent.iterdir()] == ["x.jpg"]


@pytest.mark.parametrize(
    "fault",
    [
        faults.truncated(),
        faults.truncated(0.9, reset=True),
        faults.cut_clean(),
        faults.swapped(b"other"),
        faults.wrong_length(5),
        faults.status(503),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("known", ["sha1", "size"])
def test_a_broken_transfer_heals_or_leaves_nothing(
    stored: Asset, server: ImmichServer, client: Client, tmp_path: Path, fault: Fault, known: str
) -> None:
    target = tmp_path / "x.jpg"
    facts = {"sha1": stored.sha1.hex()} if known == "sha1" else {"size": stored.size}
    server.faults.add(fault, ORIGINAL, times=1)
    originals.download(client, stored.id, target, **facts)
    assert target.read_bytes() == stored.read()
    target.unlink()
    if known == "sha1":
        server.faults.clear()
        server.faults.add(fault, ORIGINAL)
        with pytest.raises(Unreachable):
            originals.download(client, stored.id, target, sha1=stored.sha1.hex())
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_changed_since_the_server_read_it_is_taken_at_the_second_look(
    stored: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    originals.download(client, stored.id, tmp_path / "x.jpg", size=stored.size + 1)
    assert server.count(ORIGINAL) == 2


def test_an_original_the_server_refuses_is_not_found(library: Library, client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        originals.download(client, "3fa85f64-5717-4562-b3fc-2c963f66afa6", tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_is_never_taken_for_a_photo(stored: Asset, server: ImmichServer, client: Client, tmp_path: Path) -> None:
    server.faults.add(faults.html(), ORIGINAL)
    with pytest.raises(NotImmich):
        originals.download(client, stored.id, tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []
