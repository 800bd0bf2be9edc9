"""Immich room: the timeline: which months there are, how many assets each holds, and their ids. Touches the network only.

It is the one list that is complete on 2.x and 3.x, and its counts cost a handful of requests whatever the library's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from facesets.errors import BadAnswer
from facesets.immich import wire
from facesets.immich.transport import Client

STACKABLE = ("timeline", "archive")  # what is hidden or in the trash has a reason of its own
VISIBILITIES = ("timeline", "archive", "hidden")  # locked ones are not shown to API keys


class Bucket(NamedTuple):
    """A month (``2020-05``, of local time; years may be of any length) of one visibility, in the trash or not."""

    month: str
    visibility: str
    trashed: bool


def counts(client: Client, pool: ThreadPoolExecutor) -> dict[Bucket, int]:
    """How many assets of the key's owner each bucket holds, in six requests. Raises MissingPermission, NotFound."""
    return _counts(client, pool, [(visibility, trashed) for visibility in VISIBILITIES for trashed in (False, True)])


def on_top(client: Client, pool: ThreadPoolExecutor) -> dict[Bucket, int]:
    """The same, of ``STACKABLE`` ones and of each stack only the one on top, in two requests. Raises as :func:`counts`."""
    return _counts(client, pool, [(visibility, False) for visibility in STACKABLE], collapsed=True)


def _counts(
    client: Client, pool: ThreadPoolExecutor, kinds: Sequence[tuple[str, bool]], *, collapsed: bool = False
) -> dict[Bucket, int]:
    found: dict[Bucket, int] = {}
    answers = pool.map(lambda kind: client.get("/timeline/buckets", _query(*kind, collapsed=collapsed)), kinds)
    for (visibility, trashed), answer in zip(kinds, answers, strict=True):
        for item in _listed(answer):
            bucket = Bucket(wire.month(item, "timeline"), visibility, trashed)
            found[bucket] = found.get(bucket, 0) + wire.field(item, "count", int, "timeline")
    return found


def count_with_partners(client: Client) -> int:
    """How many assets stand in the owner's timeline, those of partners who are shown in it included."""
    answer = client.get("/timeline/buckets", {"visibility": "timeline", "withPartners": "true"})
    return sum(wire.field(item, "count", int, "timeline") for item in _listed(answer))


def ids(client: Client, bucket: Bucket, owner_id: str, *, collapsed: bool = False) -> list[str]:
    """The owner's asset ids in a bucket; ``collapsed``: of a stack only the one on top."""
    asked = _query(bucket.visibility, bucket.trashed, collapsed=collapsed)
    answer = client.get("/timeline/bucket", {"timeBucket": f"{bucket.month}-01", **asked})
    return [asset_id for asset_id, owner in wire.bucket_ids(answer, "timeline") if owner == owner_id]


def _query(visibility: str, trashed: bool, *, collapsed: bool = False) -> dict[str, str]:
    return {"visibility": visibility, **({"isTrashed": "true"} if trashed else {}), **({"withStacked": "true"} if collapsed else {})}


def _listed(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise BadAnswer("timeline: not a list of buckets")
    return answer
