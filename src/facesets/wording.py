"""Numbers, sizes and dates as messages and pages say them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from facesets.records import State

_IRREGULAR = {"person": "people", "is": "are", "has": "have", "was": "were", "does": "do", "library": "libraries", "copy": "copies"}


def plural(n: int, word: str) -> str:
    """The form of ``word`` that goes with ``n``: ``photo`` or ``photos``, ``is`` or ``are``; of several words the last is bent."""
    if n == 1:
        return word
    *before, last = word.split(" ")
    return " ".join([*before, _IRREGULAR.get(last, f"{last}s")])


def count_of(n: int, word: str) -> str:
    """``1 photo``, ``12,345 photos``, ``0 photos``."""
    return f"{n:,} {plural(n, word)}"


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


def printable(text: str) -> str:
    """A foreign name for a terminal: where anything in it does not print, control characters above all, it is shown escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
