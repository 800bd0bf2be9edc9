from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facesets.records import Reason, State
from facesets.testing import ImmichServer, Library, User, faults
from tests.immich.photos import BIG, photo

from .home import Home

ORIGINAL, SEARCH = "GET /api/assets/{id}/original", "POST /api/search/metadata"
SCRIPT = """
import os, sys
from pathlib import Path
from facesets.immich import Client
from facesets.progress import Silent
from facesets.registry import runs
from facesets.sources.binding import bind
from facesets.sources.immich import ImmichSource
from facesets.staging import stage
from facesets.workspace import Workspace
workspace, said = Workspace.open(Path(sys.argv[1])), Silent()
with workspace.lock(), workspace.registry() as registry, Client(sys.argv[2] + "/api", os.environ["KEY"]) as client:
    user = bind("anna", workspace.settings, registry, client, said)
    stage(workspace, registry, ImmichSource(client, user), run_id=runs.start(registry, "stage"), known_sha256={}, progress=said)
"""


def stage_and_kill(home: Home, server: ImmichServer, user: User, route: str, after: int) -> None:
    """Stage in a process of its own, which is killed when it asks for ``route`` for the ``after``-th time."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(home.workspace.root), server.url],
        env={**os.environ, "KEY": server.key_for(user)},
    )
    server.faults.add(faults.hook("kill", lambda: os.kill(process.pid, signal.SIGKILL)), route, skip=after - 1, times=1)
    server.faults.add(faults.slow(0, 0.01), ORIGINAL)
    assert process.wait(60) == -signal.SIGKILL
    server.faults.clear()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(("route", "after"), [(SEARCH, 2), (ORIGINAL, 1), (ORIGINAL, 23), (ORIGINAL, 60)])
def test_a_killed_staging_ends_as_an_undisturbed_one(
    library: Library, anna: User, server: ImmichServer, new_home: Callable[[], Home], route: str, after: int
) -> None:
    external = library.external(anna)
    for number in range(60):
        library.photo(anna, photo(number), faces=[BIG] if number % 5 else [])
    for number in range(0, 60, 3):
        library.photo(anna, photo(number), faces=[BIG], library=external, file_name=f"{number}.jpg")
    calm, killed = new_home(), new_home()
    calm.stage(server, anna)
    before = server.count(ORIGINAL)
    stage_and_kill(killed, server, anna, route, after)
    killed.stage(server, anna)
    assert killed.outcome() == calm.outcome()
    assert {row.state for row in killed.rows()} <= {State.PENDING, State.SKIPPED, State.DUPLICATE}
    # a kill may cost the downloads that were under way, and duplicates whose file was just removed; nothing more
    assert server.count(ORIGINAL) - before <= before + 8 * 8
    assert not list(Path(killed.workspace.root).rglob("*.part"))
    assert killed.counts()[Reason.STAGED] == len(killed.files())
