from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from facesets.errors import PackUnavailable, UsageError
from facesets.models import engine_choice as engines
from facesets.models.engine_choice import ALIKE, ENGINES, available, self_check
from facesets.models.engines import Engine, Floats, Network
from facesets.models.engines.batching import LIMIT, Batched
from facesets.models.engines.openvino import OpenVino
from facesets.models.engines.ort import OnnxRuntime
from facesets.models.load import load_pack
from facesets.models.pack import Pack, RegionDetector
from facesets.testing.twins import twin_photo


class Dressed:
    """onnxruntime's CPU in the dress of another engine: how it is wrong, and how slow, is said."""

    def __init__(self, *, name: str = "dressed/CPU", batches: bool = False, wrong: float = 0.0, slow: float = 0.0) -> None:
        self._inner = OnnxRuntime()
        self.name = name
        self.batches, self._wrong, self._slow = batches, wrong, slow
        self.sizes: list[int] = []

    def load(self, model: bytes | Path) -> Network:
        inner, dress = self._inner.load(model), self

        class Worn:
            input_shape, outputs = inner.input_shape, inner.outputs

            def run(self, x: Floats) -> list[Floats]:
                dress.sizes.append(len(x))
                time.sleep(dress._slow)
                random = np.random.default_rng(0)
                return [out + dress._wrong * random.standard_normal(out.shape).astype(np.float32) for out in inner.run(x)]

        return Worn()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Make the engines of this machine exactly these; choices are kept in a folder of the test's own."""
    monkeypatch.setenv("FACESETS_CACHE", str(tmp_path / "cache"))

    def only(**made: Callable[[int], Engine]) -> None:
        monkeypatch.setattr(engines, "ENGINES", made)

    return only


def absent(threads: int) -> Engine:
    raise PackUnavailable("this machine has none")


def test_providers_are_asked_for_by_name_and_missing_ones_are_told_with_what_there_is() -> None:
    assert OnnxRuntime().name == "onnxruntime/CPU"
    have = onnxruntime.get_available_providers()
    missing = next(p for p in ("CUDA", "Dml", "CoreML", "MIGraphX") if f"{p}ExecutionProvider" not in have)
    with pytest.raises(PackUnavailable, match=rf"no {missing}ExecutionProvider \(it has .*CPUExecutionProvider"):
        OnnxRuntime(missing)


def test_a_provider_that_silently_gives_way_to_the_cpu_is_reported_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, twin_folder: Path
) -> None:
    """onnxruntime warns and goes on where a provider's library is missing; here it is told that it has CUDA."""
    have = onnxruntime.get_available_providers()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *have])
    real = onnxruntime.InferenceSession

    def session(model: Any, options: Any, providers: Any) -> Any:
        assert providers[0][0] == "CUDAExecutionProvider"
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(PackUnavailable, match="CUDAExecutionProvider was asked for and CPUExecutionProvider came"):
        OnnxRuntime("CUDA").load(twin_folder / "w600k_r50.onnx")


def test_an_unknown_engine_is_told_which_there_are() -> None:
    with pytest.raises(PackUnavailable, match=r"no engine 'gpu': choose auto, cpu, cuda, .*openvino-bf16"):
        load_pack("open", engine="gpu")


def test_auto_is_the_cpu_where_there_is_no_accelerator(twin_folder: Path, offer: Callable[..., None]) -> None:
    offer(cpu=ENGINES["cpu"], cuda=absent, openvino=lambda _: Dressed())
    notes: list[str] = []
    pack = load_pack(twin_folder, engine="auto", note=notes.append)
    assert (pack.engine, notes) == ("onnxruntime/CPU", [])


def test_auto_is_chosen_by_what_is_here_and_passes_never_by_speed(twin_folder: Path, offer: Callable[..., None]) -> None:
    slow = Dressed(name="slow", slow=0.05)
    offer(cpu=ENGINES["cpu"], coreml=lambda _: Dressed(name="fast"), directml=lambda _: slow, cuda=lambda _: Dressed(wrong=1.0))
    notes: list[str] = []
    assert load_pack(twin_folder, engine="auto", note=notes.append).engine == "slow"
    assert notes[0].startswith("engine cuda is not used: ")
    assert notes[1] == "engine: slow; cosine 1.00000 to the CPU's vectors"


def test_a_choice_is_kept_when_better_engines_come(twin_folder: Path, offer: Callable[..., None]) -> None:
    offer(cpu=ENGINES["cpu"])
    load_pack(twin_folder, engine="auto")
    offer(cpu=ENGINES["cpu"], cuda=lambda _: Dressed(name="new"))
    assert load_pack(twin_folder, engine="auto").engine == "onnxruntime/CPU"
    assert load_pack(twin_folder, engine="cuda").engine == "new"  # the user's to change
    assert load_pack(twin_folder, engine="auto").engine == "onnxruntime/CPU"


@pytest.mark.parametrize("now", [absent, lambda _: Dressed(wrong=1.0)])
def test_a_kept_choice_that_fails_is_an_error_and_no_other_engine(
    twin_folder: Path, offer: Callable[..., None], now: Callable[[int], Engine]
) -> None:
    offer(cpu=ENGINES["cpu"], directml=lambda _: Dressed())
    load_pack(twin_folder, engine="auto")
    offer(cpu=ENGINES["cpu"], directml=now)
    with pytest.raises(UsageError, match=r"with the engine directml, which cannot be used now: .*FACESETS_ENGINE=cpu"):
        load_pack(twin_folder, engine="auto")
    assert load_pack(twin_folder, engine="cpu").engine == "onnxruntime/CPU"


def test_a_choice_file_that_is_broken_or_cannot_be_written_costs_nothing(
    twin_folder: Path, offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(cpu=ENGINES["cpu"], directml=lambda _: Dressed())
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "engines.json").write_text("[")
    assert load_pack(twin_folder, engine="auto").engine == "dressed/CPU"
    (tmp_path / "cache" / "engines.json").unlink()
    (tmp_path / "cache" / "engines.json").mkdir()
    assert load_pack(twin_folder, engine="auto").engine == "dressed/CPU"


def test_an_engine_that_was_asked_for_and_gives_other_vectors_is_refused(twin_folder: Path, offer: Callable[..., None]) -> None:
    offer(cpu=ENGINES["cpu"], cuda=lambda _: Dressed(wrong=30.0))
    with pytest.raises(PackUnavailable, match=r"dressed/CPU gives other (vectors|faces).*on the self-check's picture than the CPU"):
        load_pack(twin_folder, engine="cuda")


def test_the_self_checks_picture_shows_one_face_to_a_real_pack(open_pack: Pack) -> None:
    seen = self_check(open_pack)
    assert len(seen.faces) == 1
    assert seen.vectors.shape == (2, 128)
    assert seen.min_cosine(seen) == pytest.approx(1)


class Counting:
    """A network that adds up its rows, and how many it was given at a time."""

    input_shape, outputs = (None, 2), 2

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, x: Floats) -> list[Floats]:
        self.sizes.append(len(x))
        time.sleep(0.01)
        if (x < 0).any():
            raise ValueError("negative")
        return [x.sum(axis=1), x * 2]


def test_calls_of_several_threads_share_a_batch_and_each_gets_its_own_rows() -> None:
    network = Counting()
    batched = Batched(network)
    wrong: list[int] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(20):
            x = random.random((int(random.integers(1, 4)), 2), np.float32)
            total, double = batched.run(x)
            if not (np.array_equal(double, x * 2) and np.array_equal(total, x.sum(axis=1))):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(network.sizes) < 160  # calls
    assert set(network.sizes) <= {1, 2, 4, 8, 16, LIMIT}


def test_a_batch_that_fails_fails_for_everyone_in_it_and_for_nobody_else() -> None:
    batched = Batched(Counting())
    with pytest.raises(ValueError, match="negative"):
        batched.run(np.full((1, 2), -1, np.float32))
    assert batched.run(np.ones((1, 2), np.float32))[0] == 2


def test_on_an_accelerator_the_faces_of_a_photo_share_a_call_and_no_window_is_cut(twin_folder: Path, twin: Pack) -> None:
    engine = Dressed(batches=True)
    pack = load_pack(twin_folder, engine=engine)
    assert isinstance(pack, RegionDetector)
    photo = twin_photo([(128, 128, 128, 1), (384, 128, 64, 2), (512, 320, 64, 3)])
    found = pack.detect_in(photo, [(64, 64, 192, 192)])
    assert [face.box for face in found] == [face.box for face in twin.detect(photo)]
    engine.sizes.clear()
    landmarks = [face.landmarks for face in found]
    vectors = pack.embed(photo, landmarks).vectors
    assert engine.sizes == [4]
    np.testing.assert_allclose(vectors, twin.embed(photo, landmarks).vectors, atol=1e-6)


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")
class TestOpenVino:
    def test_it_finds_the_same_faces_and_vectors(self, twin_folder: Path, twin: Pack, open_pack: Pack, model_cache: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACESETS_CACHE", str(model_cache))
            for name, plain in ((twin_folder, twin), ("open", open_pack)):
                seen = self_check(load_pack(name, engine=OpenVino()))
                assert seen.min_cosine(self_check(plain)) > 0.99999

    def test_bfloat16_runs_where_the_processor_has_it_and_is_refused_where_not(
        self, open_pack: Pack, model_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if "openvino-bf16" not in available():
            with pytest.raises(PackUnavailable, match="this processor has no bfloat16"):
                OpenVino("bf16")
            return
        monkeypatch.setenv("FACESETS_CACHE", str(model_cache))
        cosine = self_check(load_pack("open", engine="openvino-bf16")).min_cosine(self_check(open_pack))
        assert ALIKE <= cosine < 1 - 1e-7

    def test_a_vector_has_the_same_bytes_however_many_calls_there_are_at_a_time(self, twin_folder: Path) -> None:
        network = OpenVino().load(twin_folder / "w600k_r50.onnx")
        x = np.random.default_rng(1).random((1, 3, 112, 112), np.float32)
        alone = network.run(x)[0].tobytes()
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(network.run(x)[0].tobytes())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) == {alone}
        assert len(answers) == 8

    def test_an_answer_is_not_overwritten_by_the_next(self, twin_folder: Path) -> None:
        network = OpenVino().load(twin_folder / "w600k_r50.onnx")
        first = network.run(np.ones((1, 3, 112, 112), np.float32))[0]
        before = first.copy()
        network.run(np.zeros((1, 3, 112, 112), np.float32))
        assert np.array_equal(first, before)

    def test_a_file_that_is_no_network_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "x.onnx").write_bytes(b"<html>")
        with pytest.raises(PackUnavailable, match=r"x\.onnx cannot be loaded"):
            OpenVino().load(tmp_path / "x.onnx")

    def test_its_import_tells_its_makers_nothing(self, tmp_path: Path) -> None:
        """The openvino package reports its import, and leaves an id in the home folder, where openvino-telemetry can be imported."""
        code = (
            "import sys; from facesets.models.engines.openvino import OpenVino; OpenVino(); "
            "assert not sys.modules.get('openvino_telemetry'); assert sys.modules['openvino']"
        )
        env = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        assert list(tmp_path.iterdir()) == []


def test_without_the_astronaut_a_drawn_picture_still_holds_the_recogniser_to_the_cpu(
    twin: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)  # every test environment has scikit-image
    seen = self_check(twin)
    assert seen.vectors.shape == (len(seen.faces) + 1, twin.dim)
    assert seen.min_cosine(self_check(twin)) > 0.9999
    assert replace(seen, vectors=-seen.vectors).min_cosine(seen) < 0


def test_where_nothing_runs_networks_one_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(PackUnavailable, match=r"^nothing is installed that runs networks: pip install 'facesets\[open\]' && "):
        available()
