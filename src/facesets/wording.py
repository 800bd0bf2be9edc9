"""Numbers, sizes and dates as messages and pages say them; names as they are kept and compared. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from facesets.records import State

_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
_IRREGULAR = {"person": "people", "is": "are", "has": "have", "was": "were", "does": "do", "library": "libraries", "copy": "copies"}


def plural(n: int, word: str) -> str:
    """The form of ``word`` that goes with ``n``: ``photo`` or ``photos``, ``is`` or ``are``; of several words the last is bent."""
    if n == 1:
        return word
    *before, last = word.split(" ")
    return " ".join([*before, _IRREGULAR.get(last, f"{last}s")])


def count_of(n: int, word: str, verb: str = "") -> str:
    """``1 photo``, ``12,345 photos``, ``0 photos``; with a verb ``1 photo is``, ``2 photos are``."""
    return f"{n:,} {plural(n, word)}" + (f" {plural(n, verb)}" if verb else "")


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *before, last = [*parts] or [""]
    return f"{', '.join(before)} and {last}" if before else last


def counts_line(noun: str, counts: Mapping[State, int], names: Mapping[State, str]) -> str:
    """A total and its parts, by their human names: ``78 files: 40 looked through, 38 left aside``."""
    total = sum(counts.values())
    return count_of(total, noun) + (": " + ", ".join(f"{n:,} {names[key]}" for key, n in counts.items() if n) if total else "")


def size_of(size: int) -> str:
    """Bytes in the unit that suits them, by powers of ten: ``512 bytes``, ``3.4 MB``."""
    if size < 1000:
        return count_of(size, "byte")
    value, unit = float(size), "bytes"
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007 - the last one tried is meant
        value /= 1000
        if value < 999.95:
            break
    return f"{value:,.1f} {unit}"


def day_of(taken_at: str | None) -> str | None:
    """The day of a photo's date (ISO 8601): ``2019-05-04``; None where it has none."""
    return taken_at[:10] if taken_at else None


def moment_of(at: str) -> str:
    """A time of ours (ISO 8601, UTC) for people: ``2026-05-04 12:30 UTC``."""
    return f"{at[:10]} {at[11:16]} UTC"


def name_as_kept(text: str) -> str:
    """A person's name in Unicode's normal form (NFC), without space around it."""
    return unicodedata.normalize("NFC", text).strip()


def folded(name: str) -> str:
    """A person's name as two are compared, the one way there is: in Unicode's normal form, without space around it, in one case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).strip()


def printable(text: str, keep: str = "") -> str:
    """Foreign text for a terminal or a page: what could steer it or turn its lines round is shown escaped, as JSON escapes it.

    That is control characters, line separators and the controls of Unicode's bidirectional algorithm. ``keep``: of them, what is meant.
    """
    return _STEERS.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)
