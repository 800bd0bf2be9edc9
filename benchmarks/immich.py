"""What the benchmarks of listing and staging share: a testing Immich in a process of its own, and the plain way to read it.

The plain way is what a script would do: one httpx.Client with keep-alive, pages of 1,000, one ``/faces`` call an asset, 8 threads.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.synthetic import SyntheticLibrary
from facesets.immich import Client, connect, session
from facesets.progress import Silent
from facesets.registry import runs
from facesets.sources.binding import bind
from facesets.sources.immich import ImmichSource
from facesets.sources.sync_stream import Stream
from facesets.staging import StageCounters, stage
from facesets.testing import Faults, faults, immich_server
from facesets.testing.immich import Asset
from facesets.workspace import Workspace

THREADS = 8


@dataclass(frozen=True)
class Spec:
    """A library and how it is served. ``latency`` in seconds before every answer; ``file_size`` in bytes."""

    version: str
    count: int
    latency: float = 0.02
    file_size: int = 0


class Mixed(SyntheticLibrary):
    """As libraries are: of six years, every tenth asset a video, every fifth a preview of Immich's own, indexed as a photo."""

    def __init__(self, count: int, *, file_size: int) -> None:
        super().__init__(count, file_size=file_size, step=6 * 365 * 86400 * 4 / count)

    def at(self, number: int) -> Asset:
        """Photo ``number``, made anew."""
        asset = super().at(number)
        if number % 10 == 3:
            asset.type, asset.mime_type = "VIDEO", "video/mp4"
        elif number % 5 == 1:
            asset.original_path = f"/mnt/media/thumbs/{asset.id}-preview.jpeg"
        return asset


@dataclass(frozen=True)
class Serving:
    """Where it is served, and how to get in."""

    url: str
    key: str
    email: str
    password: str


@contextlib.contextmanager
def serving(spec: Spec) -> Iterator[Serving]:
    """The server, in another process, as long as the block runs."""
    command = [sys.executable, "-m", "benchmarks.immich", json.dumps(spec.__dict__)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Serving(**json.loads(process.stdout.readline()))
        process.stdin.close()


def _serve(spec: Spec) -> None:
    library = Mixed(spec.count, file_size=spec.file_size)
    trouble = Faults()
    if spec.latency:
        trouble.add(faults.slow(spec.latency))
    owner = library.owner
    with immich_server(library, spec.version, faults=trouble) as server:
        where = Serving(server.url, server.key_for(owner), owner.email, owner.password)
        print(json.dumps(where.__dict__), flush=True)
        sys.stdin.read()


@dataclass
class Took:
    """What a way took."""

    requests: int
    seconds: float
    assets: int
    files: int = 0

    def line(self, name: str, plain: Took | None = None) -> str:
        """For the screen, with the ratio to the plain way."""
        text = f"{name:<44} {self.requests:>7,} requests {self.seconds:>8.2f} s {self.assets / self.seconds:>9,.0f} assets/s"
        if plain:
            text += f"   {plain.requests / max(1, self.requests):>8,.1f}x fewer {plain.seconds / self.seconds:>7,.1f}x less time"
        return text


def plain_way(where: Serving, *, big: float | None) -> Took:
    """List, ask each asset for its faces, and fetch the originals with a face of ``big`` pixels (None: fetch nothing)."""
    requests, begun, files = 0, time.perf_counter(), 0
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    with (
        httpx.Client(base_url=where.url + "/api", headers={"x-api-key": where.key}, limits=limits, timeout=60) as http,
        ThreadPoolExecutor(THREADS) as pool,
        tempfile.TemporaryDirectory() as folder,
    ):
        items: list[Any] = []
        page: str | None = "1"
        while page:
            answer = http.post("/search/metadata", json={"page": int(page), "size": 1000, "withExif": True})
            found = answer.raise_for_status().json()["assets"]
            requests += 1
            items += found["items"]
            page = found["nextPage"]

        def one(item: Mapping[str, Any]) -> tuple[int, int]:
            faces = http.get("/faces", params={"id": item["id"]}).raise_for_status().json()
            if big is None or not any(_short(face, item) >= big for face in faces):
                return 1, 0
            target = Path(folder) / item["id"]
            with http.stream("GET", f"/assets/{item['id']}/original") as answer, target.open("wb") as file:
                for chunk in answer.raise_for_status().iter_bytes(1 << 18):
                    file.write(chunk)
            return 2, 1

        for asked, fetched in pool.map(one, items):
            requests, files = requests + asked, files + fetched
    return Took(requests, time.perf_counter() - begun, len(items), files)


def _short(face: Mapping[str, Any], item: Mapping[str, Any]) -> float:
    scale = float(item["exifInfo"]["exifImageWidth"] / face["imageWidth"])
    return scale * float(min(face["boundingBoxX2"] - face["boundingBoxX1"], face["boundingBoxY2"] - face["boundingBoxY1"]))


class Ours:
    """Facesets on that server: one workspace, staged again and again."""

    def __init__(self, where: Serving, folder: Path, *, big: int) -> None:
        self.where, self.token = where, ""
        made = Workspace.init(folder)
        text = made.root / "facesets.toml"
        text.write_text(text.read_text().replace("# min_face_short = 90", f"min_face_short = {big}", 1))
        self.workspace = Workspace.open(folder)
        self.counters = StageCounters()

    def log_in(self) -> None:
        """Use a login's stream from now on."""
        with Client(self.where.url + "/api", "") as client:
            self.token, _ = session.login(client, self.where.email, self.where.password)

    def stage(self, *, full: bool = False) -> Took:
        """Stage, as ``facesets stage`` does."""
        begun = time.perf_counter()
        client, _ = connect(self.where.url, self.token or self.where.key, session=bool(self.token))
        with client, self.workspace.registry() as registry:
            user = bind("owner", self.workspace.settings, registry, client, Silent())
            source = ImmichSource(client, user)
            source.stream = Stream(client, self.token) if self.token else None
            run = runs.start(registry, "stage")
            self.counters = stage(self.workspace, registry, source, run_id=run, known_sha256={}, full=full, progress=Silent())
            took = Took(client.traffic.requests, 0.0, self.counters.total_assets_seen, self.counters.downloads)
        took.seconds = time.perf_counter() - begun
        assert self.counters.total_assets_seen == self.counters.already_settled + sum(self.counters.by_reason.values())
        assert self.counters.reconciliation is not None
        assert self.counters.reconciliation.agrees, str(self.counters.reconciliation)
        return took


if __name__ == "__main__":
    _serve(Spec(**json.loads(sys.argv[1])))
