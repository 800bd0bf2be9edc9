from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facesets
from facesets.errors import FacesetsError, UnreadableImage
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos
from facesets.models.pack import Pack
from facesets.photos import decoder_pool
from facesets.photos.decode import decode
from facesets.photos.decoder_pool import DecoderPool
from facesets.photos.header import Header
from facesets.records import Reason
from facesets.testing.twins import twin_photo


def photo(seed: int = 0, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)).save(out, kind)
    return out.getvalue()


@pytest.fixture
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool() as running:
        yield running


@pytest.fixture
def sabotaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes whose decoder, like a broken C library, does what the photo's last bytes ask for."""
    trap = textwrap.dedent(
        """
        import ctypes, os, sys, time
        import facesets.photos.decoder_process as child
        real = child.open_photo
        def open_photo(data, **options):
            if data.endswith(b"SEGV"):
                ctypes.string_at(0)
            if data.endswith(b"EXIT"):
                os._exit(77)
            if data.endswith(b"HANG"):
                time.sleep(600)
            if data.endswith(b"HUGE"):
                raise MemoryError
            if data.endswith(b"TALK"):
                os.write(1, b"libthing: hello" * 100)
                os.write(2, b"libthing: warning" * 10000)
            if data.endswith(b"ENVI"):
                raise child.UnreadableImage("unreadable", ",".join(sorted(os.environ)))
            if data.endswith(b"BUG!"):
                raise RecursionError("a bug")
            return real(data, **options)
        child.open_photo = open_photo
        header = child.read_header
        def read_header(data):
            open_photo(data)
            return header(data)
        child.read_header = read_header
        child.serve()
        """
    )
    monkeypatch.setattr(decoder_pool, "_COMMAND", (sys.executable, "-P", "-c", trap))


def refused(decoders: DecoderPool, data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decoders(data)
    return caught.value


def test_pixels_and_refusals_are_those_of_decoding_here(decoders: DecoderPool, tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "HEIF"):
        for shrink in (1, 2):
            one, other = decode(photo(kind=kind), shrink=shrink), decoders(photo(kind=kind), shrink=shrink)
            assert (one.width, one.height, one.scale) == (other.width, other.height, other.scale)
            assert (one.rgb == other.rgb).all()
    assert refused(decoders, b"").reason == Reason.EMPTY_FILE
    assert refused(decoders, b"<html>").reason == Reason.UNSUPPORTED
    assert refused(decoders, photo()[:3000]).reason == Reason.TRUNCATED
    (tmp_path / "p.png").write_bytes(photo())
    assert decoders(tmp_path / "p.png").width == 60
    with pytest.raises(FileNotFoundError):
        decoders(tmp_path / "gone.png")


@pytest.mark.slow
@pytest.mark.usefixtures("sabotaged")
@pytest.mark.parametrize(("ends", "told"), [(b"SEGV", "SIGSEGV"), (b"EXIT", "exit code 77"), (b"BUG!", "exit code 1")])
def test_a_photo_that_crashes_the_decoder_is_unreadable_and_the_next_one_is_not(ends: bytes, told: str) -> None:
    with DecoderPool() as decoders:
        decoders(photo())
        error = refused(decoders, photo() + ends)
        assert error.reason == Reason.UNREADABLE
        assert told in error.detail
        assert decoders(photo(1)).width == 60


@pytest.mark.slow
@pytest.mark.usefixtures("sabotaged")
@pytest.mark.parametrize("ends", [b"SEGV", b"EXIT", b"HANG"])
def test_of_a_header_that_crashes_the_decoder_nothing_is_known_and_the_next_one_is_read(ends: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(photo() + ends)
    (tmp_path / "good").write_bytes(photo())
    with DecoderPool(timeout=2.0 if ends == b"HANG" else 60.0) as decoders:
        assert decoders.header(tmp_path / "bad") == Header()
        assert decoders.header(tmp_path / "good").size == (60, 40)
        with pytest.raises(FileNotFoundError):
            decoders.header(tmp_path / "none")


@pytest.mark.slow
@pytest.mark.usefixtures("sabotaged")
def test_a_decoder_that_hangs_is_ended() -> None:
    with DecoderPool(timeout=2.0) as decoders:
        assert "was stopped after 2 s" in refused(decoders, photo() + b"HANG").detail
        assert decoders(photo()).width == 60


@pytest.mark.usefixtures("sabotaged")
def test_what_would_eat_all_memory_is_too_large() -> None:
    with DecoderPool() as decoders:
        assert refused(decoders, photo() + b"HUGE").reason == Reason.TOO_LARGE


@pytest.mark.usefixtures("sabotaged")
def test_what_a_library_prints_disturbs_nobody() -> None:
    with DecoderPool() as decoders:
        assert (decoders(photo() + b"TALK").rgb == decode(photo()).rgb).all()


@pytest.mark.usefixtures("sabotaged")
def test_the_process_knows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = (
        "IMMICH_API_KEY",
        "IMMICH_API_KEY_ANNA",
        "IMMICH_DB_URL",
        "PGPASSWORD",
        "DB_PASSWORD",
        "AWS_SECRET",
        "GITHUB_TOKEN",
        "x_api_key",
    )
    for name in hidden:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("UPSTREAM", "postgres://me:secret@db/immich")
    monkeypatch.setenv("PHOTOS_DSN", "host=db password=secret")
    monkeypatch.setenv("PHOTOS_ADDRESS", "postgresql://db/immich?user=me&password=secret")
    monkeypatch.setenv("HARMLESS", "1")
    with DecoderPool() as decoders:
        known = refused(decoders, photo() + b"ENVI").detail.split(",")
    assert "HARMLESS" in known
    assert not {*hidden, "UPSTREAM", "PHOTOS_DSN", "PHOTOS_ADDRESS"} & {*known}


def test_a_process_killed_from_outside_costs_nothing(decoders: DecoderPool) -> None:
    decoders(photo())
    (child,) = decoders._idle
    child.popen.kill()
    child.popen.wait()
    assert decoders(photo(1)).width == 60


def test_threads_have_a_process_each_and_leave_none(decoders: DecoderPool) -> None:
    together = threading.Barrier(3)

    def work(seed: int) -> bool:
        together.wait()
        return bool((decoders(photo(seed)).rgb == decode(photo(seed)).rgb).all())

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))
    children = [child.popen for child in decoders._idle]
    assert 1 <= len(children) <= 3
    decoders.close()
    assert all(process.returncode == 0 for process in children)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_the_processes_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(photo())
    program = (
        "import sys, time; from pathlib import Path; from facesets.photos.decoder_pool import DecoderPool\n"
        "d = DecoderPool(); d(Path(sys.argv[1])); print(d._idle[0].popen.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "p.png")], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(500):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            return  # ended, and nobody has asked how
        time.sleep(0.01)
    pytest.fail("the process outlived its parent")


def test_an_interpreter_that_cannot_start_them_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "_COMMAND", (sys.executable, "-c", "raise SystemExit('no such thing here')"))
    with DecoderPool() as decoders, pytest.raises(FacesetsError, match="none can be started here: no such thing here"):
        decoders(photo())


@pytest.mark.slow
@pytest.mark.usefixtures("sabotaged")
def test_a_run_over_photos_that_crash_decoders_goes_on(tmp_path: Path, twin: Pack) -> None:
    out = io.BytesIO()
    Image.fromarray(twin_photo([(128, 128, 128, 1)])).save(out, "PNG", compress_level=1)
    for i in range(8):
        (tmp_path / f"{i}.png").write_bytes(out.getvalue() + bytes([i]) + {2: b"SEGV", 5: b"EXIT"}.get(i, b""))
    results = list(embed_photos([QueueEntry(str(i), f"{i}.png") for i in range(8)], twin, root=tmp_path, workers=2))
    assert [result.reason for result in results] == [Reason.UNREADABLE if i in (2, 5) else Reason.EMBEDDED for i in range(8)]
    assert "it crashes the decoder (SIGSEGV)" in str(results[2].detail)


def test_no_other_room_decodes_a_photo_in_its_own_process() -> None:
    """Pillow opens files in this room alone, and ``decode`` stands elsewhere only where no stranger's bytes come to it."""
    root = Path(facesets.__file__).parent
    takes_decode = {
        "faces/embed.py",  # as a default for callers that bring a decoder of their own
        "faces/known_boxes.py",
        "models/engine_choice.py",  # scikit-image's astronaut
        "targets/pictures.py",  # a JPEG made here
    }
    for path in root.rglob("*.py"):
        inside = path.relative_to(root).as_posix()
        if inside.startswith(("photos/", "testing/")):
            continue
        text = path.read_text(encoding="utf-8")
        assert "Image.open(" not in text, inside
        assert not re.search(r"cv2\.(imread|imdecode)", text), inside
        assert "read_header" not in text, inside
        imported = re.search(r"from facesets\.photos import [^\n]*\bdecode\b", text)
        assert imported is None or inside in takes_decode, inside
