"""Frigate: its formula by hand, the choice of images, a folder and an API that a server of our own reads as the facts say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facesets import export_to, people
from facesets.errors import BadAnswer, ServerFailed, Unreachable, WrongKey
from facesets.models import Pack
from facesets.registry import sets
from facesets.targets import frigate_formula as formula
from facesets.targets.service import Service
from facesets.testing import compreface as their_compreface
from facesets.testing import frigate as theirs
from facesets.testing.compreface import CompreFaceServer, compreface_server
from facesets.testing.double_take import double_take_server
from facesets.testing.frigate import FrigateServer, frigate_server
from facesets.testing.services import Boxes, Rgb
from facesets.workspace import Workspace
from tests.pipeline.world import CommandLine

from .conftest import drop_face, name


class Seeing:
    """A service's model: the open pack; a tight crop is looked at with a frame around it.

    It remembers pictures, which are the same in test after test.
    """

    found: ClassVar[dict[bytes, Boxes]] = {}
    vectors: ClassVar[dict[bytes, npt.NDArray[np.float64]]] = {}

    def __init__(self, pack: Pack) -> None:
        self.pack, self.blind = pack, False

    def find(self, rgb: Rgb) -> Boxes:
        if self.blind:
            return []
        if (picture := rgb.tobytes()) not in self.found:
            self.found[picture] = [(*face.box, face.score) for face in self.pack.detect(rgb)]
        return self.found[picture]

    def embed(self, face: Rgb) -> npt.NDArray[np.float64]:
        if (picture := face.tobytes()) not in self.vectors:
            self.vectors[picture] = self._vector(face)
        return self.vectors[picture]

    def _vector(self, face: Rgb) -> npt.NDArray[np.float64]:
        edge = max(face.shape[:2]) // 2
        framed = np.asarray(cv2.copyMakeBorder(face, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(127, 127, 127)), np.uint8)
        found = self.pack.detect(framed)
        if not found:
            return np.zeros(self.pack.dim)
        return np.asarray(self.pack.embed(framed, [found[0].landmarks]).vectors[0], np.float64)


@pytest.fixture
def model(open_pack: Pack) -> Seeing:
    return Seeing(open_pack)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))


@pytest.fixture
def server(model: Seeing, tmp_path: Path) -> Iterator[FrigateServer]:
    with frigate_server(model, tmp_path / "faces") as server:
        yield server


@pytest.fixture
def compreface(model: Seeing, monkeypatch: pytest.MonkeyPatch) -> Iterator[CompreFaceServer]:
    monkeypatch.setenv("COMPREFACE_API_KEY", "secret-key")
    with compreface_server(model, api_key="secret-key") as server:
        yield server


# the formula: three cases by hand, which hold ours and the testing server's alike


def test_three_cases_worked_out_by_hand_hold_both() -> None:
    # a cosine of .61: 1 / (1 + exp(-20 x .11)) = 1 / (1 + .110803) = .90025
    assert formula.confidences(0.61) == pytest.approx(0.90025, abs=5e-6)
    assert theirs.confidence(0.61) == pytest.approx(0.90025, abs=5e-6)
    # three images: no coordinate is trimmed, int(.15 x 3) = 0
    for mean in (formula.mean_of, theirs.class_mean):
        assert mean([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]) == pytest.approx([2 / 3, 2 / 3])
        # ten, of which three show somebody else: one value is cut at each end, the first coordinates 1 x 7, -1 x 3 give
        # (6 - 2) / 8 = .5, the second 0; (-1, 0) has cosine -1 to it and goes; seven are left, which is 70 %, and their mean is (1, 0)
        assert mean([(1.0, 0.0)] * 7 + [(-1.0, 0.0)] * 3) == pytest.approx([1, 0])
    # a blurred crop
    assert [formula.blur_loss(v) for v in (119, 120, 200, 250)] == [0.06, 0.04, 0.01, 0.0]
    assert [theirs.blur_penalty(v) for v in (119, 120, 200, 250)] == [0.06, 0.04, 0.01, 0.0]


def test_both_agree_on_a_thousand_draws() -> None:
    random = np.random.default_rng(3)
    for _ in range(1000):
        images = random.normal(size=(int(random.integers(1, 40)), 8)) + random.normal(size=8)
        assert formula.mean_of(images) == pytest.approx(theirs.class_mean(list(images)))


def test_the_choice_takes_what_helps_and_ends_where_the_gain_does() -> None:
    random = np.random.default_rng(1)
    person, stranger = np.eye(64)[0], np.eye(64)[1]
    good = person + random.normal(0, 0.08, (40, 64))
    bad = stranger + random.normal(0, 0.08, (10, 64))
    held_out = person + random.normal(0, 0.08, (20, 64))
    chosen = formula.choose(np.vstack([good, bad[:3]]), bad + 0.01, 30)
    assert 5 <= len(chosen) <= 28  # two thirds of what there is
    assert all(i < 40 for i in chosen)
    best = formula.predict(np.vstack([good, bad])[chosen], held_out, bad)
    assert best.confidence > formula.predict(np.vstack([good, bad])[40:45], held_out, bad).confidence
    assert best.stranger < 0.01
    days = ["2020-01-01"] * 38 + ["2020-01-02", "2020-01-03"]
    assert sum(days[i] == "2020-01-01" for i in formula.choose(good, bad, 30, days)) == 4
    assert sorted(formula.choose(good[:8], np.zeros((0, 64)), 30)) == list(range(8))  # too few to hold any out
    assert len(formula.choose(good[:8], np.zeros((0, 64)), 6)) == 6


def test_the_choice_goes_on_from_what_frigate_has() -> None:
    random = np.random.default_rng(2)
    pool = np.eye(64)[0] + random.normal(0, 0.3, (20, 64))
    fresh = formula.choose(pool, np.zeros((0, 64)), 30)
    there = [i for i in range(20) if i not in fresh][:5]
    chosen = formula.choose(pool, np.zeros((0, 64)), 30, given=there)
    assert chosen[:5] == there
    assert len(set(chosen)) == len(chosen) <= 13
    assert formula.choose(pool, np.zeros((0, 64)), 5, given=there) == there
    alone, both = (formula.predict(pool[rows], pool[[i for i in range(20) if i not in chosen]], pool[:0]) for rows in (there, chosen))
    assert both.confidence > alone.confidence


# the folder


def test_frigate_knows_people_by_the_folder_after_a_restart(workspace: Workspace, server: FrigateServer, made: Path) -> None:
    done = export_to(workspace, "frigate", out=server.folder)
    assert [one.new >= 5 for one in done.people] == [True, True]
    assert all(one.facts["predicted"]["held_out"] >= 3 for one in done.people)
    server.restart()
    with workspace.registry() as registry:
        rows = registry.db.execute(
            "SELECT s.name, p.path, m.x1, m.y1, m.x2, m.y2 FROM set_faces AS f JOIN measurements AS m ON m.id = f.measurement_id "
            "JOIN photos AS p ON p.id = m.photo_id JOIN sets AS s ON s.id = f.set_id"
        ).fetchall()
    from facesets.photos import decode  # noqa: PLC0415

    right = 0
    for set_name, path, x1, y1, x2, y2 in rows:
        rgb = decode(Path(path)).rgb[round(y1) : round(y2), round(x1) : round(x2)]
        right += server.recognise(rgb)[0] == {"faceset_002": "Grandma", "faceset_003": "Opa"}[set_name]
    assert right >= 0.9 * len(rows)


# the API


def test_frigate_is_taught_once_and_told_what_was_rejected(workspace: Workspace, server: FrigateServer) -> None:
    (first, other) = export_to(workspace, "frigate-api", url=server.url, check=True).people
    posts = server.requests["POST /api/faces/Grandma/register"]
    assert (first.new, first.kept) == (posts, 0)
    assert len(list((server.folder / "Grandma").iterdir())) == posts
    assert first.facts["checked"]["asked"] == first.facts["checked"]["hits"] > 0
    (again, _) = export_to(workspace, "frigate-api", url=server.url).people
    assert (again.new, again.kept) == (0, posts)
    assert server.requests["POST /api/faces/Grandma/register"] == posts
    with workspace.registry() as registry:
        sent = json.loads(registry.fact(f"export:frigate-api:{server.url}:2") or "{}")["sent"]
    drop_face(workspace, "faceset_002", next(iter(sent)))
    (less,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url, count=posts - 1).people
    assert less.withdrawn == 1
    assert len(list((server.folder / "Grandma").iterdir())) == posts - 1
    (server.folder / "Grandma" / "theirs.webp").write_bytes(b"x")
    export_to(workspace, "frigate-api", ["Grandma"], url=server.url, remove=True)
    assert [path.name for path in (server.folder / "Grandma").iterdir()] == ["theirs.webp"]
    assert len(list((server.folder / "Opa").iterdir())) == other.new


def test_what_is_predicted_is_of_all_that_frigate_has(workspace: Workspace, server: FrigateServer) -> None:
    (few,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url, count=5).people
    (more,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url).people
    assert (few.new, more.kept) == (5, 5)
    assert more.facts["predicted"]["held_out"] == few.facts["predicted"]["held_out"] - more.new


def test_a_dry_run_sends_nothing(workspace: Workspace, server: FrigateServer) -> None:
    (one,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url, dry_run=True).people
    assert one.new >= 5
    assert not any(key.startswith("POST") for key in server.requests)


def test_a_lost_answer_is_settled_by_the_list_and_nothing_is_sent_twice(
    workspace: Workspace, server: FrigateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, calls = Service.upload, iter(range(100))

    def lost(self: Service, *args: Any, **more: Any) -> Any:
        answer = upload(self, *args, **more)
        if next(calls) == 2:
            raise Unreachable("the line broke after it had come")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Service, "upload", lost)
        with pytest.raises(Unreachable):
            export_to(workspace, "frigate-api", ["Grandma"], url=server.url)
    assert len(list((server.folder / "Grandma").iterdir())) == 3
    (one,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url).people
    assert one.kept == 3
    assert len(list((server.folder / "Grandma").iterdir())) == one.new + one.kept == server.requests["POST /api/faces/Grandma/register"]


def test_what_a_service_says_is_told_in_its_words(workspace: Workspace, server: FrigateServer, model: Seeing) -> None:
    model.blind = True
    (one,) = export_to(workspace, "frigate-api", ["Grandma"], url=server.url).people
    assert (one.new, set(one.left_out.values())) == (0, {"frigate-api says: No face was detected.", "others were chosen"})
    posts = sum(n for key, n in server.requests.items() if key.startswith("POST"))
    export_to(workspace, "frigate-api", ["Grandma"], url=server.url)
    assert sum(n for key, n in server.requests.items() if key.startswith("POST")) == posts  # what was refused is not tried for ever


def test_services_that_are_down_or_somebody_else_are_told_in_words(
    workspace: Workspace, server: FrigateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    with pytest.raises(ServerFailed, match="answered 503"):
        export_to(workspace, "frigate-api", ["Grandma"], url=server.url)
    assert server.requests["GET /api/faces"] == 4  # a question is asked again, and no longer
    with pytest.raises(Unreachable, match="does not answer"):
        export_to(workspace, "frigate-api", ["Grandma"], url="http://127.0.0.1:9")
    server.status = 200
    monkeypatch.setattr(FrigateServer, "_list", lambda self: "<html>")
    with pytest.raises(Exception, match="does not list faces as Frigate does"):
        export_to(workspace, "frigate-api", ["Grandma"], url=server.url)


def test_html_where_json_was_due(workspace: Workspace, made: Path) -> None:
    import threading  # noqa: PLC0415
    from http.server import BaseHTTPRequestHandler, HTTPServer  # noqa: PLC0415

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>router</title>")

        def log_message(self, *args: object) -> None: ...

    page = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(BadAnswer, match="answered HTML where JSON was due"):
            export_to(workspace, "frigate-api", ["Grandma"], url=f"http://127.0.0.1:{page.server_port}")
    finally:
        page.shutdown()
        page.server_close()


def test_a_token_is_sent_and_stands_in_no_record(
    workspace: Workspace, model: Seeing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with frigate_server(model, tmp_path / "guarded", token="a-secret-token") as server:
        with pytest.raises(WrongKey, match="FRIGATE_TOKEN"):
            export_to(workspace, "frigate-api", ["Grandma"], url=server.url)
        monkeypatch.setenv("FRIGATE_TOKEN", "a-secret-token")
        assert export_to(workspace, "frigate-api", ["Grandma"], url=server.url).people[0].new >= 5
    assert b"a-secret-token" not in workspace.registry_file.read_bytes()


def _sent(workspace: Workspace, compreface: CompreFaceServer) -> dict[str, str]:
    """What the record says that the service has of person 2: face id -> the service's id."""
    with workspace.registry() as registry:
        sent: dict[str, str] = json.loads(registry.fact(f"export:compreface:{compreface.url}:2") or "{}")["sent"]
    return sent


def test_compreface_gets_one_face_a_picture_once(workspace: Workspace, compreface: CompreFaceServer) -> None:
    name(workspace, "faceset_002", "Oma Ärger & Co")
    (one,) = export_to(workspace, "compreface", ["faceset_002"], url=compreface.url, check=True).people
    assert one.new == len(compreface.examples) >= 4
    assert {example.subject for example in compreface.examples} == {"Oma Ärger & Co"}
    assert one.facts["checked"]["hits"] == one.facts["checked"]["asked"] > 0
    (again,) = export_to(workspace, "compreface", ["faceset_002"], url=compreface.url).people
    assert (again.new, again.kept) == (0, one.new)
    gone, rejected, *_ = sent = _sent(workspace, compreface)
    compreface.examples[:] = [example for example in compreface.examples if example.image_id != sent[gone]]  # by somebody's hand
    (less,) = export_to(workspace, "compreface", ["faceset_002"], url=compreface.url).people
    assert (less.new, len(compreface.examples)) == (0, one.new - 1)
    assert "was removed in compreface since it was sent" in less.left_out[gone]
    drop_face(workspace, "faceset_002", rejected)
    (withdrawn,) = export_to(workspace, "compreface", ["faceset_002"], url=compreface.url).people
    assert withdrawn.withdrawn == 1
    assert sent[rejected] not in {example.image_id for example in compreface.examples}
    drop_face(workspace, "faceset_002", gone)  # nothing is left there to withdraw, and nothing to be remembered
    (nothing,) = export_to(workspace, "compreface", ["faceset_002"], url=compreface.url).people
    assert nothing.withdrawn == 0
    assert not {gone, rejected} & set(_sent(workspace, compreface))
    export_to(workspace, "compreface", ["faceset_002"], url=compreface.url, remove=True)
    assert compreface.examples == []


def test_a_service_that_was_set_up_anew_is_sent_everything_after_a_remove(workspace: Workspace, compreface: CompreFaceServer) -> None:
    (first,) = export_to(workspace, "compreface", ["Grandma"], url=compreface.url).people
    compreface.examples.clear()
    (none,) = export_to(workspace, "compreface", ["Grandma"], url=compreface.url).people
    assert (none.new, len([why for why in none.left_out.values() if "to send it again: --remove" in why])) == (0, first.new)
    export_to(workspace, "compreface", ["Grandma"], url=compreface.url, remove=True)
    (again,) = export_to(workspace, "compreface", ["Grandma"], url=compreface.url).people
    assert again.new == len(compreface.examples) == first.new


def test_compreface_says_no_in_its_words_and_wants_its_key(
    workspace: Workspace, compreface: CompreFaceServer, model: Seeing, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.blind = True
    (one,) = export_to(workspace, "compreface", ["Grandma"], url=compreface.url).people
    says, kept_back = "compreface says: No face is found in the given image", "kept back, to be asked about"
    assert set(one.left_out.values()) == {says, kept_back}
    monkeypatch.setenv("COMPREFACE_API_KEY", "another")
    with pytest.raises(WrongKey, match=r"answered 404: Model with API key .* not found. Set COMPREFACE_API_KEY"):
        export_to(workspace, "compreface", ["Opa"], url=compreface.url)
    monkeypatch.delenv("COMPREFACE_API_KEY")
    with pytest.raises(WrongKey, match=r"Missing header: x-api-key. Set COMPREFACE_API_KEY"):
        export_to(workspace, "compreface", ["Opa"], url=compreface.url)
    assert their_compreface.MAX_FILE == 5 * 1024 * 1024


def test_double_take_is_sent_what_it_trains_on(workspace: Workspace, model: Seeing, tmp_path: Path) -> None:
    with double_take_server(tmp_path / "dt", model) as server:
        (one,) = export_to(workspace, "doubletake", ["Grandma"], url=server.url).people
        assert one.new == len(server.files) >= 3
        assert all(file.used for file in server.files)
        few = "its face has fewer than 10,000 pixels, which doubletake does not train on"
        assert set(one.left_out.values()) <= {few, "others were chosen"}
        (again,) = export_to(workspace, "doubletake", ["Grandma"], url=server.url).people
        assert (again.new, again.kept) == (0, one.new)
        export_to(workspace, "doubletake", ["Grandma"], url=server.url, remove=True)
        assert server.files == []


def test_the_command_line_tells_what_went_and_what_is_predicted(facesets: CommandLine, tmp_path: Path) -> None:
    said = facesets("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out", "--dry-run")
    assert (said.code, "would go" in said.out, "predicted by Frigate's formula" in said.out) == (0, True, True)
    document = facesets("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out", "--json").json
    assert document["people"][0]["new"] >= 5
    assert facesets("export", "--to", "frigate", "--out", tmp_path / "out").code == 0
    assert facesets("export", "--to", "frigat", "--out", tmp_path / "out").code == 2
    assert facesets("export", "--to", "frigate", "Nobody", "--out", tmp_path / "out").code == 1


def test_a_set_of_two_photos_is_exported_and_nothing_is_claimed_of_it(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.registry() as registry:
        people.reject(workspace, registry, [key for _, key, _ in sets.members(registry, "faceset_002")[2:]])
    (one,) = export_to(workspace, "frigate", ["Grandma"], out=tmp_path).people
    assert (one.new, one.facts) == (2, {})
    assert any("too few photos to hold some out" in note for note in one.notes)
