"""A foreign oracle: onnxruntime's integer convolution and matrix product give the same accumulators."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import fewbits as fb
from fewbits.bitexact import Convolution

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def _run(kind: str, signed: torch.Tensor, weight: NDArray[np.int8], **attributes: object) -> NDArray[np.int32]:
    """One integer operator of ONNX on 8-bit codes.

    Both operands are unsigned with zero point 128: onnxruntime's kernel for unsigned times signed saturates sums of
    two products at 16 bits on processors without VNNI (its quantization guide says so).
    """
    codes = (signed + 128).numpy().astype(np.uint8)
    unsigned = (weight.astype(np.int16) + 128).astype(np.uint8)
    helper, types = onnx.helper, onnx.TensorProto
    node = helper.make_node(kind, ["codes", "weight", "zero", "zero"], ["sums"], **attributes)
    graph = helper.make_graph(
        [node],
        "sums",
        [helper.make_tensor_value_info("codes", types.UINT8, codes.shape)],
        [helper.make_tensor_value_info("sums", types.INT32, None)],
        [onnx.numpy_helper.from_array(unsigned, "weight"), onnx.numpy_helper.from_array(np.uint8(128), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"codes": codes})[0]


def _network(layer: nn.Module, images: torch.Tensor) -> fb.BitExactNetwork:
    model = fb.quantize(nn.Sequential(layer), "fixed8")
    fb.calibrate(model, images)
    (quantized,) = model.layers.values()
    quantized.input_fraction_bits = 0
    return fb.lower(model, images)


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}], ids=str)
def test_convolution_equals_conv_integer(settings: dict[str, int]) -> None:
    images = torch.randint(-128, 128, (3, 4, 9, 10), generator=torch.Generator().manual_seed(0)).float()
    network = _network(nn.Conv2d(4, 6, 3, bias=False, **settings), images)
    (layer,) = network.layers
    assert isinstance(layer, Convolution)
    pads = [before for before, _ in layer.padding] + [after for _, after in layer.padding]
    expected = _run(
        "ConvInteger",
        images,
        np.array(layer.weight.integers),
        strides=layer.stride,
        pads=pads,
        dilations=layer.dilation,
        group=layer.groups,
    )
    assert network.accumulators(images).tolist() == expected.tolist()


def test_linear_equals_mat_mul_integer() -> None:
    images = torch.randint(-128, 128, (5, 300), generator=torch.Generator().manual_seed(0)).float()
    network = _network(nn.Linear(300, 20, bias=False), images)
    (layer,) = network.layers
    expected = _run("MatMulInteger", images, np.ascontiguousarray(layer.weight.integers.T))
    assert network.accumulators(images).tolist() == expected.tolist()
