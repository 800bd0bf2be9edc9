from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import pytest

from facesets.errors import ChecksumMismatch, NotFound, NotImmich, Unreachable
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


@pytest.mark.slow
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


@pytest.fixture
def large(library: Library, anna: User) -> Asset:
    return library.photo(anna, photo(1) + random.Random(1).randbytes(1 << 20))


def statuses(server: ImmichServer) -> list[int]:
    return [exchange.status for exchange in server.log if exchange.route == ORIGINAL]


@pytest.mark.parametrize("known", [True, False])
def test_an_interrupted_download_leaves_nothing_and_the_next_fetches_the_whole(
    large: Asset, server: ImmichServer, client: Client, tmp_path: Path, known: bool
) -> None:
    target, sha1 = tmp_path / "x.jpg", large.sha1.hex() if known else None
    client.attempts = 1
    server.faults.add(faults.truncated(0.5), ORIGINAL, times=1)
    with pytest.raises(Unreachable):
        originals.download(client, large.id, target, sha1=sha1, size=large.size)
    assert list(tmp_path.iterdir()) == []
    originals.download(client, large.id, target, sha1=sha1, size=large.size)
    assert target.read_bytes() == large.read()
    assert statuses(server) == [200, 200]


def test_what_a_killed_download_left_is_written_over(large: Asset, client: Client, tmp_path: Path) -> None:
    (tmp_path / ".x.jpg.part").write_bytes(bytes(2 * large.size))
    done = originals.download(client, large.id, tmp_path / "x.jpg")
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert (done.sha256, done.size) == (hashlib.sha256(large.read()).hexdigest(), large.size)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


def test_other_bytes_than_listed_are_told_apart_from_a_broken_transfer(
    stored: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    server.faults.add(faults.swapped(photo(2)), ORIGINAL)
    with pytest.raises(ChecksumMismatch, match="the listing says"):
        originals.download(client, stored.id, tmp_path / "x.jpg", sha1=stored.sha1.hex())
    assert statuses(server) == [200, 200]
    assert list(tmp_path.iterdir()) == []


def test_samples_are_parts_of_the_file_and_tell_its_length(large: Asset, server: ImmichServer, client: Client) -> None:
    data = large.read()
    assert originals.sample(client, large.id, 0, 100) == (data[:100], len(data))
    assert originals.sample(client, large.id, len(data) - 100, 100) == (data[-100:], len(data))
    assert statuses(server) == [206, 206]


@pytest.mark.parametrize("fault", [faults.stalled(600, after=1000), faults.slow(600), faults.status(503)], ids=lambda fault: fault.name)
def test_stopping_does_not_wait_for_what_is_under_way(
    large: Asset, server: ImmichServer, anna: User, tmp_path: Path, fault: Fault
) -> None:
    server.faults.add(fault, ORIGINAL)
    told: list[Exception] = []
    with Client(server.url + "/api", server.key_for(anna), attempts=50) as client:

        def fetch() -> None:
            try:
                originals.download(client, large.id, tmp_path / "x.jpg")
            except Unreachable as err:
                told.append(err)

        thread = threading.Thread(target=fetch)
        thread.start()
        while not server.count(ORIGINAL):
            time.sleep(0.01)
        time.sleep(0.1)
        client.stop()
        thread.join(60)  # the server still has not answered
        assert not thread.is_alive()
    assert len(told) == 1
