"""Random chains of layers, as hypothesis draws them, small enough to be simulated in a moment."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from torch import nn


@dataclass(frozen=True)
class Chain:
    """A network and the shape of its images."""

    model: nn.Sequential
    input_shape: tuple[int, int, int]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """One to four layers: convolutions (strides, paddings, dilation, groups), poolings, then a linear layer."""
    channels = draw(st.integers(1, 20))
    size = (draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    shape = (channels, *size)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(0, 3))):
        made = draw(_convolutions(channels, size) if draw(st.booleans()) or not layers else _poolings(size))
        channels, size, modules = made[0] or channels, made[1], made[2]
        layers += modules
    features = channels * size[0] * size[1]
    layers += [nn.Flatten(), nn.Linear(features, draw(st.integers(1, 40)), bias=draw(st.booleans()))]
    return Chain(nn.Sequential(*layers), shape)


Made = tuple[int, tuple[int, int], list[nn.Module]]


@st.composite
def _convolutions(draw: st.DrawFn, channels: int, size: tuple[int, int]) -> Made:
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    room = [length + 2 * border for length, border in zip(size, padding, strict=True)]
    kernel = [draw(st.integers(1, min(4, length))) for length in room]
    dilation = [draw(st.integers(1, 2)) if 2 * (k - 1) < length else 1 for k, length in zip(kernel, room, strict=True)]
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    groups = draw(st.sampled_from([group for group in (1, 2, 3, channels) if channels % group == 0]))
    outputs = groups * draw(st.integers(1, max(1, 36 // groups)))
    layer = nn.Conv2d(
        channels, outputs, tuple(kernel), stride, padding, tuple(dilation), groups, bias=draw(st.booleans())
    )
    after = [
        (length - spread * (k - 1) - 1) // step + 1
        for length, k, spread, step in zip(room, kernel, dilation, stride, strict=True)
    ]
    return outputs, (after[0], after[1]), [layer, *([nn.ReLU()] if draw(st.booleans()) else [])]


@st.composite
def _poolings(draw: st.DrawFn, size: tuple[int, int]) -> Made:
    kernel = [draw(st.integers(1, min(3, length))) for length in size]
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    ceil = draw(st.booleans())
    settings = {"padding": tuple(padding), "ceil_mode": ceil}
    pool: nn.Module
    if draw(st.booleans()):
        pool = nn.MaxPool2d(tuple(kernel), stride, **settings)
    else:
        pool = nn.AvgPool2d(tuple(kernel), stride, count_include_pad=draw(st.booleans()), **settings)
    after = [_pooled(*along, ceil) for along in zip(size, kernel, stride, padding, strict=True)]
    return 0, (after[0], after[1]), [pool]


def _pooled(length: int, kernel: int, stride: int, padding: int, ceil: bool) -> int:
    span = length + 2 * padding - kernel
    count = (span + (stride - 1 if ceil else 0)) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= length + padding else count
