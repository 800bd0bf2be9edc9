"""Staging room: photos whose original no decoder takes. The server shows another picture of them: full size where it made one, else
the preview. Which of them stands for a photo is recorded (``pixels``). Touches the registry and the files it is given.
"""

from __future__ import annotations

from pathlib import Path

from facesets.files import digest_file
from facesets.records import Reason, State
from facesets.registry import AssetRow, Registry, assets, measurements, originals
from facesets.sources import Fetched

SUFFIX = ".shown.jpg"  # as the server shows it; a JPEG unless its owner chose WebP, which decoders see for themselves
_NEXT = {"original": "fullsize", "fullsize": "preview"}


def want(registry: Registry, label: str, source: str) -> list[int]:
    """Ask for the next best picture of every photo that no decoder took; returns their row ids."""
    if source != "immich":
        return []
    ids = originals.undecoded(registry, label, source)
    with registry.transaction():
        for row_id in ids:
            originals.want_pixels(registry, row_id, _NEXT[assets.get(registry, row_id).pixels])
    return ids


def want_next(registry: Registry, row: AssetRow) -> bool:
    """Ask for the next best picture of one photo that no decoder took, in the caller's transaction; False where there is none left."""
    following = _NEXT.get(row.pixels)
    if following is not None:
        originals.want_pixels(registry, row.id, following)
    return following is not None


def here_already(row: AssetRow, target: Path) -> Fetched | None:
    """The picture that an earlier run brought, where it is whole."""
    if row.sha256 is None or not target.is_file():
        return None
    done = digest_file(target)
    return Fetched(target, done.sha256, done.sha1, done.size, pixels=row.pixels) if done.sha256 == row.sha256 else None


def verdict(registry: Registry, row: AssetRow, *, nothing_there: bool) -> tuple[Reason, str, str]:
    """Reason, detail and ``pixels`` of a photo of which no further picture came: for good where there is none to be had."""
    failure = measurements.failure(registry, row.sha256) if row.sha256 else None
    reason, said = failure if failure and failure[0].state is State.FAILED else (Reason.NOT_AVAILABLE, None)
    detail = "; ".join(filter(None, (said, "the server has no other picture of it" if nothing_there else None)))
    return reason, detail, "none" if nothing_there else "original"
