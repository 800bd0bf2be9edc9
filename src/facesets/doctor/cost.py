"""The doctor: what a first run will cost, estimated from a small sample: a few pages of the listing, some faces, parts of originals."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from facesets.doctor.findings import NOTE, OK, PROBLEM, Finding
from facesets.errors import MissingPermission, NotFound, ServerError
from facesets.immich import Client, SearchQuery, faces, originals, search, timeline, wire
from facesets.models import from_database
from facesets.records import Asset, Reason
from facesets.settings import Settings
from facesets.staging import filters
from facesets.wording import count_of, size_of

_PAGE, _PAGES = 250, 4  # listed assets that are looked at: from all over the library where pages have numbers, else the newest
_ASKED = 48  # of these, whose faces are asked for where the listing does not tell them
_PARTS, _PART = 8, 1 << 20  # parts of originals that are fetched, and their bytes


@dataclass(frozen=True, slots=True)
class _Sample:
    assets: list[Asset]
    seconds: float  # that listing them took
    faces_asked: int
    faces_seconds: float
    reasons: Mapping[Reason | None, float]  # how many of the assets; None: worth their bytes
    wanted: list[Asset]


def estimate(client: Client, label: str, settings: Settings) -> list[Finding]:
    """Requests, bytes and time of a first staging, and which share of the library is junk."""
    part = f"user {label}"
    try:
        with ThreadPoolExecutor(settings.stage.workers, thread_name_prefix="doctor") as pool:
            counts = timeline.counts(client, pool)
            total = sum(counts.values())
            if not total:
                return [Finding(part, NOTE, "the library is empty, or the key sees nothing of it")]
            shown = sum(n for bucket, n in counts.items() if bucket.visibility == "timeline")
            sample = _take(client, settings, shown, pool)
            if not sample.assets:
                return [Finding(part, NOTE, "no photo stands in the timeline")]
            rate, refused = _throughput(client, sample.wanted, pool)
    except (MissingPermission, NotFound) as err:  # a run does without, or a photo went away in between
        return [Finding(part, NOTE, f"no estimate: {err}")]
    except ServerError as err:
        fix = "see that requests below /api get through to Immich: a run needs this one"
        return [Finding(part, PROBLEM, f"the library cannot be looked through: {err}", fix)]
    if refused is not None:
        fix = "see that /api/assets/.../original gets through to Immich, and that its files are there"
        return [*_junk(part, sample), Finding(part, PROBLEM, f"no original can be had: {refused}", fix)]
    return [*_junk(part, sample), _cost(part, total, len(counts), sample, rate, settings)]


def _pages(client: Client, shown: int) -> Iterator[Asset]:
    asked = SearchQuery("timeline")
    if search.has_cursors(client):
        after: search.PageCursor = None
        for _ in range(_PAGES):
            items, after = search.page(client, asked, _PAGE, after)
            yield from map(wire.asset, items)
            if after is None:
                return
        return
    last = math.ceil(shown / _PAGE)
    for number in sorted({1 + (last - 1) * step // (_PAGES - 1) for step in range(_PAGES)}):
        yield from map(wire.asset, search.page(client, asked, _PAGE, number)[0])


def _take(client: Client, settings: Settings, shown: int, pool: ThreadPoolExecutor) -> _Sample:
    begun = time.perf_counter()
    found = list(_pages(client, shown))
    seconds = time.perf_counter() - begun
    excluded = filters.path_filter(settings.stage.exclude)
    reasons, wanted, open_ = defaultdict[Reason | None, float](float), list[Asset](), list[Asset]()
    for asset in found:
        against = filters.by_listing(asset, asset.owner_id, archived=settings.immich.archived, excluded=excluded)
        if against is None and asset.boxes is None:
            open_.append(asset)
            continue
        if against is None and asset.boxes is not None:
            against = filters.by_faces(asset, asset.boxes, settings.stage.min_face_short)
        reasons[against[0] if against else None] += 1
        if against is None:
            wanted.append(asset)
    asked = sorted(open_, key=lambda asset: asset.asset_id)[:_ASKED]  # ids are random
    begun = time.perf_counter()
    for asset, boxes in zip(asked, pool.map(lambda asset: faces.boxes(client, asset.asset_id), asked), strict=True):
        against = filters.by_faces(asset, boxes, settings.stage.min_face_short)
        reasons[against[0] if against else None] += len(open_) / len(asked)  # each stands for several
        if against is None:
            wanted.append(asset)
    return _Sample(found, seconds, len(asked), time.perf_counter() - begun, reasons, wanted)


def _throughput(client: Client, wanted: Sequence[Asset], pool: ThreadPoolExecutor) -> tuple[float, ServerError | None]:
    """Bytes a second of originals, side by side as in a run; and why there are none, where not one of several can be had."""
    sizes = [(asset, min(asset.size_bytes or _PART, _PART)) for asset in wanted if asset.size_bytes != 0][:_PARTS]
    begun = time.perf_counter()

    def fetch(one: tuple[Asset, int]) -> int | ServerError:
        try:
            return len(originals.sample(client, one[0].asset_id, 0, one[1])[0])
        except ServerError as err:
            return err

    came = list(pool.map(fetch, sizes))
    errors = [one for one in came if isinstance(one, ServerError)]
    rate = sum(one for one in came if isinstance(one, int)) / (time.perf_counter() - begun)
    return rate, errors[0] if errors and len(errors) == len(came) else None


def _junk(part: str, sample: _Sample) -> list[Finding]:
    share = sample.reasons[Reason.EXCLUDED_PATH] / len(sample.assets)
    external = sum(asset.library_id is not None for asset in sample.assets) / len(sample.assets)
    facts = {"junk_share": round(share, 3), "external_share": round(external, 3), "sampled": len(sample.assets)}
    what = f"of a sample {share:.0%} are thumbnails, deleted files or the like ([stage] exclude), {external:.0%} in external libraries"
    fix = "Immich has indexed its own thumbnails or a recycle bin: give that library an exclusion pattern" if share >= 0.05 else ""
    return [Finding(part, NOTE if share >= 0.05 else OK, what, fix, facts)]


def _cost(part: str, total: int, buckets: int, sample: _Sample, rate: float, settings: Settings) -> Finding:
    each = total / len(sample.assets)
    photos = sample.reasons[None] * each
    sizes = [asset.size_bytes for asset in sample.wanted if asset.size_bytes]
    size = photos * (sum(sizes) / len(sizes) if sizes else 0)
    with_boxes = sum(asset.boxes is not None for asset in sample.assets) / len(sample.assets)
    left = sum(n for reason, n in sample.reasons.items() if reason in (None, Reason.NO_FACES, Reason.NO_BIG_FACE)) * each
    asked = 0 if with_boxes or settings.immich_db.url or settings.immich_dump.file else left  # these tell faces, too
    requests = math.ceil(total / settings.stage.page_size) + buckets + 10 + asked + photos
    seconds = sample.seconds * each
    seconds += asked * sample.faces_seconds / sample.faces_asked if asked and sample.faces_asked else 0
    seconds += size / rate if rate else 0
    facts = {
        "assets": total, "photos": round(photos), "requests": round(requests), "bytes": round(size), "seconds": round(seconds, 1),
        "bytes_per_second": round(rate), "sampled": len(sample.assets),
    }  # fmt: skip
    what = (
        f"{count_of(total, 'asset')}; a first staging will fetch about {count_of(round(photos), 'photo')}, {size_of(round(size))}, "
        f"in {count_of(round(requests), 'request')} "
        f"and {_time(seconds)} (from a sample of {len(sample.assets)}, before any copy is left out; embedding comes on top)"
    )
    if from_database(settings.embed.pack):
        what += "; pack immich-db fetches of these only what ends in a set"
    return Finding(part, OK, what, facts=facts)


def _time(seconds: float) -> str:
    if seconds < 1.5:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
