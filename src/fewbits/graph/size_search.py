"""Sums and concatenations whose operands fit each other at no size of image, found by trying sizes.

`quantize` is given no image, but an addition that repeats one operand (`x + pool(x)`) is not computed at any size.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from fewbits.errors import DataError, ModelError
from fewbits.graph.catalogue import kind_of, result_shape
from fewbits.graph.geometry import Shape
from fewbits.graph.input_shapes import usual_shapes
from fewbits.graph.kinds.layer import plain
from fewbits.graph.refusals import Skipped, UnsupportedError
from fewbits.graph.tracing import IMAGES, Call, Trace, class_name


def misfit_of(traced: Trace, shape: Shape) -> Skipped | None:
    """The first call that does not fit images of a shape that the network computes; None if all do."""
    call = traced.calls[0]
    shapes = {IMAGES: shape}
    try:
        for call in traced.calls:
            _follow(call, shapes)
    except UnsupportedError as error:
        return error.skipped
    except (DataError, ModelError) as error:
        kind = class_name(call.module) if isinstance(call.module, nn.Module) else "call"
        reason = str(error).replace(f"layer {call.name!r} takes", "it takes")
        return Skipped(call.name, kind, reason)
    return None


def misfit(traced: Trace) -> Skipped | None:
    """The first sum or concatenation whose operands never fit; None if at some size all does, or it is not known."""
    if not any(kind_of(call.module).can_misfit for call in traced.calls):
        return None
    found: dict[str, Skipped] = {}
    for shape in _candidates(traced):
        shapes = {IMAGES: shape}
        try:
            for call in traced.calls:
                _follow(call, shapes)
        except UnsupportedError as error:
            found.setdefault(error.skipped.name, error.skipped)
        except (DataError, ModelError):  # of another size
            continue
        else:
            return None
    return next(iter(found.values())) if len(found) == 1 else None


def _follow(call: Call, shapes: dict[str, Shape]) -> None:
    shapes[call.name] = result_shape(call.name, call.module, [shapes[source] for source in call.sources])


def _candidates(traced: Trace) -> Iterator[Shape]:
    """Shapes of images that the first layer takes; none where images are reshaped before it, which hides theirs."""
    for call in traced.calls:
        kind = kind_of(call.module)
        if kind.effect == "layer":
            yield from usual_shapes(plain(call.module))
        if kind.effect == "layer" or kind.rearranges:
            return
