"""Files for programs: read back by those programs where they can be had, else by readers that share no code with the writers."""

from __future__ import annotations

import io
import json
import tomllib
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets import export_to
from facesets.errors import PackUnavailable
from facesets.models import Pack, load_pack
from facesets.targets import lora, reactor
from facesets.targets.framing import ASPECTS, SHARES, cut
from facesets.targets.lora import LONGEST
from facesets.testing.twins import twin_photo
from facesets.workspace import Workspace
from tests.pipeline.world import put


def export(workspace: Workspace, target: str, out: Path, **more: Any) -> Path:
    export_to(workspace, target, ["Grandma"], out=out, **more)
    return out


# roop-unleashed


def test_a_face_set_is_a_flat_stored_zip_of_pictures_with_exactly_one_face_each(
    agreed: Workspace, tmp_path: Path, shared: Path
) -> None:
    path = export(agreed, "fsz", tmp_path) / "Grandma.fsz"
    again = load_pack(shared / "models" / "edge")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == [f"{n:03d}.png" for n in range(len(entries))]
        assert {(entry.compress_type, entry.date_time) for entry in entries} == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))}
        assert 5 <= len(entries) <= 12
        for entry in entries:
            picture = np.asarray(Image.open(io.BytesIO(archive.read(entry))).convert("RGB"))
            assert picture.shape == (512, 512, 3)
            assert len(again.detect(picture)) == 1
        assert archive.testzip() is None


def test_a_handful_of_dates_makes_no_era(agreed: Workspace, tmp_path: Path) -> None:
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET taken_at = NULL WHERE file_name NOT LIKE '%-3.jpg'")
    (one,) = export_to(agreed, "fsz", ["Grandma"], out=tmp_path).people
    with zipfile.ZipFile(tmp_path / "Grandma.fsz") as archive:
        assert len(archive.namelist()) >= 5
    assert any("most of its photos have no date" in note for note in one.notes)


# Hugging Face


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, offline, with caches of its own."""
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("datasets", reason="needs Hugging Face's datasets (the extra test)")


@pytest.mark.filterwarnings("ignore")
def test_datasets_decodes_every_row_of_an_imagefolder(agreed: Workspace, tmp_path: Path, datasets: Any) -> None:
    out = export(agreed, "imagefolder", tmp_path / "out")
    rows = datasets.load_dataset("imagefolder", data_dir=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 9
    assert {(row["person"], row["set"], row["image"].size) for row in rows} == {("Grandma", "faceset_002", (512, 512))}
    assert all(row["year"] in (2015, 2016) and len(row["face_id"]) == 32 for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_datasets_decodes_every_row_of_a_parquet_file_with_unit_vectors(agreed: Workspace, tmp_path: Path, datasets: Any) -> None:
    out = export(agreed, "parquet", tmp_path / "out")
    file = str(out / "Grandma.parquet")
    rows = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 9
    for row in rows:
        assert row["image"].size == (512, 512)
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-5)
    with agreed.registry() as registry:
        from facesets.registry import faces  # noqa: PLC0415

        known = faces.find(registry, rows[0]["face_id"])
    assert known is not None
    assert np.allclose(known.vector, rows[0]["embedding"])


# ReActor


@pytest.mark.filterwarnings("ignore")
def test_a_face_model_is_what_insightface_says_of_the_picture(twin_folder: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    from insightface.app.common import Face  # noqa: PLC0415

    networks = reactor._Networks(twin_folder)
    face = networks.face(twin_photo([(320, 320, 128, 7)], width=640, height=640))
    data = reactor.safetensors(face)
    tensors = safetensors.load(data)
    assert {name: (str(t.dtype), t.shape) for name, t in tensors.items()} == {
        "bbox": ("float32", (4,)), "kps": ("float32", (5, 2)), "det_score": ("float32", ()), "landmark_3d_68": ("float32", (68, 3)),
        "pose": ("float32", (3,)), "landmark_2d_106": ("float32", (106, 2)), "embedding": ("float32", (512,)), "gender": ("int64", ()),
        "age": ("int64", ()),
    }  # fmt: skip
    read = Face(tensors)  # as ReActor makes it
    assert np.linalg.norm(read.normed_embedding) == pytest.approx(1, abs=1e-5)
    assert read.embedding_norm == pytest.approx(float(np.linalg.norm(face["embedding"])), rel=1e-5)  # raw, not of unit length
    assert read.sex in ("M", "F")
    assert int.from_bytes(data[:8], "little") % 8 == 0


@pytest.mark.filterwarnings("ignore")
def test_reactor_takes_one_face_and_a_whole_pack(twin_folder: Path, tmp_path: Path) -> None:
    from facesets.targets.pictures import NoPicture  # noqa: PLC0415
    from facesets.testing.twins import twin_pack  # noqa: PLC0415

    networks = reactor._Networks(twin_folder)
    with pytest.raises(NoPicture, match="no face"):
        networks.face(twin_photo([], width=640, height=640))
    with pytest.raises(NoPicture, match="somebody else"):
        networks.face(twin_photo([(128, 320, 128, 1), (448, 320, 128, 2)], width=640, height=640))
    with pytest.raises(PackUnavailable, match="has no network for genderage, landmark_2d_106, landmark_3d_68"):
        reactor._Networks(twin_pack(tmp_path / "half", others=False))


def test_reactor_is_refused_for_vectors_that_mean_nothing_to_it(agreed: Workspace, tmp_path: Path) -> None:
    with pytest.raises(PackUnavailable, match="was made with open@"):
        export_to(agreed, "reactor", ["Grandma"], out=tmp_path)


# LoRA: readers written from what is known of the trainers alone


def kohya(folder: Path) -> list[tuple[str, str]]:
    """sd-scripts: the images of each subset, no recursion, the caption's first line; an empty caption is an error."""
    config = tomllib.loads((folder / "kohya.toml").read_text(encoding="utf-8"))
    assert config["general"]["enable_bucket"]
    ending = config["general"]["caption_extension"]
    found = []
    for subset in (s for d in config["datasets"] for s in d["subsets"]):
        for path in sorted(Path(subset["image_dir"]).iterdir()):
            if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
                assert path.stem.count("_") < 4, "a shortened stem would be tried too"
                caption = path.with_suffix(ending).read_text(encoding="utf-8").splitlines()[0].strip()
                assert caption
                found.append((path.name, caption))
    return found


def ai_toolkit(folder: Path) -> list[tuple[str, str]]:
    """ai-toolkit: recursive, the whole caption file."""
    lines = dict(
        line.strip().lstrip("- ").split(": ", 1)
        for line in (folder / "ai-toolkit.yaml").read_text("utf-8").splitlines()
        if ": " in line
    )
    home, ending = Path(json.loads(lines["folder_path"])), json.loads(lines["caption_ext"])
    pictures = [path for path in sorted(home.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")]
    return [(path.name, path.with_suffix(f".{ending}").read_text(encoding="utf-8").strip()) for path in pictures]


def one_trainer(folder: Path) -> list[tuple[str, str]]:
    """OneTrainer: a list of concepts of version 2; a file of masks would end in -masklabel."""
    (concept,) = json.loads((folder / "concepts.json").read_text(encoding="utf-8"))
    assert (concept["__version"], concept["enabled"], concept["text"]["prompt_source"]) == (2, True, "sample")
    pictures = [p for p in sorted(Path(concept["path"]).iterdir()) if p.suffix == ".png" and not p.stem.endswith("-masklabel")]
    return [(path.name, path.with_suffix(".txt").read_text(encoding="utf-8").strip()) for path in pictures]


def simple_tuner(folder: Path) -> list[tuple[str, str]]:
    """SimpleTuner: a backend of pictures and one of texts; each line of a caption file is a caption of its own."""
    backends = json.loads((folder / "simpletuner.json").read_text(encoding="utf-8"))
    (pictures,) = (b for b in backends if b["dataset_type"] == "image")
    assert [b["default"] for b in backends if b["dataset_type"] == "text_embeds"] == [True]
    assert (pictures["caption_strategy"], pictures["crop"]) == ("textfile", False)
    found = []
    for path in sorted(Path(pictures["instance_data_dir"]).glob("*.png")):
        found += [(path.name, line) for line in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()]
    return found


def test_four_trainers_read_one_folder_alike(agreed: Workspace, tmp_path: Path) -> None:
    home = export(agreed, "lora", tmp_path, trigger="gr4ndma") / "Grandma"
    first = kohya(home)
    assert len(first) >= 4
    assert ai_toolkit(home) == one_trainer(home) == simple_tuner(home) == first
    assert all(caption.startswith("gr4ndma person, ") and caption.endswith("one person") for _, caption in first)
    assert all(any(framing in caption for framing in SHARES) and "201" in caption for _, caption in first)
    assert not any(word in caption.lower() for _, caption in first for word in ("hair", "eyes", "skin", "glasses"))


def test_pictures_are_parts_of_the_photos_pixel_for_pixel_and_show_nobody_else(
    agreed: Workspace, tmp_path: Path, open_pack: Pack
) -> None:
    home = export(agreed, "lora", tmp_path) / "Grandma"
    (part,) = json.loads((tmp_path / ".facesets-export.json").read_bytes())["sets"].values()
    entries = part["files"]
    for path in (home / "images").glob("*.png"):
        entry = entries[f"Grandma/images/{path.name}"]
        picture = np.asarray(Image.open(path).convert("RGB"))
        left, top, right, bottom = entry["cut"]
        assert picture.shape[:2] == (bottom - top, right - left)  # never enlarged, and these are too small to be shrunk
        assert max(picture.shape) <= LONGEST
        assert min(picture.shape[:2]) >= 512
        assert len(open_pack.detect(picture)) == 1


def test_large_pictures_come_first_and_each_photo_that_is_not_taken_has_a_reason(
    agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def side(path: Path) -> int:
        with Image.open(path) as picture:
            return min(picture.size)

    def sides(out: Path) -> list[int]:
        return sorted(map(side, (out / "Grandma" / "images").glob("*.png")))

    every = sides(export(agreed, "lora", tmp_path / "all"))
    monkeypatch.setattr(lora, "LEAST", every[-1])
    (one,) = export_to(agreed, "lora", ["Grandma"], out=tmp_path / "few", count=2).people
    assert every[0] < every[-1] == sides(tmp_path / "few")[-1]
    assert list(one.left_out.values()) == ["others were chosen"] * 7


def test_a_captioners_text_has_its_place(agreed: Workspace, tmp_path: Path) -> None:
    home = export(agreed, "lora", tmp_path) / "Grandma"
    picture = sorted((home / "images").glob("*.png"))[0]
    (home / "captions").mkdir()
    (home / "captions" / f"{picture.stem}.txt").write_text("in a garden,\nsmiling\n")
    export(agreed, "lora", tmp_path)
    assert picture.with_suffix(".txt").read_text().rstrip().endswith("one person, in a garden, smiling")
    export(agreed, "lora", tmp_path, remove=True)
    assert [path.name for path in home.rglob("*.txt")] == [f"{picture.stem}.txt"]  # the captioner's own is not ours


def test_a_cut_has_the_framing_asked_for_and_leaves_others_out() -> None:
    face = (900.0, 700.0, 1100.0, 940.0)
    for framing in SHARES:
        for aspect in ASPECTS.values():
            made = cut(face, framing, 4000, 3000, [], aspect)
            assert made is not None
            left, top, right, bottom = made.box
            share = 200 * 240 / ((right - left) * (bottom - top))
            assert next(name for name, (least, _) in SHARES.items() if share >= least) == framing
            assert (right - left) / (bottom - top) == pytest.approx(aspect, rel=0.01)
    beside = (1250.0, 700.0, 1400.0, 900.0)
    made = cut(face, "close-up", 4000, 3000, [beside], 1.0)
    assert made is not None
    assert made.box[2] <= 1251
    assert cut(face, "half figure", 4000, 3000, [(880.0, 950.0, 1120.0, 1200.0), (880.0, 400.0, 1120.0, 690.0)], 1.0) is None
    assert cut(face, "half figure", 1200, 1000, [], 1.0) is None  # it would not fit


@pytest.mark.parametrize("trigger", ["../../up", "a/b\\c", 'quo"te: #1', "\N{GRINNING FACE}"])
def test_a_trigger_of_any_kind_stays_within_the_folder_and_is_read_by_all_four(trigger: str, agreed: Workspace, tmp_path: Path) -> None:
    put(agreed.root, "repeats_folder = true")
    home = export(Workspace.open(agreed.root), "lora", tmp_path / "out", trigger=trigger) / "Grandma"
    (images,) = (path for path in home.iterdir() if path.is_dir())
    assert images.name.startswith("10_")
    first = kohya(home)
    assert ai_toolkit(home) == one_trainer(home) == simple_tuner(home) == first
    assert all(caption.startswith(f"{trigger} person, ") for _, caption in first)
