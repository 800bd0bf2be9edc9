"""What a person is called at the other end: names of files and folders, and what services take. Pure."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')  # Windows takes none of these, and no system a slash
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_LONGEST = 60  # characters: four bytes each still fit any file system


def file_name(name: str, otherwise: str) -> str:
    """``name`` as the name of a file or folder on any system; ``otherwise`` where nothing of it is left."""
    plain = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co"))
    clean = _FORBIDDEN.sub("_", " ".join(plain.split())).strip(" .")[:_LONGEST].strip(" .")
    if not clean or not clean.strip("_"):
        return otherwise
    return f"_{clean}" if _RESERVED.fullmatch(clean) else clean


def frigate_name(name: str, otherwise: str) -> str:
    """``name`` as Frigate takes it: 1 to 50 letters, digits, spaces, apostrophes, underscores and hyphens; never ``train``."""
    kept = "".join(c if unicodedata.category(c)[0] in "LN" or c in "'_-" else " " for c in unicodedata.normalize("NFC", name))
    clean = " ".join(kept.split())[:50].strip()
    return otherwise if clean.lower() in ("", "train") else clean


def tag_name(name: str, otherwise: str) -> str:
    """``name`` as one line; ``otherwise`` where nothing of it is left."""
    return one_line(name) or otherwise


def one_line(name: str) -> str:
    """``name`` on one line, without control characters: for captions, subjects and tags."""
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in unicodedata.normalize("NFC", name))
    return " ".join(plain.encode("utf-8", "ignore").decode().split())
