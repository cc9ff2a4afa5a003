"""Tensors one after another: addressing, no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from fewbits.graph import operations
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import KindOfOperation, Lowering
from fewbits.graph.refusals import Skipped, UnsupportedError, unsupported
from fewbits.graph.spelling import Application


@dataclass(frozen=True)
class Concatenation:
    """Tensors one after another."""

    dim: int
    """Along which dimension, the batch counted; negative from the end."""


def _read(node: fx.Node) -> Application:
    settings: dict[str, Any] = dict(zip(("tensors", "dim"), node.args, strict=False)) | dict(node.kwargs)
    tensors, dim = settings.get("tensors"), settings.get("dim", settings.get("axis", 0))
    is_plain = isinstance(tensors, (tuple, list)) and all(isinstance(tensor, fx.Node) for tensor in tensors)
    if not is_plain or not isinstance(dim, int):
        raise unsupported(node, f"it joins {tensors!r} along {dim!r}: give a list of tensors and a constant")
    if dim == 0:
        raise unsupported(node, "it joins batches, and the dimension cannot be the batch (0): join along another")
    parts: Any = tensors
    return Application(Concatenation(dim), tuple(parts))


class KindOfConcatenation(KindOfOperation):
    """`torch.cat` along any dimension but the batch."""

    name = "concatenation"
    meanings = (Concatenation,)
    calls = dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _read)
    effect = "joins"
    keeps_dims = True
    can_misfit = True
    joins_parts = True

    def shape(self, name: str, meaning: Concatenation, shapes: Sequence[Shape]) -> Shape:
        return _joined(name, meaning, shapes)[1]

    def lower(self, call: Lowering) -> None:
        """All parts have one format and radix point."""
        codes = [call.operand(source) for source in call.sources]
        for other in codes[1:]:
            call.require(other, codes[0])
        axis, shape = _joined(call.name, call.meaning, [source.output_shape for source in call.sources])
        inputs = tuple(source.name for source in call.sources)
        joined = operations.Concatenation(name=call.name, inputs=inputs, output_shape=shape, axis=axis)
        call.add(joined, codes[0])


def _joined(name: str, meaning: Concatenation, shapes: Sequence[Shape]) -> tuple[int, Shape]:
    """Axis (the batch not counted) and shape. Raises UnsupportedError if the shapes do not fit."""
    first = shapes[0]
    rank = len(first) + 1
    axis = (meaning.dim + rank if meaning.dim < 0 else meaning.dim) - 1
    others = {(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if not 0 <= axis < len(first) or len(others) > 1:
        reason = (
            f"it joins tensors along dimension {meaning.dim}: all other sizes must be equal, and it cannot be the "
            "batch (0); bring them to one size by pooling or strides, or join along 1"
        )
        raise UnsupportedError(Skipped(name, "cat", reason, is_call=True))
    return axis, (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
