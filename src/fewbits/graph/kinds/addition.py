"""The sum of two tensors: a residual."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from fewbits.graph import operations
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import KindOfOperation, LayerWork, Lowering
from fewbits.graph.refusals import Skipped, UnsupportedError, unsupported
from fewbits.graph.spelling import Application


@dataclass(frozen=True)
class Addition:
    """The sum of two tensors of one shape."""


def _read(node: fx.Node) -> Application:
    """Raises UnsupportedError for a constant or a factor (`alpha`)."""
    operands = (*node.args, *(node.kwargs[name] for name in ("input", "other") if name in node.kwargs))
    tensors = tuple(operand for operand in operands if isinstance(operand, fx.Node))
    if len(operands) == 2 and len(tensors) == 1 and any(type(one) in (int, float) and one == 0 for one in operands):
        return Application(nn.Identity(), tensors)  # the start of Python's sum()
    if len(operands) != 2 or not all(isinstance(operand, fx.Node) for operand in operands):
        raise unsupported(
            node, f"it adds {operands!r}, and only the results of two layers can be added; put a constant into a bias"
        )
    if node.kwargs.get("alpha", 1) != 1:
        raise unsupported(node, f"it has alpha {node.kwargs['alpha']!r}, and only plain sums can be lowered")
    return Application(Addition(), operands)


class KindOfAddition(KindOfOperation):
    """`x + y`, `x += y`, `torch.add`, and Python's `sum`."""

    name = "addition"
    meanings = (Addition,)
    calls = dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_", "__add__", "__iadd__"), _read)
    effect = "operands"
    keeps_dims = True
    makes_sums = True
    can_misfit = True

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        if shapes[0] != shapes[1]:
            reason = (
                "it adds tensors of different shapes, and nothing repeats the values of one of them; leave it out, or "
                "bring both to one shape by layers"
            )
            raise UnsupportedError(Skipped(name, "add", reason, is_call=True))
        return shapes[0]

    def work(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> LayerWork:
        channels, *along = shapes[0]
        height, width = (1, 1, *along)[-2:]
        size = height, width
        return LayerWork("addition", channels, size, channels, size)

    def lower(self, call: Lowering) -> None:
        """At the finer radix point of the operands."""
        codes = [call.operand(source) for source in call.sources]
        shape = self.shape(call.name, call.meaning, [source.output_shape for source in call.sources])
        finer = max(operand.fraction_bits for operand in codes)
        shifts = (finer - codes[0].fraction_bits, finer - codes[1].fraction_bits)
        addition = operations.Addition(
            name=call.name,
            inputs=tuple(source.name for source in call.sources),
            output_shape=shape,
            shifts=shifts,
            accumulator_fraction_bits=finer,
            accumulator_bits=call.sum_bits([operand.number_format for operand in codes], shifts),
        )
        call.add_sums(addition, finer)
