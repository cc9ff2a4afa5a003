"""Shapes of one image that a network may take: as it says, or as its layers tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.modes import in_mode

_SIZES = (*(16, 32, 28, 64, 224), *(24, 40, 48, 80, 96, 112, 128, 160, 192, 227, 256, 299, 320, 384, 512))
"""Heights and widths, or lengths, that are in use: first a small one, as what is compared on it costs little, then
those of common data (MNIST, CIFAR-10, ImageNet). An estimate of what images are: where all fail, another might do."""

_LENGTHS = (*_SIZES, 100, 1000, 1024, 8000, 16000, 48000)

_LEAST = 8
"""Tried where the usual ones fail; maps of deep networks shrink to one value on it."""

_LARGEST_HEIGHT, _LARGEST_WIDTH = 64, 4096
"""How far shapes are searched where a linear layer takes what no common size gives."""


def shapes(network: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes to try, the likeliest first.

    A network may say its own by an attribute `input_shape`, such as (3, 32, 32). Else its first layer tells the
    channels, and sizes are searched for what its first linear layer takes.
    """
    stated: Any = getattr(network, "input_shape", None)
    if isinstance(stated, (tuple, list)) and all(isinstance(size, int) and size > 0 for size in stated):
        yield tuple(stated)
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    first = next((module for module in network.modules() if isinstance(module, kinds)), None)
    if first is None:
        return
    yield from usual_shapes(first)
    if isinstance(first, nn.Linear):
        for channels in (1, 3):
            yield from (
                (channels, side, side) for side in (*_SIZES, _LEAST) if channels * side * side == first.in_features
            )
    elif isinstance(first, nn.Conv1d):
        yield (first.in_channels, _LEAST)
        yield from _lengths(network, lambda length: (first.in_channels, length))
    else:
        channels = first.in_channels
        yield (channels, _LEAST, _LEAST)
        yield from _lengths(network, lambda side: (channels, side, side))
        for height in range(1, _LARGEST_HEIGHT + 1):
            yield from _lengths(network, lambda width, height=height: (channels, height, width))


def usual_shapes(first: FloatLayer) -> Iterator[tuple[int, ...]]:
    """Shapes in use of the images that a network's first layer takes."""
    if isinstance(first, nn.Linear):
        yield (first.in_features,)
    elif isinstance(first, nn.Conv1d):
        yield from ((first.in_channels, length) for length in _LENGTHS)
    else:
        yield from ((first.in_channels, size, size) for size in _SIZES)


def _lengths(network: nn.Module, shape: Callable[[int], tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """The shape, if any, from which a linear layer is given as many features as it takes, by bisection.

    The longer the image, the more features a layer behind it is given.
    """
    shortest, longest = 1, _LARGEST_WIDTH
    while shortest <= longest:
        length = (shortest + longest) // 2
        outcome = _excess(network, shape(length))
        if outcome == 0:
            yield shape(length)
            return
        if outcome < 0:
            shortest = length + 1
        else:
            longest = length - 1


def _excess(network: nn.Module, shape: tuple[int, ...]) -> int:
    """How many features too many a linear layer is given for such an image; 0 if the network takes it, -1 if it fails
    elsewhere, as a window does that does not fit into a small image. Shapes are computed alone, without values.
    """
    excess = -1

    def note(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal excess
        if isinstance(layer, nn.Linear) and arguments:
            excess = arguments[0].shape[-1] - layer.in_features

    state = {name: tensor.to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    with in_mode(network, training=False), ExitStack() as stack, torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                stack.callback(module.register_forward_pre_hook(note).remove)
        try:
            dtype = next((one.dtype for one in network.parameters() if one.is_floating_point()), torch.float32)
            torch.func.functional_call(network, state, (torch.empty(2, *shape, dtype=dtype, device="meta"),))
        except Exception:  # whatever a network says to images that are not of its size
            return excess or -1
    return 0
