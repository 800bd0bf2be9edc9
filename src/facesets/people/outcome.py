"""What an act came to: in sentences, and as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """``decision`` is its number in the history; None of a dry run, and where there was nothing to do.

    ``sentences`` say what changed, ``notes`` what else is worth knowing; ``changes`` has the same as data. ``folders`` are the sets
    whose folders are still to follow.
    """

    act: str
    decision: int | None
    sentences: tuple[str, ...]
    changes: dict[str, Any]
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "act": self.act, "decision": self.decision, "dry_run": self.dry_run, "sentences": list(self.sentences),
            "notes": list(self.notes), "changes": self.changes, "sets_to_revise": list(self.folders),
        }  # fmt: skip


@dataclass(slots=True)
class Effects:
    """What an act does, collected while it does it: files out of and into sets' folders, and what is said of it."""

    decision: int = 0
    out: dict[str, list[str]] = field(default_factory=dict)
    into: dict[str, dict[str, str]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] = field(default_factory=dict)  # of a folder, where the act says that it is right as it is

    def leaves(self, name: str, path: str | None) -> None:
        """A file goes from a set's folder; None: a face whose crop was never in it."""
        self.touches(name)
        if path is not None:
            self.out.setdefault(name, []).append(path)

    def comes(self, name: str, path: str, sha256: str) -> None:
        """A file comes into a set's folder."""
        self.touches(name)
        self.into.setdefault(name, {})[path] = sha256

    def touches(self, name: str) -> None:
        """A set's folder has to follow."""
        if name not in self.folders:
            self.folders.append(name)
