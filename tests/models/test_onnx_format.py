from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesets.models import onnx_format
from facesets.models.convert import Net, centerface
from facesets.models.pack import Pack
from facesets.testing.twins import twin_pack


def test_what_is_written_is_what_onnx_itself_would_write() -> None:
    net = Net()
    x = net.op("Slice", "chip", *(net.constant(np.array([value], np.int64)) for value in (-1, np.iinfo(np.int64).min, 3, -1)))
    x = net.op("Pad", x, net.constant(np.array([0, 0, 0, 0, 0, 5, 1, 1], np.int64)), mode="constant")
    x = net.op("MaxPool", x, kernel_shape=[3, 300], strides=[2, 2])
    net.op("ReduceL2", net.op("Sub", x, net.constant(np.array([[1.5]], np.float32))), axes=[-1], keepdims=0, out="norm")
    data = net.model({"chip": ("n", 3, 150, 150)}, {"norm": ("n", 8, 75)})

    model = onnx.load_model_from_string(data)
    assert model.SerializeToString() == data
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    assert list(model.graph.node[1:]) == [
        helper.make_node("Pad", ["t0", "c4"], ["t1"], mode="constant"),
        helper.make_node("MaxPool", ["t1"], ["t2"], kernel_shape=[3, 300], strides=[2, 2]),
        helper.make_node("Sub", ["t2", "c5"], ["t3"]),
        helper.make_node("ReduceL2", ["t3"], ["norm"], axes=[-1], keepdims=0),
    ]
    assert model.graph.initializer[1] == onnx.numpy_helper.from_array(np.array([np.iinfo(np.int64).min]), "c1")
    assert list(model.graph.input) == [helper.make_tensor_value_info("chip", kind, ["n", 3, 150, 150])]
    assert list(model.graph.output) == [helper.make_tensor_value_info("norm", kind, ["n", 8, 75])]
    assert (model.ir_version, model.opset_import) == (8, [helper.make_opsetid("", 13)])


def test_onnx_finds_nothing_wrong_with_the_converted_networks(open_pack: Pack, model_cache: Path) -> None:
    kept = sorted((model_cache / "models").glob("*.onnx"))
    assert len(kept) == 2
    for path in kept:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        assert model.SerializeToString() == path.read_bytes()


@given(st.binary(max_size=60))
def test_bytes_of_anything_else_are_refused_and_nothing_worse(data: bytes) -> None:
    try:
        list(onnx_format.fields(data))
    except ValueError as error:
        assert "not Protocol Buffers" in str(error)  # noqa: PT017 - most bytes are refused, some are a message by chance


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    twin_pack(tmp_path)
    data = (tmp_path / "genderage.onnx").read_bytes()
    for length in (len(data) // 4, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(ValueError, match="not Protocol Buffers"):
            centerface(data[:length])
