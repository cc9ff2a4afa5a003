"""Random chains of layers, as hypothesis draws them, small enough to be simulated in a moment."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from torch import nn

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
MAXIMA = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
AVERAGES = {1: nn.AvgPool1d, 2: nn.AvgPool2d}


@dataclass(frozen=True)
class Chain:
    """A network and the shape of its images."""

    model: nn.Sequential
    input_shape: tuple[int, ...]


Size = tuple[int, ...]
"""Length, or height and width."""


@st.composite
def chains(draw: st.DrawFn, averages: bool = True, rectified: bool = False) -> Chain:
    """One to four layers over one or two dimensions: convolutions (strides, paddings, dilation, groups), poolings.

    The last one is a linear layer or a convolution. averages: whether there may be average pooling.
    rectified: whether every convolution is followed by a ReLU.
    """
    channels = draw(st.integers(1, 20))
    size: Size = tuple(draw(st.integers(3, 9)) for _ in range(draw(st.sampled_from([1, 2, 2]))))
    shape = (channels, *size)
    layers: list[nn.Module] = []
    # A flattened row of one dimension alone would be ambiguous to `lower`: it reads as an image without a batch.
    for _ in range(draw(st.integers(0 if len(size) == 2 else 1, 3))):
        convolves = draw(st.booleans()) or not layers
        made = draw(_convolutions(channels, size, rectified) if convolves else _poolings(size, averages))
        channels, size, modules = made[0] or channels, made[1], made[2]
        layers += modules
    if draw(st.integers(0, 3)):
        features = channels
        for length in size:
            features *= length
        layers += [nn.Flatten(), nn.Linear(features, draw(st.integers(1, 40)), bias=draw(st.booleans()))]
    else:
        layers += draw(_convolutions(channels, size))[2][:1]
    return Chain(nn.Sequential(*layers), shape)


@st.composite
def deep_chains(draw: st.DrawFn) -> Chain:
    """A convolution that sums 136 inputs or more at 6 positions or more, then another one."""
    channels = draw(st.integers(17, 40))
    size: Size = draw(st.sampled_from([(12,), (13,), (5, 5), (5, 7), (6, 5)]))
    groups = draw(st.sampled_from([group for group in (1, 2) if channels % group == 0]))
    outputs = groups * draw(st.integers(1, 12))
    kernel, padding = draw(st.integers(2, 3)), draw(st.integers(0, 1))
    stride = draw(st.integers(1, 2)) if padding else 1
    layer = CONVOLUTIONS[len(size)](8 * channels, outputs, kernel, stride, padding, groups=groups)
    after = tuple((length + 2 * padding - kernel) // stride + 1 for length in size)
    return Chain(nn.Sequential(layer, *draw(_convolutions(outputs, after))[2][:1]), (8 * channels, *size))


Made = tuple[int, Size, list[nn.Module]]
"""Channels (0: as before) and size of the result, and the modules."""


@st.composite
def _convolutions(draw: st.DrawFn, channels: int, size: Size, rectified: bool = False) -> Made:
    padding = tuple(draw(st.integers(0, 2)) for _ in size)
    room = [length + 2 * border for length, border in zip(size, padding, strict=True)]
    kernel = tuple(draw(st.integers(1, min(4, length))) for length in room)
    dilation = tuple(
        draw(st.integers(1, 2)) if 2 * (k - 1) < length else 1 for k, length in zip(kernel, room, strict=True)
    )
    stride = tuple(draw(st.integers(1, 3)) for _ in size)
    groups = draw(st.sampled_from([group for group in (1, 2, 3, channels) if channels % group == 0]))
    outputs = groups * draw(st.integers(1, max(1, 36 // groups)))
    layer = CONVOLUTIONS[len(size)](
        channels, outputs, kernel, stride, padding, dilation, groups, bias=draw(st.booleans())
    )
    after = tuple(
        (length - spread * (k - 1) - 1) // step + 1
        for length, k, spread, step in zip(room, kernel, dilation, stride, strict=True)
    )
    return outputs, after, [layer, *([nn.ReLU()] if rectified or draw(st.booleans()) else [])]


@st.composite
def _poolings(draw: st.DrawFn, size: Size, averages: bool) -> Made:
    kernel = tuple(draw(st.integers(1, min(3, length))) for length in size)
    stride = tuple(draw(st.integers(1, 3)) for _ in size)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    settings = {"padding": padding, "ceil_mode": ceil}
    pool: nn.Module
    if averages and draw(st.booleans()):
        pool = AVERAGES[len(size)](kernel, stride, count_include_pad=draw(st.booleans()), **settings)
    else:
        pool = MAXIMA[len(size)](kernel, stride, **settings)
    after = tuple(_pooled(*along, ceil) for along in zip(size, kernel, stride, padding, strict=True))
    return 0, after, [pool]


def _pooled(length: int, kernel: int, stride: int, padding: int, ceil: bool) -> int:
    span = length + 2 * padding - kernel
    count = (span + (stride - 1 if ceil else 0)) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= length + padding else count
