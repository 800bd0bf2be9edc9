"""The demo: an embedded Immich with a sample library, and the real pipeline against it. Stands on top, beside the command line.

Touches the demo's folder and loopback. A finished demo folder is found as it was left: nothing is fetched, embedded or made again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from facesets import pipeline
from facesets.errors import FacesetsError, UsageError
from facesets.export import VerifyReport, verify
from facesets.pipeline import Summary
from facesets.progress import Progress
from facesets.records import Reason
from facesets.registry import Registry, faces, originals
from facesets.report import write_report
from facesets.settings import SETTINGS_FILE
from facesets.testing import Faults, faults, immich_server
from facesets.testing.sample_library import SampleLibrary, sample_library
from facesets.workspace import Workspace

FOLDER = "facesets-demo"
LABEL = "sam"
SHOWN = "astronaut"  # a public-domain portrait by NASA: the one face a picture of the report may show
_PAGE = 25  # small pages, so that a small library has several


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo did, where its report is, and whether the sets are proven."""

    summary: Summary
    report: Path
    verified: VerifyReport

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self.summary.document() | {"report": str(self.report), "verify": asdict(self.verified)}


def demo(folder: Path, *, blur: bool = False, progress: Progress, sample: SampleLibrary | None = None) -> Demo:
    """Run the pipeline on the sample library in ``folder``, a new, empty, half-made or finished demo folder.

    ``blur`` makes all faces in the report unrecognisable but the astronaut's; ``sample`` is the library, where it is made already.
    Raises PackUnavailable where the ``open`` extra is missing, UsageError where ``folder`` is something else, and what a run raises.
    """
    if sample is None:
        with progress.task("taking sample photos"):
            sample = sample_library()
    with serving(prepared(folder, sample), sample, progress) as workspace:
        summary, left = pipeline.run(workspace, [LABEL], pack_name="open", progress=progress)
    if left:
        raise left
    with workspace.registry() as registry:
        verified = verify(workspace, registry)
        shown = _sets_of(SHOWN, registry, sample) if blur else None
        report = write_report(workspace, registry, blur_except=shown, progress=progress)
    if not verified.ok:
        raise FacesetsError("the demo's sets are not as recorded: " + "; ".join(map(str, verified.problems)))
    return Demo(summary, report, verified)


def prepared(folder: Path, sample: SampleLibrary) -> Workspace:
    """The demo's workspace with the curated set in it, made where ``folder`` is not there or empty. Raises UsageError.

    It is made beside and renamed, so that a folder is a whole demo or none.
    """
    folder = folder.absolute()
    if (folder / SETTINGS_FILE).is_file():
        workspace = Workspace.open(folder, environ=_engine())
        if workspace.settings.users.get(LABEL) != sample.owner.id:
            raise UsageError(f"{folder} is a workspace of your own; name another folder for the demo: --dir DIR")
        return workspace
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty and no demo; name another folder: --dir DIR")
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    curated = Workspace.init(making, users={LABEL: sample.owner.id}).facesets / "faceset_001"
    curated.mkdir(mode=0o700, parents=True)
    for name, data in sample.curated.items():
        (curated / name).write_bytes(data)
    if folder.exists():
        folder.rmdir()
    making.rename(folder)
    return Workspace.open(folder, environ=_engine())


def _engine() -> dict[str, str]:
    """The one variable of the user's that a demo heeds: its own server and key stand in for the others."""
    return {name: os.environ[name] for name in ("FACESETS_ENGINE",) if name in os.environ}


@contextmanager
def serving(workspace: Workspace, sample: SampleLibrary, progress: Progress) -> Iterator[Workspace]:
    """The workspace, with the sample library behind it on a free port while the block runs. Address and key are written nowhere."""
    stumble = Faults().add(faults.status(503), "GET /api/assets/{id}/original", containing=sample.stumbles.id, times=1)
    key = sample.library.key_for(sample.owner)
    with immich_server(sample.library, faults=stumble) as server, _environment(f"IMMICH_API_KEY_{LABEL.upper()}", key):
        progress.note(f"A sample Immich with {len(sample.library.assets)} photos answers at {server.url}; nothing leaves this machine.")
        own = workspace.settings
        connected = replace(own, immich=replace(own.immich, url=server.url), stage=replace(own.stage, page_size=_PAGE))
        yield replace(workspace, settings=connected)


def _sets_of(sitter: str, registry: Registry, sample: SampleLibrary) -> frozenset[str]:
    """Names of the sets made of photos that show this one person."""
    kept = originals.asset_by_key(registry)
    shown: dict[str, set[tuple[str, ...]]] = {}
    for row in faces.select(registry, reasons=(Reason.MEMBER,)):
        asset = kept.get(row.face.sha256)
        shown.setdefault(row.set_name or "", set()).add(sample.people.get(asset.asset.asset_id, ()) if asset else ())
    return frozenset(name for name, people in shown.items() if people == {(sitter,)})


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable for the block alone; a key's first place, so that no key of the user's own is taken."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
