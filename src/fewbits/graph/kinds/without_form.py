"""What torch has and the bit-exact network has not: why, and what to use in its place.

One table for all spellings: `nn.LeakyReLU`, `F.leaky_relu` and `torch.leaky_relu_` have one key, their name without
underscores. A kind that gets a form, here or by an extension, is found before this table is asked.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fewbits.graph.kind import KindOfOperation
from fewbits.graph.refusals import FORMS
from fewbits.graph.signs import Sign


class Curves(KindOfOperation):
    """Activations that stay float; refused themselves, and not the mean behind them."""

    name = "curves"
    meanings = (
        *(nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU, nn.Mish),
        *(nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.Softplus),
    )
    has_form = False
    elementwise = frozenset(("clamp_max_", "sigmoid_", "tanh_", "neg_", "abs_"))
    keeps_dims = True

    def sign(self, meaning: Any, operands: Sequence[Sign]) -> Sign:
        """Some have no negative values."""
        is_clamped = isinstance(meaning, nn.Hardtanh) and meaning.min_val >= 0  # ReLU6 among them
        return Sign.NONNEGATIVE if is_clamped or isinstance(meaning, _NONNEGATIVE) else Sign.ANY


_NONNEGATIVE = (nn.Hardsigmoid, nn.Sigmoid, nn.Softplus)


class Moving(KindOfOperation):
    """Values chosen or moved, in the format that the layer around gives them; the hardware has no addresses for it."""

    name = "moving"
    meanings = (
        *(nn.MaxPool3d, nn.AdaptiveMaxPool3d, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle),
        *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
        *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
        *(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
    )
    has_form = False
    effect = "keeps"
    keeps_dims = True
    views = frozenset(
        (
            *(torch.permute, torch.transpose, torch.movedim, torch.swapaxes),
            *("permute", "transpose", "t", "movedim", "swapaxes", "swapdims"),
        )
    )
    parts = frozenset(
        (
            *(operator.getitem, torch.chunk, torch.split, torch.narrow, torch.select, torch.unbind, torch.diagonal),
            *("chunk", "split", "narrow", "select", "unbind", "diagonal", "unfold", "expand", "expand_as"),
            "tensor_split",
        )
    )


class AveragePooling3d(KindOfOperation):
    """Averages over three dimensions."""

    name = "average pooling over three dimensions"
    meanings = (nn.AvgPool3d, nn.AdaptiveAvgPool3d)
    has_form = False
    effect = "averages"
    keeps_dims = True


_BY_ADVICE: dict[str, tuple[str, ...]] = {
    "use nn.ReLU in its place and train on; rounding to the next layer's format bounds the values from above too": (
        *("ReLU6", "Hardtanh", "clamp", "clip", "clamp_min", "clamp_max", "minimum", "maximum"),
    ),
    "use nn.ReLU in its place, and train the network anew": (
        *("LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Softshrink"),
        *("Hardshrink", "Hardswish", "Tanhshrink", "Softsign", "Threshold", "LogSigmoid", "GLU", "Tanh", "Sigmoid"),
        *("Hardsigmoid", "abs", "exp", "sqrt"),
    ),
    "at the end of the network leave it out: the largest logit's class is the same, and nn.CrossEntropyLoss takes "
    "logits": (*("Softmax", "LogSoftmax", "Softmax2d", "Softmin", "argmax", "AdaptiveLogSoftmaxWithLoss"),),
    "it normalizes by each image's own statistics: use nn.BatchNorm2d (or 1d) directly behind a convolution or linear "
    "layer, and fold it by fewbits.fold_batch_norm": (
        *("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "instance_norm", "RMSNorm"),
        *("LocalResponseNorm", "CrossMapLRN2d", "normalize", "batch_norm"),
    ),
    "give the convolution behind it zeros by its own padding=": (
        *(
            f"{kind}Pad{n}d"
            for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
            for n in (1, 2, 3)
        ),
        "pad",
    ),
    "use a convolution with a stride, or nn.MaxPool2d or nn.AvgPool2d": (
        *("LPPool1d", "LPPool2d", "LPPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d", "MaxUnpool1d"),
        *("MaxUnpool2d", "MaxUnpool3d", "max_pool2d_with_indices", "max_pool1d_with_indices"),
        *("PixelUnshuffle", "Unfold"),
    ),
    "only networks over one and two dimensions can be lowered": (
        *("Conv3d", "MaxPool3d", "AvgPool3d", "AdaptiveMaxPool3d", "AdaptiveAvgPool3d", "BatchNorm3d"),
    ),
    "multiplying tensors has no hardware: leave the gate or scale out, or put a constant factor into the weights and "
    "bias of the layer before it": (*("mul", "multiply", "imul", "truediv", "div", "matmul", "bmm", "neg", "pow"),),
    "put a constant into the bias of the layer before it, or add the negative weights' result": ("sub", "isub", "rsub"),
    "the order of values stays as the layers make it: leave it out, or train with the layers in another order": (
        *("permute", "transpose", "movedim", "swapaxes", "t", "ChannelShuffle", "native_channel_shuffle", "flip"),
        *("roll", "PixelShuffle", "getitem", "chunk", "split", "unbind", "narrow", "index_select", "select", "stack"),
        "Fold",
    ),
    "values are not repeated: leave it out": (
        *("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "interpolate", "repeat", "expand", "expand_as"),
        *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "tile"),
    ),
    "make it an nn.Linear, nn.Conv1d or nn.Conv2d, whose weights are quantized": (
        *("linear", "conv1d", "conv2d", "bilinear"),
    ),
    "say which dimensions, as x.flatten(1) or x.squeeze(-1)": ("squeeze",),
}


def _key(name: str) -> str:
    return name.replace("_", "").lower()


_ADVICE = {_key(name): advice for advice, names in _BY_ADVICE.items() for name in names}


def without_form(name: str) -> str:
    """Why a module's class or a function stays float, and what to do instead.

    name: of the class, or of the function or method, which may work in place (`relu6_`).
    """
    return f"its arithmetic stays float, as there is no bit-exact form of it; {_ADVICE.get(_key(name), FORMS)}"
