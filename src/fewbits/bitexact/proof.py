"""The proof of a lowering: with no value rounded, the operations give what the quantized network gives."""

from __future__ import annotations

import math

from torch import Tensor, nn

from fewbits.bitexact.unrounded import unrounded_values
from fewbits.graph.equivalence import IMAGES, agrees, drawn_images, prove, recorded, sample
from fewbits.graph.hooks import hooked, watching_hooks
from fewbits.graph.operations import Operation
from fewbits.graph.refusals import UnsupportedError
from fewbits.graph.tracing import Trace
from fewbits.quantization import QuantizedModel

_SMALL = 1024
"""Values of an image up to which a second one costs next to nothing."""


def prove_lowering(
    model: QuantizedModel, traced: Trace, operations: tuple[Operation, ...], example: Tensor, shape: tuple[int, ...]
) -> None:
    """Raise ModelError, naming the module, unless the operations compute what the quantized network does.

    example: images whose first is what both are compared on, with a drawn one if they are small; that alone, if the
    first is the same everywhere. shape: that of one image. operations: with whole products.
    """
    drawn = drawn_images(model, shape, IMAGES if math.prod(shape) <= _SMALL else 1)
    first = example.reshape(-1, *shape)[0].to(drawn)
    if bool((first != first.flatten()[0]).any()):  # an example may be empty: all zeros
        drawn[0] = first
    model.prove(drawn)
    with watching_hooks(model) as changing:
        found = sample(model, drawn, weights=True)
    assert found is not None
    called = {id(call.module) for call in traced.calls}
    for name, module in changing.items():
        if module is model or id(module) in called:
            raise UnsupportedError(hooked(name.removeprefix("network").removeprefix("."), module))
    lowered = _Operations(operations)
    prove(
        model,
        lowered,
        found,
        f"lowering {type(model.network).__name__}",
        remake=lambda _: lowered,
        blame=lambda exact, images: _first_module(exact, operations, images),
        weights=True,
    )


def _first_module(exact: nn.Module, operations: tuple[Operation, ...], images: Tensor) -> str | None:
    """The first operation that gives something else than the module of its name does in float64."""
    assert isinstance(exact, QuantizedModel)
    modules = recorded(exact.network, images, weights=True)
    values = unrounded_values(operations, images)
    for operation in operations:
        results = modules.get(operation.name, [])
        if results and not agrees(results[0], values[operation.name]):
            return f"{operation.name!r} ({type(exact.network.get_submodule(operation.name)).__name__})"
    return None


class _Operations(nn.Module):
    """A network of operations whose values are not rounded."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        super().__init__()
        self.operations = operations

    def forward(self, images: Tensor) -> Tensor:
        """The last operation's result."""
        return unrounded_values(self.operations, images)[self.operations[-1].name]
