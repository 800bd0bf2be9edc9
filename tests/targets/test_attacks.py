"""Exports where somebody means harm or things go badly: records that lie, links, kills, full disks, names alike, two at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from facesets import export_to, people, targets
from facesets.errors import BadAnswer, CorruptFile, FacesetsError, Refused, ServerFailed, UsageError
from facesets.progress import Silent
from facesets.registry import backups, exports
from facesets.targets import compreface, doubletake, frigate, service
from facesets.targets.record import RECORD, read_record
from facesets.targets.service import Service
from facesets.testing.double_take import double_take_server
from facesets.testing.immich.transport import Response
from facesets.testing.services import json_answer
from facesets.workspace import Workspace
from tests.pipeline.world import CommandLine
from tests.pipeline.world import tree as bytes_of

from .conftest import agree, change, drop_face, name


@pytest.fixture(scope="module")
def made(drawn: Path) -> Path:
    return drawn


def record_of(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / RECORD).read_bytes())
    return document


OUTSIDE = ("../victim.txt", "/victim.txt", "Grandma/../../victim.txt", "..\\victim.txt", "c:victim.txt", "a\0b", "\ud800", "")


@pytest.mark.parametrize("target", ["folder", "xmp"])
def test_a_record_that_names_files_outside_of_its_folder_is_not_followed(target: str, agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_to(agreed, target, ["Grandma"], out=out)
    document = record_of(out)
    (part,) = document["sets"].values()
    file, entry = next(iter(part["files"].items()))
    victim = tmp_path / Path(file).name
    (out / file).rename(victim)  # a file of the bytes that the record tells
    part["files"][f"../{victim.name}"] = entry
    (out / RECORD).write_text(json.dumps(document))
    before = bytes_of(out)
    for remove in (False, True):
        with pytest.raises(CorruptFile, match="which is not in this folder"):
            export_to(agreed, target, ["Grandma"], out=out, remove=remove)
    assert (bytes_of(out), victim.is_file()) == (before, True)


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("target", ["folder", "xmp"])
def test_no_path_in_a_record_leads_out_of_its_folder(target: str, path: str, tmp_path: Path) -> None:
    files = {path: {"sha256": "0" * 64, "faces": {}}}
    document = {"schema": "facesets.export/1", "target": target, "sets": {"2@x": {"set": "faceset_002", "files": files}}}
    (tmp_path / RECORD).write_text(json.dumps(document))
    with pytest.raises(CorruptFile, match="which is not in this folder"):
        read_record(tmp_path / RECORD, target, "@x")


@pytest.mark.parametrize(
    "sets",
    [
        [], {"2": []}, {"2": {"set": "x", "files": []}}, {"2": {"set": "x", "files": {"a": "b"}}},
        {"2": {"set": "x", "files": {"a": {}}}},
        {"2": {"set": 1, "files": {}}}, {"2": {"set": "x", "files": {"a": {"sha256": 1}}}},
        {"2": {"set": "x", "files": {"a": {"faces": [1]}}}},
        {"2": {"set": "x", "files": {"a": {"faces": {"f": {"region": {"name": 1}}}}}}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["folder", "xmp"])
def test_a_record_of_another_shape_is_said_in_words(target: str, sets: object, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps({"schema": "facesets.export/1", "target": target, "sets": sets}))
    with pytest.raises(CorruptFile, match="not a record of an export"):
        read_record(tmp_path / RECORD, target, "@x")


def test_no_sidecar_is_written_through_a_link(workspace: Workspace, tmp_path: Path) -> None:
    first, out, theirs = tmp_path / "first", tmp_path / "out", tmp_path / "theirs"
    export_to(workspace, "xmp", ["Grandma"], out=first)
    sidecars = sorted((path.relative_to(first) for path in first.rglob("*.xmp")), key=lambda path: -len(path.parts))
    theirs.mkdir()
    out.mkdir()
    (out / sidecars[0].parent).symlink_to(theirs)
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=out).people
    assert (one.new, list(theirs.iterdir())) == (sum(file.parent != sidecars[0].parent for file in sidecars), [])
    assert any("a link leads to somewhere else" in note for note in one.notes)
    (out / sidecars[0].parent).unlink()
    (out / sidecars[0]).parent.mkdir()
    (theirs / "mine.xmp").write_bytes((first / sidecars[0]).read_bytes())
    (out / sidecars[0]).symlink_to(theirs / "mine.xmp")
    before = bytes_of(theirs)
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=out).people
    assert (one.new + one.kept, bytes_of(theirs), (out / sidecars[0]).is_symlink()) == (len(sidecars) - 1, before, True)


def test_a_link_that_leads_nowhere_is_a_strangers_too(agreed: Workspace, tmp_path: Path) -> None:
    export_to(agreed, "fsz", ["Grandma"], out=tmp_path / "first")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Grandma.fsz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused, match="is not of this export"):
        export_to(agreed, "fsz", ["Grandma"], out=tmp_path / "out")
    assert (tmp_path / "out" / "Grandma.fsz").is_symlink()


@pytest.mark.parametrize(("one", "other"), [("Grandma", "GRANDMA"), ("A/B", "A:B"), ("Zoë", "Zoe\N{COMBINING DIAERESIS}")])
def test_two_people_whose_names_are_one_on_the_disk_never_share_a_folder(
    one: str, other: str, agreed: Workspace, tmp_path: Path
) -> None:
    name(agreed, "faceset_002", one)
    name(agreed, "faceset_003", other)
    agree(agreed, "faceset_003")
    with pytest.raises(Refused, match="faceset_002 and faceset_003 are both called"):
        export_to(agreed, "folder", ["faceset_002", "faceset_003"], out=tmp_path)
    export_to(agreed, "folder", ["faceset_002"], out=tmp_path)
    before = bytes_of(tmp_path)
    with pytest.raises(Refused, match="holds the export of faceset_002, and one would be taken for the other"):
        export_to(agreed, "folder", ["faceset_003"], out=tmp_path)
    assert bytes_of(tmp_path) == before


@pytest.mark.parametrize(
    "url",
    ["http://u:geheim@h:1", "http://geheim@h", "http://h:99999", "http:// h", "ftp://h", "http://h/?a=b", "http://h/#x", "http://"],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_and_kept_nowhere(url: str, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="address"):
        export_to(workspace, "frigate-api", ["Grandma"], url=url)
    assert b"geheim" not in workspace.registry_file.read_bytes()


def test_a_folder_is_one_however_it_is_written_and_a_ring_of_links_is_none(agreed: Workspace, tmp_path: Path) -> None:
    (one,) = export_to(agreed, "folder", ["Grandma"], out=tmp_path / "a" / ".." / "out").people
    assert one.place == str(tmp_path / "out")
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(UsageError, match="ring"):
        export_to(agreed, "folder", ["Grandma"], out=tmp_path / "ring")
    with pytest.raises(UsageError, match="keeps its own files"):
        export_to(agreed, "folder", ["Grandma"], out=agreed.root)


def test_two_workspaces_share_a_folder_and_neither_takes_the_others_files_away(agreed: Workspace, tmp_path: Path) -> None:
    shutil.copytree(agreed.root, tmp_path / "second")
    second = Workspace.open(tmp_path / "second")
    name(second, "faceset_002", "Aunt")
    agree(second, "faceset_002")
    out = tmp_path / "out"
    export_to(agreed, "folder", ["Grandma"], out=out)
    export_to(second, "folder", ["Aunt"], out=out)
    assert {path.name for path in out.iterdir()} == {RECORD, "Grandma", "Aunt"}
    name(second, "faceset_002", "grandma")
    with pytest.raises(Refused, match="one would be taken for the other"):
        export_to(second, "folder", ["faceset_002"], out=out)
    export_to(agreed, "folder", ["Grandma"], out=out, remove=True)
    assert {path.name for path in out.iterdir()} == {RECORD, "Aunt"}


@pytest.mark.parametrize("target", ["folder", "xmp"])
def test_a_record_of_an_earlier_version_is_gone_on_with(target: str, agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_to(agreed, target, ["Grandma"], out=out)
    now, document = bytes_of(out), record_of(out)
    document["sets"] = {key.partition("@")[0]: part for key, part in document["sets"].items()}  # no word of a workspace
    (out / RECORD).write_text(json.dumps(document))
    (one,) = export_to(agreed, target, ["Grandma"], out=out).people
    assert (one.new, one.kept > 0, bytes_of(out)) == (0, True, now)
    (out / RECORD).write_text(json.dumps(document))
    export_to(agreed, target, ["Grandma"], out=out, remove=True)
    assert not out.exists() or not any(out.iterdir())


@pytest.mark.parametrize("target", ["folder", "xmp"])
def test_what_was_exported_of_a_set_that_was_merged_goes_with_the_next_export(target: str, agreed: Workspace, tmp_path: Path) -> None:
    agree(agreed, "faceset_003")
    out = tmp_path / "out"
    export_to(agreed, target, ["Grandma"], out=out)
    only = bytes_of(out)
    export_to(agreed, target, ["Opa"], out=out)
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE sets SET retired = 1 WHERE name = 'faceset_003'")
    change(agreed, "faceset_003", standing="merged")
    gone, one = export_to(agreed, target, ["Grandma"], out=out).people
    assert (gone.set_name, gone.withdrawn > 0, "is a set no longer" in gone.notes[0], one.new) == ("faceset_003", True, True, 0)
    assert {path: data for path, data in bytes_of(out).items() if path != RECORD} == {
        path: data for path, data in only.items() if path != RECORD
    }
    assert len(export_to(agreed, target, ["Grandma"], out=out).people) == 1


@pytest.mark.parametrize(("target", "gone"), [("folder", "ignored"), ("xmp", "ignored"), ("frigate", "nameless"), ("xmp", "nameless")])
@pytest.mark.parametrize("remove", [False, True])
def test_what_was_exported_of_somebody_who_is_no_longer_goes_with_the_next_export_and_with_remove(
    target: str, gone: str, remove: bool, agreed: Workspace, tmp_path: Path
) -> None:
    agree(agreed, "faceset_003")
    out = tmp_path / "out"
    export_to(agreed, target, ["Opa"], out=out)
    assert bytes_of(out)
    if gone == "ignored":
        change(agreed, "faceset_003", standing="ignored")
    else:
        name(agreed, "faceset_003", None)
    why = {"ignored": "is ignored", "nameless": "has no name any more"}[gone]
    one, *_ = export_to(agreed, target, ["Grandma"], out=out, remove=remove).people
    assert (one.set_name, one.withdrawn > 0, one.notes[0].startswith(why)) == ("faceset_003", True, True)
    assert not [path for path, data in bytes_of(out).items() if "Opa" in path or "Opa" in str(data)]
    assert out.exists() is not (remove and target != "xmp")


def test_ignored_people_go_even_where_nobody_else_has_a_name(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_to(workspace, "frigate", out=out)
    for set_name in ("faceset_002", "faceset_003"):
        change(workspace, set_name, standing="ignored")
    assert [one.withdrawn > 0 for one in export_to(workspace, "frigate", out=out).people] == [True, True]
    assert not out.exists()
    with pytest.raises(UsageError, match="nobody has a name yet"):
        export_to(workspace, "frigate", out=out)


def test_what_was_exported_is_known_after_an_older_registry_was_brought_back(
    agreed: Workspace, facesets: CommandLine, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    backups.make(agreed.registry_file, "schema-7")
    with double_take_server(tmp_path / "storage") as server:
        first = export_to(agreed, "doubletake", url=server.url)
        export_to(agreed, "folder", ["Grandma"], out=out)
        made = bytes_of(out)
        assert facesets("restore", "20").code == 0
        again = export_to(agreed, "doubletake", url=server.url)
        assert [(one.new, one.kept, one.withdrawn) for one in again.people] == [(0, one.new, 0) for one in first.people]
    (one,) = export_to(agreed, "folder", ["Grandma"], out=out).people
    assert (one.new, one.withdrawn, bytes_of(out)) == (0, 0, made)
    assert str(out) in facesets("consent", "Grandma", "--withdraw", "--by", "Grandma").out


def test_nobody_is_taken_out_whom_a_registry_that_was_brought_back_does_not_know_yet(agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_to(agreed, "frigate", out=out)
    made, record = bytes_of(out / "Grandma"), out / RECORD
    record.write_text(record.read_text().replace('"2@', '"99@'))
    (one,) = export_to(agreed, "frigate", ["Opa"], out=out).people
    assert (one.name, one.withdrawn, bytes_of(out / "Grandma")) == ("Opa", 0, made)


def test_a_person_whose_new_name_is_the_same_on_the_disk_loses_no_file(agreed: Workspace, tmp_path: Path) -> None:
    """A link does here what a disk does that knows no capitals: one folder has two names."""
    out = tmp_path / "out"
    export_to(agreed, "folder", ["Grandma"], out=out)
    before = bytes_of(out / "Grandma")
    (out / "GRANDMA").symlink_to("Grandma")
    name(agreed, "faceset_002", "GRANDMA")
    (one,) = export_to(agreed, "folder", ["GRANDMA"], out=out).people
    assert (one.new, one.kept, one.withdrawn, bytes_of(out / "Grandma")) == (0, 9, 0, before)
    drop = drop_face(agreed, "faceset_002")
    (one,) = export_to(agreed, "folder", ["GRANDMA"], out=out).people
    assert (one.withdrawn, len(bytes_of(out / "Grandma"))) == (1, 8), drop


def test_a_set_that_was_merged_away_is_told_where_it_went(agreed: Workspace, tmp_path: Path) -> None:
    with agreed.lock(), agreed.registry() as registry:
        people.merge(agreed, registry, "faceset_003", "faceset_002", name="Grandma")
        people.merge(agreed, registry, "faceset_002", "faceset_001", name="Grandma")
        words = r"faceset_003 .* is part of faceset_001 \(Grandma\) now, number 1\. Type faceset_001 instead"
        for verb in (lambda: people.confirm(agreed, registry, ["faceset_003"]), lambda: targets.find(registry, "Opa")):
            with pytest.raises(UsageError, match=words):
                verb()
    with pytest.raises(UsageError, match=words):
        export_to(agreed, "frigate", ["faceset_003"], out=tmp_path / "out")


@pytest.mark.parametrize("folder", ["facesets", "facesets/faceset_002", "crops", "photos/anna"])
def test_no_export_goes_among_the_workspaces_own_files(folder: str, agreed: Workspace) -> None:
    before = bytes_of(agreed.facesets)
    with pytest.raises(UsageError, match="keeps its own files"):
        export_to(agreed, "folder", ["Grandma"], out=agreed.root / folder)
    assert bytes_of(agreed.facesets) == before


_SLOWLY = """
import os, sys, time
from pathlib import Path
from facesets import export_to, people, targets
from facesets.workspace import Workspace
fsync = os.fsync
def slowly(handle):
    fsync(handle)
    print("synced", flush=True)
    time.sleep(0.05)
os.fsync = slowly
export_to(Workspace.open(Path(sys.argv[1])), "folder", ["Grandma"], out=Path(sys.argv[2]))
"""


@pytest.mark.parametrize("syncs", [1, 8])
def test_what_kill_9_leaves_half_written_is_cleared_by_the_next_run(syncs: int, agreed: Workspace, tmp_path: Path) -> None:
    export_to(agreed, "folder", ["Grandma"], out=tmp_path / "whole")
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", _SLOWLY, str(agreed.root), str(out)], stdout=subprocess.PIPE, env=dict(os.environ), text=True
    )
    assert child.stdout is not None
    for _ in range(syncs):  # a file's first sync is before it has its name
        assert child.stdout.readline() == "synced\n"
    deadline = time.monotonic() + 60
    while not list(out.rglob("*.part")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert list(out.rglob("*.part"))
    export_to(agreed, "folder", ["Grandma"], out=out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    export_to(agreed, "folder", ["Grandma"], out=out, remove=True)
    assert not out.exists()


def test_a_disk_that_is_full_is_said_and_goes_on_when_there_is_room(agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "disk"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(out)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs leave to mount a tmpfs")
    try:
        with pytest.raises(FacesetsError, match="the disk is full"):
            export_to(agreed, "folder", ["Grandma"], out=out)
        assert not list(out.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
        export_to(agreed, "folder", ["Grandma"], out=out)
        export_to(agreed, "folder", ["Grandma"], out=tmp_path / "whole")
        assert bytes_of(out) == bytes_of(tmp_path / "whole")
    finally:
        subprocess.run(["umount", out], check=True)


ODD: tuple[object, ...] = (
    None, 1, "text", [], {}, [1], {"faces": 1}, {"faces": [1]}, {"faces": [{}]}, {"faces": [], "total_pages": "x"},
    [{"name": "Grandma"}], [{"id": 1, "name": "Grandma", "file": "a.jpg"}], {"Grandma": 3}, {"Grandma": {"a": 1}}, {"success": True},
    {"message": 4}, {"faces": [], "total_pages": 1},
)  # fmt: skip


@contextmanager
def answering(get: object, post: object, status: int = 200, delay: float = 0.0, drip: float = 0.0) -> Iterator[str]:
    """A service with one answer to every question, and one to everything that it is sent; yields its address."""

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, get)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._say(status, post)

        def _say(self, code: int, body: object) -> None:
            time.sleep(delay)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Location", "https://login.example")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(ConnectionError):
                for piece in [data[i : i + 1] for i in range(len(data))] if drip else [data]:
                    self.wfile.write(piece)
                    time.sleep(drip)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


EMPTY: dict[str, object] = {"frigate-api": {}, "compreface": {"faces": []}, "doubletake": []}


def one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first face sent, as any bytes: what is asked here is how a service is spoken to."""
    monkeypatch.setattr(frigate, "_chosen", lambda job, *_: [(job.candidates[0], b"picture")])
    for module in (compreface, doubletake):
        monkeypatch.setattr(
            module, "pictures_of", lambda job, *_, **__: {job.candidates[0].face.face_id: (job.candidates[0], b"picture")}
        )


@pytest.mark.parametrize("target", sorted(EMPTY))
def test_odd_answers_of_a_service_are_told_and_never_a_crash(
    target: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    one_picture(monkeypatch)
    told = 0
    for odd in (*ODD, b"<html>", b"", b"\xff\xfe", b"[" * 5000):
        for get, post in ((odd, {}), (EMPTY[target], odd)):
            with answering(get, post) as url:
                try:
                    export_to(workspace, target, ["Grandma"], url=url, count=1, dry_run=get is odd)
                except FacesetsError as err:
                    told += url in str(err)
    assert told >= 10


def test_a_service_that_is_too_slow_is_told_in_words(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    settings = workspace.root / "facesets.toml"
    settings.write_text(settings.read_text().replace("[immich]", "[immich]\ntimeout = 0.2", 1))
    with answering({}, {}, delay=0.6) as url, pytest.raises(FacesetsError, match=r"does not answer: .*Run the same command again"):
        export_to(Workspace.open(workspace.root), "frigate-api", ["Grandma"], url=url, dry_run=True)


def test_a_service_whose_answer_comes_in_drops_is_not_waited_for_without_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    settings = workspace.root / "facesets.toml"
    settings.write_text(settings.read_text().replace("[immich]", "[immich]\ntimeout = 0.2", 1))
    with answering({"train": ["x" * 300]}, {}, drip=0.05) as url, pytest.raises(FacesetsError, match="is too slow: its answer was not"):
        export_to(Workspace.open(workspace.root), "frigate-api", ["Grandma"], url=url, dry_run=True)


def test_a_service_never_gets_two_people_under_one_name(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    one_picture(monkeypatch)
    name(workspace, "faceset_002", "A.B")
    name(workspace, "faceset_003", "a b")
    with answering({}, {"success": True}) as url:
        with pytest.raises(Refused, match=r"(?i)are both called 'a b' there"):
            export_to(workspace, "frigate-api", url=url)
        export_to(workspace, "frigate-api", ["A.B"], url=url, count=1)
        with pytest.raises(Refused, match="as another person of yours"):
            export_to(workspace, "frigate-api", ["a b"], url=url, count=1)
        with workspace.registry() as registry, registry.transaction():
            registry.db.execute("UPDATE sets SET retired = 1 WHERE name = 'faceset_002'")
        gone, one = export_to(workspace, "frigate-api", ["a b"], url=url, count=1).people
        assert (gone.withdrawn, one.new) == (1, 1)
        with workspace.registry() as registry:
            assert exports.numbers_sent(registry, f"export:frigate-api:{url}:") == [2, 3]


def test_a_service_that_asks_for_patience_is_given_it_within_reason_and_whoever_watches_is_told(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_picture(monkeypatch)
    pauses: list[float] = []
    past, years = "Wed, 01 Jan 2020 00:00:00 GMT", "9" * 400

    def busy(status: int, after: str) -> Response:
        return Response(status, {"Retry-After": after}, b"slow down")

    with double_take_server(tmp_path / "storage") as server:

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:  # now comes the picture
                server.first.append(busy(429, years))

        monkeypatch.setattr(Service, "sleep", staticmethod(sleep))
        server.first = [busy(429, "7"), busy(503, past)]
        watching = Silent()
        (one,) = export_to(workspace, "doubletake", ["Grandma"], url=server.url, progress=watching).people
        assert (one.new, len(server.files)) == (1, 1)
        assert pauses == [7, 1, 0.05, 300]
        told = [note.partition(" is busy ")[2] for note in watching.notes]
        assert told[0] == "(status 429) and asks for 7 s of patience: waiting 7 s, then it goes on"
        assert "waiting 300 s" in told[1]
        server.first = [busy(429, "1")] * 4
        with pytest.raises(ServerFailed, match="answered 429: slow down"):
            export_to(workspace, "doubletake", ["Grandma"], url=server.url)


@pytest.mark.parametrize("target", sorted(EMPTY))
def test_only_a_services_own_words_are_its_no_to_a_face(target: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    one_picture(monkeypatch)
    for status, page in ((413, b"<html>Request Entity Too Large</html>"), (404, b"<html>Not Found</html>"), (404, b"null")):
        with answering(EMPTY[target], page, status) as url, pytest.raises(BadAnswer, match=url):  # a proxy's
            export_to(workspace, target, ["Grandma"], url=url, count=1)
        with workspace.registry() as registry, registry.transaction():  # and it is tried again
            assert json.loads(registry.fact(f"export:{target}:{url}:2") or "")["refused"] == {}
    with answering(EMPTY[target], {"message": "no\n\x1b[31mface"}, 400) as url:
        (one,) = export_to(workspace, target, ["Grandma"], url=url, count=1).people
        assert f"{target} says: no [31mface" in one.left_out.values()


@pytest.mark.parametrize("target", sorted(EMPTY))
def test_an_answer_that_leads_elsewhere_or_has_no_end_is_told(
    target: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    one_picture(monkeypatch)
    with answering(EMPTY[target], b"", 302) as url, pytest.raises(BadAnswer, match=r"it leads to https://login.example, and nothing"):
        export_to(workspace, target, ["Grandma"], url=url, count=1)
    monkeypatch.setattr(service, "_MOST", 1000)
    with answering(b" " * 2000, {}) as url, pytest.raises(BadAnswer, match="answered more than"):
        export_to(workspace, target, ["Grandma"], url=url, count=1)


def test_what_double_take_does_not_remove_is_not_taken_for_removed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    one_picture(monkeypatch)
    with double_take_server(tmp_path / "storage") as server:
        export_to(workspace, "doubletake", ["Grandma"], url=server.url)
        no = json_answer(405, {"error": "Cannot DELETE"})
        monkeypatch.setattr(server, "_remove", lambda name: no)
        with pytest.raises(FacesetsError, match="Cannot DELETE"):
            export_to(workspace, "doubletake", ["Grandma"], url=server.url, remove=True)
        monkeypatch.undo()
        (one,) = export_to(workspace, "doubletake", ["Grandma"], url=server.url, remove=True).people
        assert (one.withdrawn, server.files) == (1, [])
