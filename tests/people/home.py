"""A workspace with sets, and what tests of acts ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facesets.changes import Revised, write_revisions
from facesets.export import VerifyReport, verify
from facesets.photos.decoder_pool import DecoderPool
from facesets.progress import Silent
from facesets.registry import Registry, sets
from facesets.workspace import Workspace

from ..pipeline.world import CommandLine, tree

ONE, TWO, THREE = "faceset_001", "faceset_002", "faceset_003"


@dataclass
class Home:
    workspace: Workspace
    registry: Registry
    decoders: DecoderPool
    cli: CommandLine

    @property
    def root(self) -> Path:
        return self.workspace.facesets

    def write(self) -> Revised:
        return write_revisions(self.workspace, self.registry, Silent(), self.decoders)

    def tree(self) -> dict[str, str]:
        """Every file of every set and the manifest, with its hash; without the history."""
        return {path: digest for path, digest in tree(self.root).items() if not path.startswith(".")}

    def faces(self, name: str) -> list[str]:
        """Ids of a set's members, best first."""
        return [key for _, key, _ in sets.members(self.registry, name)]

    def crop(self, name: str, face: str) -> str:
        """The file of a member, below the folder of sets."""
        return next(f"{name}/{file}" for key, _, file in sets.member_files(self.registry, name) if key == face)

    def verify(self) -> VerifyReport:
        return verify(self.workspace, self.registry)
