"""Random small networks, quantized and calibrated, as hypothesis strategies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import reject
from hypothesis import strategies as st
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.quantization import QuantizedModel

INTEGER_PRECISIONS = (
    *("fixed4", "fixed8", "fixed16", "fixed32", "pow2-6/fixed16", "pow2-8/fixed32", "binary/fixed16", "ternary/fixed8"),
    *("fixed8/pow2-4", "pow2-8", "fixed8/binary", "fixed4/ternary", "binary", "fixed32/fixed4", "fixed4/fixed32"),
    *("fp8-e4m3:exact", "fp8-e5m2:exact", "float16:exact", "fixed4/float-e2m1:exact", "float-e3m2:exact/pow2-4"),
)
UNSIGNED_PRECISIONS = tuple(
    f"{name}:auto-sign"
    for name in (
        *("fixed4/ufixed4", "fixed8/ufixed16", "fixed32/ufixed32", "ternary/ufixed8", "binary/ufixed2"),
        *("pow2-6/ufixed8", "pow2-8/ufixed32", "fixed2/ufixed3"),
    )
)
"""Signed where the network has negatives."""

FLOAT_PRECISIONS = ("float32", "float16", "bfloat16", "fp8-e4m3", "fp8-e5m2", "float-e3m2")


@dataclass
class Case:
    """A quantized network and images for it."""

    model: QuantizedModel
    images: Tensor


def lowered(case: Case, sum_order: SumOrder = DEFAULT) -> BitExactNetwork:
    """The bit-exact network; the case is rejected if it has none."""
    try:
        return fb.lower(case.model, case.images, sum_order=sum_order)
    except fb.ModelError as error:
        if not any(reason in str(error) for reason in ("padding alone", "has no code for its zeros")):
            raise  # a random geometry can ask in vain for a window of padding, and for a ReLU behind pooled signs
        reject()


@st.composite
def networks(draw: st.DrawFn, precisions: tuple[str, ...], mixed: bool = False) -> Case:
    """One to three layers of random geometry; every layer of its own precision if `mixed`."""
    torch.manual_seed(draw(st.integers(0, 2**20)))
    dimensions = draw(st.sampled_from((1, 2, 2)))
    shape = (draw(st.integers(1, 4)), *(draw(st.integers(4, 8)) for _ in range(dimensions)))
    network = nn.Sequential(*draw(_modules(shape)))
    layers = [
        name for name, module in network.named_children() if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear))
    ]
    mix = {name: draw(st.sampled_from(precisions)) for name in layers} if mixed else {}
    model = fb.quantize(network, draw(st.sampled_from(precisions)), layers=mix)
    images = torch.randn(2, *shape) * draw(st.sampled_from((0.01, 1.0, 50.0)))
    try:
        fb.calibrate(model, images)
    except fb.ModelError:  # a pooling window of padding alone: minus infinity
        reject()
    if model.skipped:  # the same, where no radix point is chosen
        reject()
    if draw(st.booleans()):  # radix points off the calibrated ones: saturation, left shifts
        for layer in model.layers.values():
            layer.input_fraction_bits += draw(st.integers(-4, 4))
            layer.weight_fraction_bits += draw(st.integers(-2, 4))
    return Case(model, images)


@st.composite
def _modules(draw: st.DrawFn, shape: tuple[int, ...]) -> list[nn.Module]:
    """Blocks that fit one after another, perhaps a linear layer, perhaps a ReLU at the end; at least one layer."""
    modules: list[nn.Module] = []
    value = torch.zeros(1, *shape)
    for _ in range(draw(st.integers(0, 2))):
        for module in draw(_convolutional_block(len(shape) - 1, value.shape[1])):
            try:
                after = module(value)
            except RuntimeError:  # does not fit into what is left of the image
                continue
            modules.append(module)
            value = after
    has_layer = any(isinstance(module, (nn.Conv1d, nn.Conv2d)) for module in modules)
    if not has_layer or draw(st.booleans()):
        modules += [nn.Flatten(), nn.Linear(value[0].numel(), draw(st.integers(1, 5)), bias=draw(st.booleans()))]
    return [*modules, nn.ReLU()] if draw(st.booleans()) else modules


@st.composite
def _convolutional_block(draw: st.DrawFn, dimensions: int, channels: int) -> list[nn.Module]:
    """A convolution, then ReLU and pooling in either order, each of them or not."""
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    outputs = groups * draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(dimensions))
    dilation = draw(st.integers(1, 2))
    same = draw(st.booleans()) and draw(st.booleans())
    convolution = (nn.Conv1d, nn.Conv2d)[dimensions - 1](
        channels,
        outputs,
        kernel,
        stride=1 if same else draw(st.integers(1, 2)),
        padding="same" if same else draw(st.integers(0, 2)),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
    rest: list[nn.Module] = []
    if draw(st.booleans()):
        rest.append(nn.ReLU())
    if draw(st.booleans()):
        rest.append(draw(_pooling(dimensions)))
    return [convolution, *(reversed(rest) if draw(st.booleans()) else rest)]


@st.composite
def _pooling(draw: st.DrawFn, dimensions: int) -> nn.Module:
    kernel = draw(st.integers(1, 3))
    settings = {
        "kernel_size": kernel,
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, kernel // 2)),
        "ceil_mode": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return (nn.MaxPool1d, nn.MaxPool2d)[dimensions - 1](dilation=draw(st.integers(1, 2)), **settings)
    settings["count_include_pad"] = draw(st.booleans())
    if dimensions == 2 and draw(st.booleans()):
        settings["divisor_override"] = draw(st.integers(1, 7))
    return (nn.AvgPool1d, nn.AvgPool2d)[dimensions - 1](**settings)
