"""A second look: Immich misses faces that fill the frame, and photos that it never scanned. Detecting on their previews is cheap; only
where a face is found there is the original downloaded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from facesets.errors import MissingPermission, NotFound, ServerError, UnreadableImage, WrongKey
from facesets.faces.job import known_in_caches, queue_staged
from facesets.models import Pack
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.records import Reason
from facesets.registry import AssetRow, Registry, assets, faces
from facesets.sources import Source
from facesets.staging import download_only
from facesets.workspace import Workspace

_BATCH = 64  # photos looked through before what was seen is written down


@dataclass(slots=True)
class Looked:
    """What a second look at one user's photos came to. ``seen``: rows of those with a face; the rest are counts."""

    looked: int = 0
    no_preview: int = 0
    unanswered: int = 0  # looked at by the next run
    too_small: int = 0
    seen: list[int] = field(default_factory=list)
    staged: int = 0
    requests: int = 0
    downloads: int = 0

    def as_dict(self, registry: Registry) -> dict[str, Any]:
        """For the summary, with what was gained: how many ``photos`` with faces, and ``faces``, by the original."""
        hashes = [row.sha256 for row_id in self.seen if (row := assets.get(registry, row_id)).reason is Reason.EMBEDDED]
        gained = sum(len(list(faces.select(registry, sha256=sha256))) for sha256 in hashes if sha256)
        names = ("looked", "no_preview", "unanswered", "too_small", "staged", "requests", "downloads")
        counts = {name: getattr(self, name) for name in names}
        return {**counts, "found": len(self.seen), "photos_gained": len(hashes), "faces_gained": gained}


def second_look(
    workspace: Workspace, registry: Registry, source: Source, pack: Pack, decoders: DecoderPool, progress: Progress
) -> Looked:
    """Detect faces on the previews of photos without a face box, and stage those with a face big enough. Each is examined once a pack.

    Raises MissingPermission (``asset.view``) and what staging raises.
    """
    before, looked, min_score = source.work.requests, Looked(), workspace.settings.gates.min_det_score
    rows = [
        row
        for row in assets.select(registry, labels=[source.user.label], reasons=[Reason.NO_FACES, Reason.NOT_SCANNED])
        if row.source == source.name and row.previewed_with != pack.id
    ]
    with (
        progress.task("second look at previews", len(rows), "photos") as task,
        ThreadPoolExecutor(workspace.settings.stage.workers, thread_name_prefix="second look") as pool,
    ):
        try:
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                found = list(pool.map(lambda row: _largest(source, row, pack, decoders, min_score), batch))
                with registry.transaction():
                    for row, short in zip(batch, found, strict=True):
                        _settle(registry, row, short, pack.id, workspace.settings.stage.min_face_short, looked)
                task.advance(len(batch))
        except BaseException:
            source.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    seen = set(looked.seen)
    ids = [row_id for row_id in assets.ids_in_order(registry, source.user.label, source.name, [Reason.LISTED]) if row_id in seen]
    counters = download_only(workspace, registry, source, ids, known_sha256=known_in_caches(workspace), progress=progress)
    queue_staged(workspace, registry, source.user.label)
    looked.staged = counters.by_reason[Reason.STAGED]
    looked.requests, looked.downloads = source.work.requests - before, counters.downloads
    return looked


def _largest(source: Source, row: AssetRow, pack: Pack, decoders: DecoderPool, min_score: float) -> float | str | None:
    """Short side in pixels of the original of the largest face on the preview, 0 without one; a text: why there is no telling;
    None: no answer, this time.
    """
    try:
        photo = decoders(source.preview(row.asset))
    except NotFound:
        return "no preview"
    except UnreadableImage as err:
        return str(err)
    except (WrongKey, MissingPermission):
        raise
    except ServerError:
        return None
    scale = max(row.asset.width or 0, row.asset.height or 0) / max(photo.width, photo.height) or 1.0
    boxes = (found.box for found in pack.detect(photo.rgb) if found.score >= min_score)
    return scale * max((min(x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes), default=0.0)


def _settle(registry: Registry, row: AssetRow, short: float | str | None, pack: str, wanted: float, looked: Looked) -> None:
    if short is None:
        looked.unanswered += 1
        return
    looked.looked += 1
    if isinstance(short, str):
        looked.no_preview += 1
        assets.settle(registry, row.id, row.reason, f"second look with {pack}: {short}", previewed_with=pack)
    elif short < wanted or not short:
        looked.too_small += bool(short)
        said = f"largest face {short:.0f} px, wanted {wanted:g}" if short else "no face"
        assets.settle(registry, row.id, row.reason, f"second look with {pack}: {said}", previewed_with=pack)
    else:
        looked.seen.append(row.id)
        assets.settle(registry, row.id, Reason.LISTED)
