"""A workspace and one staging after another in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from facesets.immich import Client
from facesets.photos import DecoderPool
from facesets.progress import Silent
from facesets.records import Reason
from facesets.registry import assets, runs
from facesets.sources import Source
from facesets.sources.binding import bind, bind_folder
from facesets.sources.folder import FolderSource
from facesets.sources.immich import ImmichSource
from facesets.staging import StageCounters, stage
from facesets.testing import ImmichServer, User
from facesets.workspace import Workspace


@dataclass
class Home:
    """``outcome`` is what an undisturbed and a disturbed staging must agree on."""

    workspace: Workspace
    said: Silent = field(default_factory=Silent)
    external: dict[str, str] = field(default_factory=dict)
    source: Source | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def make(cls, root: Path, **stage_settings: object) -> Home:
        workspace = Workspace.init(root)
        settings = replace(workspace.settings, stage=replace(workspace.settings.stage, **stage_settings))  # type: ignore[arg-type]
        return cls(replace(workspace, settings=settings))

    def stage(self, server: ImmichServer, user: User, label: str = "anna", *, full: bool = False, **client: object) -> StageCounters:
        """List and bring what ``user``'s key shows; a client that does not sleep between attempts."""
        options = {"sleep": lambda _: None, "timeout": 5.0, **client}
        with Client(server.url + "/api", server.key_for(user), **options) as made, self.workspace.registry() as registry:  # type: ignore[arg-type]
            bound = bind(label, self.workspace.settings, registry, made, self.said)
            return self._run(ImmichSource(made, bound, page_size=self.workspace.settings.stage.page_size), full=full)

    def stage_folder(self, folder: Path, label: str = "box", *, accept_missing: bool = False) -> StageCounters:
        with self.workspace.registry() as registry:
            bound = bind_folder(label, folder, self.workspace.settings, registry, self.said)
        with DecoderPool() as decoders:
            return self._run(FolderSource(folder, bound, decoders), accept_missing=accept_missing)

    def _run(self, source: Source, *, full: bool = False, accept_missing: bool = False) -> StageCounters:
        self.source = source
        with self.workspace.registry() as registry:
            run = runs.start(registry, "stage")
            counters = stage(
                self.workspace,
                registry,
                source,
                run_id=run,
                known_sha256=self.external,
                full=full,
                progress=self.said,
                clock=self.clock,
                accept_missing=accept_missing,
            )
            runs.finish(registry, run, 0, counters.as_dict())
        assert counters.total_assets_seen == counters.already_settled + sum(counters.by_reason.values())
        return counters

    def rows(self) -> list[assets.AssetRow]:
        with self.workspace.registry() as registry:
            return list(assets.select(registry))

    def reasons(self) -> dict[str, Reason]:
        """Asset id -> reason."""
        return {row.asset.asset_id: row.reason for row in self.rows()}

    def counts(self) -> Mapping[Reason, int]:
        with self.workspace.registry() as registry:
            return assets.counts(registry)

    def files(self) -> dict[str, bytes]:
        """Every file under photos."""
        root = self.workspace.root / "photos"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    def outcome(self) -> tuple[dict[str, object], dict[str, bytes]]:
        """What became of each asset, and the bytes on disk."""
        rows = self.rows()
        ids = {row.id: row.asset.asset_id for row in rows}
        return (
            {r.asset.asset_id: (r.reason, r.sha256, r.path, None if r.kept_id is None else ids[r.kept_id], r.asset.sha1) for r in rows},
            self.files(),
        )
