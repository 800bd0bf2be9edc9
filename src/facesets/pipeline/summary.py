"""Pipeline: what a run did, and what a workspace holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from facesets.records import Reason, State
from facesets.registry import Registry, assets, faces, preembedded
from facesets.workspace import Workspace


@dataclass
class Summary:
    """What a run did. ``listed`` counts assets of all types that the sources have, by this invocation's listings."""

    workspace: str
    folder_of_sets: str
    listed: int = 0
    requests: int = 0
    downloads: int = 0
    embedded: int = 0
    assets_by_state: dict[str, int] = field(default_factory=dict)
    faces_by_state: dict[str, int] = field(default_factory=dict)
    assets_by_reason: dict[str, int] = field(default_factory=dict)
    faces_by_reason: dict[str, int] = field(default_factory=dict)
    gone: int = 0  # photos that were listed once, and are no longer at their source
    sets_new: list[str] = field(default_factory=list)
    sets_unchanged: list[str] = field(default_factory=list)
    sets_revised: list[str] = field(default_factory=list)  # whose folders followed what their user decided
    eras_written: list[str] = field(default_factory=list)  # that are new, or followed their sets
    folders_ignored: list[str] = field(default_factory=list)  # in the folder of sets, and no set by their name
    retryable: int = 0
    originals_spared: int = 0  # photos whose faces Immich had measured, and whose bytes no set needs
    bytes_spared: int = 0
    pack: str | None = None
    steps: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def count(workspace: Workspace, registry: Registry) -> Summary:
    """What the workspace holds, without doing anything."""
    summary = Summary(str(workspace.root), str(workspace.facesets))
    add_counts(registry, summary)
    summary.retryable = summary.assets_by_state.get(State.RETRY, 0)
    return summary


def add_counts(registry: Registry, summary: Summary) -> None:
    """Add where every asset and face has got to."""
    by_asset, by_face = assets.counts(registry), faces.counts(registry)
    summary.gone = by_asset.pop(Reason.GONE, 0)  # of no listing, so that the sums are those of the listings
    summary.assets_by_state, summary.faces_by_state = assets.by_state(by_asset), assets.by_state(by_face)
    summary.originals_spared, summary.bytes_spared = preembedded.spared(registry)
    summary.assets_by_reason = {str(reason): n for reason, n in by_asset.items()}
    summary.faces_by_reason = {str(reason): n for reason, n in by_face.items()}
