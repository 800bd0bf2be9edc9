"""Immich room: the bytes of an original, onto disk, whole or not at all. Touches the network and the paths it is given.

What came of an interrupted download stays beside its target (see ``part``); the next attempt, or the next run, asks for the rest.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ..errors import NotFound, NotImmich, ServerFailed
from . import part as parts
from .answer import Answer
from .part import PLAIN, SPAN, Downloaded, Part
from .refusals import Garbled
from .transport import Client

SAMPLE = 1 << 16  # bytes of each of the three samples by which two files are told apart


class OtherBytes(Garbled):
    """A whole original came, and it is not the one that was listed."""


def download(
    client: Client,
    asset_id: str,
    target: Path,
    *,
    sha1: str | None = None,
    size: int | None = None,
    turn: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 - it has no state
) -> Downloaded:
    """Bring an asset's original to ``target``: under a temporary name beside it, checked, synced, renamed; goes on where it stopped.

    Checks the announced length and the listing's SHA-1 (hex), or its ``size`` where no SHA-1 is known. ``turn`` is held while bytes
    come, and no longer while they are checked. Raises NotFound, Unreachable, NotImmich, MissingPermission, OSError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part, came, again = Part.beside(target), set[str](), False
    part.take_up(trusting_all=sha1 is not None)

    what = f"original of {asset_id}"

    def receive(response: Answer) -> int:
        if response.status == 416:  # a proxy's word; Immich itself fails at a range that is not there
            part.forget()
        _refuse_odd(response, what, (200, 206))
        resumed = part.accept(response, what)
        _fill(response, part, what)
        return resumed

    def checked(resumed: int) -> Downloaded:
        done = part.digests(resumed)
        if sha1 is not None and done.sha1 != sha1:
            part.forget()
            raise OtherBytes(f"{what}: its SHA-1 is {done.sha1}, the listing says {sha1}")
        if sha1 is None and size not in (None, done.size) and done.sha256 not in came:
            came.add(done.sha256)  # the same bytes twice are no accident: the file changed since the server read it
            part.forget()
            raise Garbled(f"{what}: {done.size} bytes came, the listing says {size}")
        return done

    def ask() -> int:
        return client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=part.wanted)

    try:
        done = None
        while done is None:
            with turn:
                try:
                    resumed = ask()
                except (NotFound, ServerFailed) as err:
                    if not part.wants_rest or (isinstance(err, ServerFailed) and err.status != 500):
                        raise
                    part.forget()  # so Immich refuses a part of a file that is shorter now: ask for the whole
                    resumed = ask()
            try:
                done = checked(resumed)
            except Garbled:
                if again or client.attempts == 1:
                    raise
                again = True
        part.finish(target)
    except (NotFound, NotImmich):
        part.forget()
        raise
    finally:
        part.close()
    return done


def sample(client: Client, asset_id: str, start: int, length: int) -> tuple[bytes, int]:
    """``length`` bytes of an original from ``start``, and how long the whole is. Raises NotFound, Unreachable, NotImmich.

    Ask within the file only: beyond its end Immich fails (500 on 2.x, 404 on 3.x).
    """

    def receive(response: Answer) -> tuple[bytes, int]:
        _refuse_odd(response, f"a part of {asset_id}", (206,))
        span = SPAN.fullmatch(response.headers.get("content-range", ""))
        if span is None or int(span[1]) != start:
            raise Garbled(f"a part of {asset_id}: asked for bytes from {start}, got {response.headers.get('content-range')!r}")
        return response.read(), int(span[3])

    asked = {**PLAIN, "Range": f"bytes={start}-{start + length - 1}"}
    return client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=lambda: asked)


def rendition(client: Client, asset_id: str, target: Path, size: str) -> tuple[Downloaded, str] | None:
    """The server's own picture of an asset (``size``: fullsize or preview), unedited and upright, at ``target``, and which one came.

    None where it sends on to the original. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich, OSError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part, what = Part.beside(target), f"{size} of {asset_id}"
    part.forget()

    def receive(response: Answer) -> tuple[Downloaded, str] | None:
        if (response.url.path or "").endswith("/original"):
            return None
        _refuse_odd(response, what, (200,))
        part.accept(response, what)
        _fill(response, part, what)
        came = part.digests(0)
        if not came.size:
            raise Garbled(f"{what}: no byte came")
        return came, dict(parse_qsl(response.url.query or "")).get("size", size)

    part.take_up(trusting_all=False)
    try:
        done = client.exchange("GET", f"/assets/{asset_id}/thumbnail", receive, params={"size": size}, headers=lambda: PLAIN)
        if done is not None:
            part.finish(target)
    finally:
        if part.file is not None:
            part.forget()
        part.close()
    return done


def preview(client: Client, asset_id: str) -> bytes:
    """The server's preview of an asset, unedited. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich."""

    def receive(response: Answer) -> bytes:
        _refuse_odd(response, f"preview of {asset_id}", (200,))
        return response.read()

    return client.exchange("GET", f"/assets/{asset_id}/thumbnail", receive, params={"size": "preview"}, headers=lambda: PLAIN)


def digests(path: Path) -> Downloaded:
    """The digests of a file that is here already. Raises OSError."""
    with FileIO(path) as file:
        return parts.digests(file)


def discard_part(target: Path) -> None:
    """Remove what an interrupted download to ``target`` left."""
    Part.beside(target).forget()


def part_of(path: Path) -> str | None:
    """The name of the target that ``path`` is the beginning of (or the facts about it); None where it is none."""
    found = re.fullmatch(r"\.(.+)\.part(?:\.json)?", path.name)
    return found[1] if found else None


def _refuse_odd(response: Answer, what: str, statuses: tuple[int, ...]) -> None:
    if response.kind == "text/html":
        raise NotImmich(f"{what}: a web page came instead")
    if response.status not in statuses or response.kind == "application/json":
        raise Garbled(f"{what}: status {response.status}, {response.kind or 'untyped'}")


def _fill(response: Answer, part: Part, what: str) -> None:
    # as they come: what is held back would be lost with the connection
    for piece in response.pieces():
        part.write(piece)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) != response.received:
        raise Garbled(f"{what}: {response.received} of {announced} bytes came")
