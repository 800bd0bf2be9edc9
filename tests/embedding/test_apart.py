from __future__ import annotations

import io
import os
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

from facesets.embedding import Pack, QueueEntry, apart, decode, embed_photos
from facesets.embedding.apart import Decoders
from facesets.errors import FacesetsError, UnreadableImage
from facesets.records import Reason
from facesets.testing.twins import twin_photo

DECODE = "from facesets.embedding.apart_child import serve\nserve()\n"


def photo(seed: int = 0, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)).save(out, kind)
    return out.getvalue()


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    with Decoders() as running:
        yield running


@pytest.fixture
def sabotaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes whose decoder, like a broken C library, does what the photo's last bytes ask for."""
    trap = textwrap.dedent(
        """
        import ctypes, os, sys, time
        import facesets.embedding.apart_child as child
        real = child.opened
        def opened(data, **options):
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
        child.opened = opened
        child.serve()
        """
    )
    monkeypatch.setattr(apart, "_START", apart._START.replace(DECODE, trap))


def refused(decoders: Decoders, data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decoders(data)
    return caught.value


def test_pixels_and_refusals_are_those_of_decoding_here(decoders: Decoders, tmp_path: Path) -> None:
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


@pytest.mark.usefixtures("sabotaged")
@pytest.mark.parametrize(("ends", "told"), [(b"SEGV", "SIGSEGV"), (b"EXIT", "exit code 77"), (b"BUG!", "exit code 1")])
def test_a_photo_that_crashes_the_decoder_is_unreadable_and_the_next_one_is_not(ends: bytes, told: str) -> None:
    with Decoders() as decoders:
        decoders(photo())
        error = refused(decoders, photo() + ends)
        assert error.reason == Reason.UNREADABLE
        assert told in error.detail
        assert decoders(photo(1)).width == 60


@pytest.mark.usefixtures("sabotaged")
def test_a_decoder_that_hangs_is_ended() -> None:
    with Decoders(patience=2.0) as decoders:
        assert "after 2 s" in refused(decoders, photo() + b"HANG").detail
        assert decoders(photo()).width == 60


@pytest.mark.usefixtures("sabotaged")
def test_what_would_eat_all_memory_is_too_large() -> None:
    with Decoders() as decoders:
        assert refused(decoders, photo() + b"HUGE").reason == Reason.TOO_LARGE


@pytest.mark.usefixtures("sabotaged")
def test_what_a_library_prints_disturbs_nobody() -> None:
    with Decoders() as decoders:
        assert (decoders(photo() + b"TALK").rgb == decode(photo()).rgb).all()


@pytest.mark.usefixtures("sabotaged")
def test_the_process_knows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", "secret")
    monkeypatch.setenv("IMMICH_API_KEY_ANNA", "secret")
    with Decoders() as decoders:
        assert "IMMICH" not in refused(decoders, photo() + b"ENVI").detail


def test_a_process_killed_from_outside_costs_nothing(decoders: Decoders) -> None:
    decoders(photo())
    (child,) = decoders._idle
    child._process.kill()
    child._process.wait()
    assert decoders(photo(1)).width == 60


def test_threads_have_a_process_each_and_leave_none(decoders: Decoders) -> None:
    together = threading.Barrier(3)

    def work(seed: int) -> bool:
        together.wait()
        return bool((decoders(photo(seed)).rgb == decode(photo(seed)).rgb).all())

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))
    children = [child._process for child in decoders._idle]
    assert 1 <= len(children) <= 3
    decoders.close()
    assert all(process.returncode == 0 for process in children)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_the_processes_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(photo())
    program = (
        "import sys, time; from pathlib import Path; from facesets.embedding.apart import Decoders\n"
        "d = Decoders(); d(Path(sys.argv[1])); print(d._idle[0]._process.pid, flush=True); time.sleep(60)"
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
    monkeypatch.setattr(apart, "_START", "raise SystemExit('no such thing here')")
    with Decoders() as decoders, pytest.raises(FacesetsError, match="none can be started here: no such thing here"):
        decoders(photo())


@pytest.mark.usefixtures("sabotaged")
def test_a_run_over_photos_that_crash_decoders_goes_on(tmp_path: Path, twin: Pack) -> None:
    out = io.BytesIO()
    Image.fromarray(twin_photo([(128, 128, 128, 1)])).save(out, "PNG", compress_level=1)
    for i in range(8):
        (tmp_path / f"{i}.png").write_bytes(out.getvalue() + bytes([i]) + {2: b"SEGV", 5: b"EXIT"}.get(i, b""))
    results = list(embed_photos([QueueEntry(str(i), f"{i}.png") for i in range(8)], twin, root=tmp_path, workers=2))
    assert [result.reason for result in results] == [Reason.UNREADABLE if i in (2, 5) else Reason.EMBEDDED for i in range(8)]
    assert "it crashes the decoder (SIGSEGV)" in str(results[2].detail)
