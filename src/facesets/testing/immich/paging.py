"""One page of a search, and how many there are. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from facesets.testing.immich import query
from facesets.testing.immich.ids import digest
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import Asset


def page(asked: query.Query, owners: frozenset[str], library: Library, *, ties_lost: bool) -> tuple[Sequence[Asset], bool]:
    """The rows of the page that was asked for, and whether more follow.

    With ``ties_lost`` rows of one instant that lie across the page's edge are dealt anew for this page, while less than half of all
    has been listed (there Postgres keeps only the best rows while it sorts, and orders equal ones as it likes): some come twice, some
    never. Of 6,679 rows of one instant 2.7.2 gave 4,000 to 4,679, this gives 4,700 to 4,900; of 20,000 rows that end with such a burst
    2.7.2 lost 2 to 4, this 9 to 17; of 20,000 that begin with it 2.7.2 lost 427, this 2,300: on purpose not milder than the real one.
    """
    rows = query.select(asked, owners, library)
    start, end = (asked.page - 1) * asked.size, asked.page * asked.size
    window = list(rows[start:end])
    if ties_lost and 2 * (end + 1) < len(rows):
        for edge in (start, end):
            low, run = _dealt(rows, edge, (library.seed, asked.page, asked.size))
            for position, asset in enumerate(run, low - start):
                if 0 <= position < len(window):
                    window[position] = asset
    return window, len(rows) > end


def _dealt(rows: Sequence[Asset], edge: int, seed: tuple[int, ...]) -> tuple[int, list[Asset]]:
    """The run of equal times that lies across ``edge``, shuffled, and where it begins; an empty one where there is none."""
    if not 0 < edge < len(rows) or rows[edge - 1].file_created_at != rows[edge].file_created_at:
        return edge, []
    low = high = edge
    while low > 0 and rows[low - 1].file_created_at == rows[edge].file_created_at:
        low -= 1
    while high < len(rows) and rows[high].file_created_at == rows[edge].file_created_at:
        high += 1
    run = list(rows[low:high])
    random.Random(digest(*seed)).shuffle(run)  # noqa: S311  repeatable, not secret
    return low, run


def count(asked: query.Query, owners: frozenset[str], library: Library) -> int:
    """How many assets a query means."""
    return len(query.select(asked, owners, library))
