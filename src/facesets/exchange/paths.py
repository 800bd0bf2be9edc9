"""One photo, two machines: our paths and the worker's. Pure; knows Windows' spelling on any machine.

A map is ``{our prefix: the worker's prefix}``, e.g. ``{"/mnt/x/": "X:\\\\"}``; the longest prefix that fits decides.
"""

from __future__ import annotations

from collections.abc import Mapping


def to_worker(path: str, path_map: Mapping[str, str]) -> str:
    """``path`` of ours as the worker sees it; unchanged where no prefix fits."""
    return _moved(path, list(path_map.items()))


def to_ours(path: str, path_map: Mapping[str, str]) -> str:
    """``path`` of the worker's as we see it; unchanged where no prefix fits."""
    return _moved(path, [(theirs, ours) for ours, theirs in path_map.items()])


def _moved(path: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in sorted(pairs, key=lambda pair: -len(pair[0])):
        head, rest = path[: len(old)], path[len(old) :]
        ends = old[-1:] in "/\\" or rest[:1] in ("", "/", "\\")  # /mnt/x is no prefix of /mnt/xy
        if old and ends and _comparable(head, old) == _comparable(old, old):
            return new + (rest.replace("/", "\\") if "\\" in new else rest.replace("\\", "/") if "\\" in old else rest)
    return path


def _comparable(path: str, prefix: str) -> str:
    """Windows takes either slash and any case."""
    windows = "\\" in prefix or prefix[1:2] == ":"
    return path.replace("\\", "/").lower() if windows else path
