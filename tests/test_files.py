from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from facesets.files import disk_error, has_modes, is_private, read_file, remove, replace_file

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "f"
    replace_file(path, b"first")

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # a full disk cannot be had in a test
    with pytest.raises(OSError, match="No space") as caught:
        replace_file(path, b"second")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["f"]


def test_an_interrupted_writer_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    replace_file(tmp_path / "f", b"first")

    def half(file: IO[bytes]) -> None:
        file.write(b"sec")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "f", half)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("f", b"first")]


def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    replace_file(tmp_path / "f", b"x")
    assert synced == ([False, True] if os.name == "posix" else [False])


@posix
def test_a_new_file_is_its_owners_alone_and_one_that_is_there_may_keep_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_file(path, b"x", keep_mode=True)
    assert mode(path) == 0o600
    path.chmod(0o644)
    replace_file(path, b"y", keep_mode=True)
    assert mode(path) == 0o644
    assert not is_private(path)
    replace_file(path, b"z")
    assert mode(path) == 0o600
    assert is_private(path)


def test_a_long_name_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    replace_file(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_probe_for_permissions_leaves_nothing(tmp_path: Path) -> None:
    assert has_modes(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EDQUOT, "your quota on this disk is full"),
        (errno.EROFS, "this file system is read-only"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EBUSY, os.strerror(errno.EBUSY)),
    ],
)
def test_what_a_disk_refuses_is_one_sentence_with_the_file_and_what_to_do(number: int, said: str) -> None:
    text = str(disk_error(OSError(number, os.strerror(number), "/w/f")))
    assert text.startswith("/w/f: ")
    assert said in text
    assert text.endswith("run the same command again; what is done is kept")


def test_a_disk_error_without_a_number_still_says_something() -> None:
    assert str(disk_error(OSError("broken"), "f")).startswith("f: broken.")
    assert str(disk_error(OSError())).startswith("OSError.")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_read_and_none_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert read_file(tmp_path / "file") == b"abc"
    os.mkfifo(tmp_path / "pipe")  # nobody writes into it: opening it as usual would wait for ever
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        with pytest.raises(OSError, match="not a regular file"):
            read_file(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(60 << 30)
    with pytest.raises(OSError, match="more than 1,024 MB"):
        read_file(tmp_path / "long")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_whatever_lies_there_is_removed_and_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    kept, place = tmp_path / "kept", tmp_path / "place"
    (kept / "inside").mkdir(parents=True)
    makes: list[Callable[[], object]] = [
        place.touch, place.mkdir, lambda: place.symlink_to(kept), lambda: place.symlink_to(place), lambda: os.mkfifo(place),
        lambda: None,
    ]  # fmt: skip
    for make in makes:
        make()
        remove(place)
        assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "inside").is_dir()
    remove(kept)
    assert list(tmp_path.iterdir()) == []
