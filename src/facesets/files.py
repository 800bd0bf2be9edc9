"""Files written whole or not at all, private to the user; digests; what a disk's refusal means, in one place for every room."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from facesets.errors import FacesetsError

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".bmp", ".tif", ".tiff")
)
_SHEET = re.compile("contact[ _-]?sheet", re.IGNORECASE)
_LONGEST = 1 << 30  # bytes: a manifest of 100,000 sets has a twentieth of it
_QUOTA = getattr(errno, "EDQUOT", None)  # Windows has none
_AGAIN = "run the same command again; what is done is kept"
_WHY = {
    errno.ENOSPC: f"the disk is full. Free some space, then {_AGAIN}",
    errno.EROFS: f"this file system is read-only. Make it writable or use another folder, then {_AGAIN}",
    errno.EACCES: f"no permission. Let your user read and write there, then {_AGAIN}",
    errno.EPERM: f"no permission. Let your user read and write there, then {_AGAIN}",
    errno.EIO: f"the disk or the network share answers with an input/output error. Check it, then {_AGAIN}",
    errno.EMFILE: f"too many files are open at a time. Raise the limit (ulimit -n), then {_AGAIN}",
    errno.EFBIG: "the file is larger than this file system, or your limit (ulimit -f), allows",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EEXIST: f"something of that name is there already. Move it away, then {_AGAIN}",
    errno.ENOENT: "no such file or folder. Is its disk or share mounted?",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.ENOTEMPTY: "the folder is not empty",
} | ({_QUOTA: f"your quota on this disk is full. Free some space, then {_AGAIN}"} if _QUOTA else {})
NO_ROOM = frozenset({errno.ENOSPC, errno.EROFS} | ({_QUOTA} if _QUOTA else set()))  # errors that end all writing, not one file's


def disk_error(err: OSError, path: Path | str | None = None) -> FacesetsError:
    """What the disk refused, as one sentence that names the file and what to do; ``path`` where the error does not say it."""
    where = path or err.filename2 or err.filename
    why = _WHY.get(err.errno or 0) or f"{err.strerror or str(err) or type(err).__name__}. Mend that, then {_AGAIN}"
    return FacesetsError(f"{os.fsdecode(where)}: {why}" if isinstance(where, str | bytes | os.PathLike) else why)


def replace_file(path: Path, content: bytes | Callable[[IO[bytes]], None], *, keep_mode: bool = False, mode: int = 0o600) -> None:
    """Put ``content`` (bytes, or what writes them) at ``path`` in one step; raises OSError, and then ``path`` is as it was.

    The file is its owner's alone, or has ``mode``; with ``keep_mode``, one that is there keeps its own. File and folder are on the disk
    on return.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        wanted = stat.S_IMODE(path.stat().st_mode) if keep_mode and path.exists() else mode
        if wanted != 0o600 and stat.S_IMODE(temporary.stat().st_mode) == 0o600:  # some disks keep no modes
            temporary.chmod(wanted)
        temporary.replace(path)
        sync(path.parent)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        err.filename, err.filename2 = str(path), None  # the name of the temporary file says nothing to anybody
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_file(path: Path) -> IO[bytes]:
    """A file to be read. Raises OSError, also for what is no regular file: a pipe would be waited for, a device read, without end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISREG(mode := os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    number, why = (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(mode) else (errno.EINVAL, "It is not a regular file")
    raise OSError(number, why, str(path))


def read_file(path: Path, most: int = _LONGEST) -> bytes:
    """The bytes of a file of our own. Raises OSError as :func:`open_file` does, and for one of more than ``most`` bytes."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EINVAL, f"It holds more than {most >> 20:,} MB", str(path))
        return file.read()


def remove(path: Path) -> None:
    """Remove whatever lies at ``path``, a folder with all it holds; nothing is fine. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # of a pipe it would wait for who opens the other end
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk keep what was written to a file, or a folder's entries; folders cannot be synced on Windows."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may read ``path``, as far as modes tell (they do on POSIX alone)."""
    return os.name != "posix" or not stat.S_IMODE(path.stat().st_mode) & 0o077


def has_modes(folder: Path) -> bool:
    """Whether the file system of ``folder`` keeps permissions: on many shares and USB disks chmod does nothing. Raises OSError."""
    if os.name != "posix":
        return True
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".facesets-modes.") as probe:  # made with mode 0600
        return not stat.S_IMODE(os.fstat(probe.fileno()).st_mode) & 0o077


@dataclass(frozen=True, slots=True)
class FileDigests:
    """The digests of a file, in hex, and its length in bytes."""

    sha256: str
    sha1: str
    size: int


def digest(pieces: Iterable[bytes]) -> FileDigests:
    """The digests of bytes that come in pieces."""
    sha256, sha1, size = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), 0  # SHA-1 is Immich's checksum, not ours
    for piece in pieces:
        sha256.update(piece)
        sha1.update(piece)
        size += len(piece)
    return FileDigests(sha256.hexdigest(), sha1.hexdigest(), size)


def digest_file(path: Path) -> FileDigests:
    """The digests of a file. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return digest(iter(lambda: file.read(1 << 20), b""))


def is_face_image(path: str) -> bool:
    """Whether a file of a set is an image of a face, by its name: a picture, and no contact sheet, which shows all of them."""
    name = PurePosixPath(path)
    return name.suffix.lower() in IMAGE_SUFFIXES and not _SHEET.match(name.name)
