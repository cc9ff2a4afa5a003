"""Sums and concatenations whose operands fit each other at no size of image, found by trying sizes.

`quantize` is given no image, but an addition that repeats one operand (`x + pool(x)`) is not computed at any size.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from fewbits.errors import DataError, ModelError
from fewbits.quantize.functional import Addition, Concatenation, Skipped, UnsupportedError
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.shapes import Shape, result_shape
from fewbits.quantize.tracing import IMAGES, Trace, kind_of

_SIZES = (32, 28, 224, 64, 96, 128, 256, 227, 299, 16, 24, 40, 48, 80, 112, 160, 192, 320, 384, 512)
"""Heights and widths that are in use, the usual ones first: of MNIST, CIFAR-10, ImageNet and between them. An estimate
of what images are: where all of these fail, another might do."""

_LENGTHS = (*_SIZES, 100, 1000, 1024, 8000, 16000, 48000)


def misfit_of(traced: Trace, shape: Shape) -> Skipped | None:
    """The first call that does not fit images of a shape that the network computes; None if all do."""
    call = traced.calls[0]
    shapes = {IMAGES: shape}
    try:
        for call in traced.calls:
            shapes[call.name] = result_shape(call.name, call.module, [shapes[source] for source in call.sources])
    except UnsupportedError as error:
        return error.skipped
    except (DataError, ModelError) as error:
        kind = kind_of(call.module) if isinstance(call.module, nn.Module) else "call"
        reason = str(error).replace(f"layer {call.name!r} takes", "it takes")
        return Skipped(call.name, kind, reason)
    return None


def misfit(traced: Trace) -> Skipped | None:
    """The first sum or concatenation whose operands never fit; None if at some size all does, or it is not known."""
    if not any(isinstance(call.module, (Addition, Concatenation)) for call in traced.calls):
        return None
    found: dict[str, Skipped] = {}
    for shape in _candidates(traced):
        try:
            _follow(traced, shape)
        except UnsupportedError as error:
            found.setdefault(error.skipped.name, error.skipped)
        except (DataError, ModelError):  # of another size
            continue
        else:
            return None
    return next(iter(found.values())) if len(found) == 1 else None


def _follow(traced: Trace, shape: Shape) -> None:
    shapes = {IMAGES: shape}
    for call in traced.calls:
        shapes[call.name] = result_shape(call.name, call.module, [shapes[source] for source in call.sources])


def _candidates(traced: Trace) -> Iterator[Shape]:
    """Shapes of images that the first layer takes."""
    modules = (call.module for call in traced.calls)
    layers = (module.layer if isinstance(module, QuantizedLayer) else module for module in modules)
    first = next((layer for layer in layers if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear))), None)
    if isinstance(first, nn.Conv2d):
        yield from ((first.in_channels, size, size) for size in _SIZES)
    elif isinstance(first, nn.Conv1d):
        yield from ((first.in_channels, length) for length in _LENGTHS)
    elif isinstance(first, nn.Linear):
        yield (first.in_features,)
